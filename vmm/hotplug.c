/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/hotplug.h"

#include <errno.h>

static int hotplug_check_chip(const struct hotplug *hp, struct error *err)
{
	if (hp->asks.board->hotplug_chip)
		return 0;
	return error_set(err, ENOTSUP, "this machine has no hot-plug");
}

int hotplug_add(struct hotplug *hp, const struct device_config *dc,
		struct error *err)
{
	int r = hotplug_check_chip(hp, err);

	return r ? r : plug_add(&hp->plug, dc, err);
}

int hotplug_remove(struct hotplug *hp, const char *id, bool force,
		   struct error *err)
{
	int r = hotplug_check_chip(hp, err);

	return r ? r : plug_remove(&hp->plug, id, force, err);
}

int hotplug_resize_vcpus(struct hotplug *hp, unsigned int nr, struct error *err)
{
	int r = hotplug_check_chip(hp, err);

	return r ? r : resize_vcpus(&hp->resize, nr, err);
}

int hotplug_resize_memory(struct hotplug *hp, uint64_t bytes, struct error *err)
{
	int r = hotplug_check_chip(hp, err);

	return r ? r : resize_memory(&hp->resize, bytes, err);
}

void hotplug_on_run(struct hotplug *hp)
{
	switch (hp->asks.board->run) {
	case BOARD_PAUSED:
		plug_on_pause(&hp->plug);
		/* fall through */
	case BOARD_RUNNING:
		asks_on_run(&hp->asks);
		break;
	case BOARD_STOPPED:
		plug_on_stop(&hp->plug);
		asks_eject_all(&hp->asks);
		resize_on_stop(&hp->resize);
		break;
	}
}

void hotplug_on_reset(struct hotplug *hp)
{
	plug_on_reset(&hp->plug);
}

void hotplug_init(struct hotplug *hp, struct board *board, struct kvm *kvm,
		  const struct hotplug_listener *listener, void *opaque)
{
	hp->plug = (struct plug){ .board = board,
				  .kvm = kvm,
				  .asks = &hp->asks,
				  .listener = listener,
				  .opaque = opaque };
	hp->resize = (struct resize){ .board = board,
				      .kvm = kvm,
				      .asks = &hp->asks,
				      .listener = listener,
				      .opaque = opaque };
	asks_init(&hp->asks, board);
	plug_init(&hp->plug);
	resize_init(&hp->resize);
}

void hotplug_fini(struct hotplug *hp)
{
	if (!hp->asks.board)
		return; /* it was not reached */
	resize_fini(&hp->resize);
	plug_fini(&hp->plug);
	asks_fini(&hp->asks);
}
