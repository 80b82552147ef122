/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A device comes when the host has opened its files; the plug is complete when
 * a driver has bound to it, and is taken back when none does in time. One that
 * goes does so when the guest lets go of it, and is destroyed when the host has
 * finished its requests.
 */
#include "vmm/hotplug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/opening.h"
#include "vmm/util.h"

#define PLUG_TOLD_MAX 10u
#define PLUG_LINK_NS 100000000u
#define PLUG_TOLD_NS 1000000000u

/* A device whose files are being opened, or that no driver has bound to yet. */
struct plug_comer {
	struct hotplug *hp;
	struct hotplug_place at; /* bdf "": not there yet */
	struct opening *opening; /* NULL when it is there: */
	struct device *dev;
	uint64_t ticket;
	struct loop_timer deadline;
	uint64_t end_ns; /* when the deadline moves no further */
	struct list_node node;
};

/* A device that the guest was asked to let go of. */
struct plug_leaver {
	struct ask ask;
	struct device *dev;
};

int hotplug_check_kind(const struct hotplug *hp, enum hotplug_kind kind,
		       struct error *err)
{
	static const char *const names[HOTPLUG_KINDS] = {
		[HOTPLUG_PCI] = "devices: give it hotplug_ports, or",
		[HOTPLUG_CPU] = "vCPUs;",
		[HOTPLUG_MEMORY] = "memory;",
	};

	if (hp->board->hotplug[kind].ops)
		return 0;
	return error_set(
		err, ENOTSUP,
		"this machine has no hot-plug of %s have all of it from the start",
		names[kind]);
}

static unsigned int plug_index(const struct device *dev)
{
	return hotplug_pci_index(dev->bus, dev->slot);
}

static struct hotplug_place plug_place(const struct device *dev)
{
	struct hotplug_place at;

	snprintf(at.id, sizeof(at.id), "%s", dev->id);
	snprintf(at.bdf, sizeof(at.bdf), "0000:%02x:%02x.0", dev->bus & 0xff,
		 dev->slot & 0x1f);
	return at;
}

/* ---- gone ---- */

/* One that has come to rest, or that was to be told by now. False: none. */
static bool plug_reap_one(struct hotplug *hp)
{
	list_for_each_entry (struct device, dev, &hp->board->gone, node) {
		struct hotplug_place was = plug_place(dev);
		uint64_t ticket = dev->gone_ticket;
		bool ended = board_may_destroy(dev);
		bool untold = dev->gone_ns;

		if (!ended && (!untold || loop_now_ns() < dev->gone_ns))
			continue;
		dev->gone_ns = 0;
		if (ended) {
			list_remove(&dev->node);
			dev->ops->destroy(dev);
		} else {
			log_warn(
				"%s: the host has not finished its requests; its file stays open until then",
				was.id);
		}
		if (untold) {
			log_info("%s: removed from %s", was.id, was.bdf);
			hp->listener->plugged(hp->opaque, false, &was, NULL,
					      ticket);
		}
		return true;
	}
	return false;
}

void hotplug_reap(struct hotplug *hp)
{
	uint64_t next_ns = UINT64_MAX;

	/* Listeners may change the list: look from the start after each. */
	while (plug_reap_one(hp))
		;
	list_for_each_entry (struct device, dev, &hp->board->gone, node) {
		if (dev->gone_ns)
			next_ns = MIN(next_ns, dev->gone_ns);
	}
	if (next_ns != UINT64_MAX)
		loop_timer_set(hp->board->main_loop, &hp->reaper, next_ns);
}

static void plug_on_reaper(struct loop_timer *lt)
{
	hotplug_reap(container_of(lt, struct hotplug, reaper));
}

/* forced: the guest did not let go of it. tell: its end is to be told, when
 * it is at rest, or soon. */
static void plug_take_away(struct hotplug *hp, struct device *dev, bool forced,
			   bool tell)
{
	const struct board_hotplug *by = &hp->board->hotplug[HOTPLUG_PCI];

	dev->ops->unplug(dev, forced);
	kvm_hold(hp->kvm);
	kvm_release(hp->kvm);
	list_remove(&dev->node);
	list_insert(&hp->board->gone, &dev->node);
	/* Linux looks for what is missing only when it is to let go. */
	if (forced && hp->board->run != BOARD_STOPPED)
		by->ops->ask(by->opaque, HOTPLUG_PCI, plug_index(dev), true);
	if (dev->ops->quiesce)
		dev->ops->quiesce(dev);
	dev->gone_ns = tell ? loop_now_ns() + PLUG_GONE_NS : 0;
	/* Not from in here: who removes it is told later. */
	board_device_quiet(hp->board);
}

/* ---- coming ---- */

static struct plug_comer *plug_find_comer(struct hotplug *hp, const char *id)
{
	list_for_each_entry (struct plug_comer, c, &hp->coming, node) {
		if (!strcmp(c->at.id, id))
			return c;
	}
	return NULL;
}

uint64_t hotplug_coming(struct hotplug *hp, const char *id)
{
	const struct plug_comer *c = plug_find_comer(hp, id);

	return c ? c->ticket : 0;
}

static void comer_free(struct plug_comer *c)
{
	if (c->dev)
		atomic_store(&c->dev->coming, false);
	opening_drop(c->opening);
	loop_timer_cancel(&c->deadline);
	list_remove(&c->node);
	free(c);
}

/* why NULL: it is complete, else it is taken back. */
static void comer_end(struct plug_comer *c, const char *why)
{
	struct hotplug_place at = c->at;
	struct hotplug *hp = c->hp;
	struct device *dev = c->dev;
	uint64_t ticket = c->ticket;

	comer_free(c);
	if (why)
		log_warn("%s: not plugged: %s", at.id, why);
	else
		log_info("%s: plugged at %s", at.id, at.bdf);
	if (why && dev)
		plug_take_away(hp, dev, true, false);
	hp->listener->plugged(hp->opaque, true, &at, why, ticket);
}

static void comer_set_deadline(struct plug_comer *c)
{
	loop_timer_set(c->hp->board->main_loop, &c->deadline,
		       MIN(loop_now_ns() + c->hp->plug_ns, c->end_ns));
}

/* A guest that has not even read that there is something is slow, but does not
 * refuse it. */
static void comer_on_deadline(struct loop_timer *lt)
{
	struct plug_comer *c = container_of(lt, struct plug_comer, deadline);
	const struct board_hotplug *by = &c->hp->board->hotplug[HOTPLUG_PCI];

	if (loop_now_ns() < c->end_ns &&
	    by->ops->is_unread(by->opaque, HOTPLUG_PCI, plug_index(c->dev)))
		comer_set_deadline(c);
	else
		comer_end(c, "no driver of the guest took it in time");
}

/* The host has opened its files, or has not. */
static void comer_on_opened(void *opaque, struct opening *o, int r,
			    struct error *err)
{
	struct plug_comer *c = opaque;
	struct board *b = c->hp->board;
	const struct board_hotplug *by = &b->hotplug[HOTPLUG_PCI];

	c->opening = NULL;
	if (!r)
		r = opening_make_device(o, 0, b, &c->dev, err);
	if (r) {
		comer_end(c, err->msg);
		return;
	}
	c->at = plug_place(c->dev);
	c->end_ns = loop_now_ns() + PLUG_DEADLINE_MAX_NS;
	atomic_store(&c->dev->coming, true);
	by->ops->came(by->opaque, HOTPLUG_PCI, plug_index(c->dev), 0, 0);
	/* Whoever does not listen yet, as it boots or has no driver for the
	 * chip, finds it when it looks at the bus. */
	if (b->run == BOARD_RUNNING && by->ops->is_heard(by->opaque))
		comer_set_deadline(c);
	else
		comer_end(c, NULL);
}

int hotplug_add(struct hotplug *hp, const struct device_config *dc,
		uint64_t ticket, struct error *err)
{
	struct plug_comer *c;
	int r = hotplug_check_kind(hp, HOTPLUG_PCI, err);

	if (r)
		return r;
	c = calloc(1, sizeof(*c));
	if (c)
		c->opening = opening_create(hp->board->main_loop,
					    comer_on_opened, c);
	if (!c || !c->opening) {
		free(c);
		return error_set(err, ENOMEM, "out of memory");
	}
	c->hp = hp;
	c->ticket = ticket;
	c->deadline.on_expire = comer_on_deadline;
	snprintf(c->at.id, sizeof(c->at.id), "%s", *device_config_id(dc));
	list_insert(&hp->coming, &c->node);
	r = opening_add_device(c->opening, dc->class->option, dc, err);
	if (!r)
		r = opening_start(c->opening, PLUG_OPEN_NS, err);
	if (r)
		comer_free(c);
	return r;
}

/* ---- going ---- */

static void leaver_free(struct plug_leaver *l)
{
	ask_drop(&l->ask);
	free(l);
}

static void leaver_on_answer(struct ask *ask, enum ask_answer answer)
{
	struct plug_leaver *l = container_of(ask, struct plug_leaver, ask);
	struct device *dev = l->dev;
	struct hotplug *hp = ask->hp;
	struct hotplug_place was = plug_place(dev);

	leaver_free(l);
	if (answer == ASK_EJECTED) {
		plug_take_away(hp, dev, false, true);
		return;
	}
	log_warn("%s: not removed: %s", dev->id, ask_answer_text(answer));
	hp->listener->plugged(hp->opaque, false, &was, ask_answer_text(answer),
			      0);
}

struct device *hotplug_find(struct hotplug *hp, const char *id)
{
	list_for_each_entry (struct device, dev, &hp->board->devices, node) {
		if (dev->ops->unplug && !strcmp(dev->id, id))
			return dev;
	}
	return NULL;
}

bool hotplug_where(struct hotplug *hp, const char *id, struct hotplug_place *at)
{
	const struct device *dev = hotplug_find(hp, id);

	if (!dev || atomic_load(&dev->coming))
		return false;
	*at = plug_place(dev);
	return true;
}

static struct plug_leaver *plug_find_leaver(struct hotplug *hp,
					    const struct device *dev)
{
	list_for_each_entry (struct ask, ask, &hp->asks, node)
		if (ask->kind == HOTPLUG_PCI && ask->index == plug_index(dev))
			return container_of(ask, struct plug_leaver, ask);
	return NULL;
}

/* Ask the guest to let go of it. */
static int leaver_create(struct hotplug *hp, struct device *dev,
			 struct error *err)
{
	struct plug_leaver *l = calloc(1, sizeof(*l));

	if (!l)
		return error_set(err, ENOMEM, "out of memory");
	l->dev = dev;
	l->ask = (struct ask){
		.hp = hp,
		.kind = HOTPLUG_PCI,
		.index = plug_index(dev),
		.done = leaver_on_answer,
	};
	ask_put(&l->ask);
	return 0;
}

int hotplug_remove(struct hotplug *hp, const char *id, bool force,
		   uint64_t ticket, struct error *err)
{
	struct device *dev = hotplug_find(hp, id);
	struct plug_leaver *l;
	int r = hotplug_check_kind(hp, HOTPLUG_PCI, err);

	if (r)
		return r;
	if (plug_find_comer(hp, id))
		return error_set(
			err, EBUSY,
			"id %s: is still being added; remove it after the reply to that",
			error_value(id).text);
	if (!dev)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	l = plug_find_leaver(hp, dev);
	if (force || hp->board->run == BOARD_STOPPED) {
		if (l)
			leaver_free(l);
		dev->gone_ticket = ticket;
		plug_take_away(hp, dev, true, true);
	} else if (l) {
		ask_tell(&l->ask, true);
	} else {
		return leaver_create(hp, dev, err);
	}
	return 0;
}

/* ---- what drivers do ---- */

/* The guest is at work: all that wait get more time. */
static void plug_extend(struct hotplug *hp)
{
	list_for_each_entry (struct plug_comer, c, &hp->coming, node) {
		if (c->dev)
			comer_set_deadline(c);
	}
}

/*
 * A guest can have a driver come and go without end, so only PLUG_TOLD_MAX
 * times a device and second are told. The last one always is, if late, with the
 * number of those that were not.
 */
static void plug_tell(struct hotplug *hp, struct device *dev, bool active)
{
	uint64_t now = loop_now_ns();

	dev->active = active;
	if (now - dev->told_ns >= PLUG_TOLD_NS) {
		dev->told_ns = now;
		dev->nr_told = 0;
	}
	if (dev->nr_told == PLUG_TOLD_MAX) {
		dev->nr_untold++;
		if (!hp->untold.armed)
			loop_timer_set(hp->board->main_loop, &hp->untold,
				       dev->told_ns + PLUG_TOLD_NS);
		return;
	}
	dev->nr_told++;
	hp->listener->driver(hp->opaque, dev->id, active, dev->nr_untold);
	dev->nr_untold = 0;
}

/* Whoever plays with a link is told of as often; the last change always is. */
static void plug_tell_link(struct hotplug *hp, struct device *dev)
{
	bool down = atomic_load(&dev->link_down);
	uint64_t now = loop_now_ns();

	if (down == dev->told_link_down)
		return;
	if (dev->link_ns && now - dev->link_ns < PLUG_LINK_NS) {
		if (!hp->untold.armed)
			loop_timer_set(hp->board->main_loop, &hp->untold,
				       dev->link_ns + PLUG_LINK_NS);
		return;
	}
	dev->link_ns = now;
	dev->told_link_down = down;
	hp->listener->link(hp->opaque, dev->id, !down);
}

static void plug_on_untold(struct loop_timer *lt)
{
	struct hotplug *hp = container_of(lt, struct hotplug, untold);

	list_for_each_entry (struct device, dev, &hp->board->devices, node) {
		plug_tell_link(hp, dev);
		if (!dev->nr_untold)
			continue;
		dev->nr_untold--;
		plug_tell(hp, dev, dev->active);
	}
}

/* More than one thing may have happened since we looked. */
static void plug_on_driver(struct hotplug *hp, struct device *dev,
			   unsigned int news)
{
	struct plug_comer *c = plug_find_comer(hp, dev->id);

	plug_tell_link(hp, dev);
	if (news & DEVICE_RESET && dev->active)
		plug_tell(hp, dev, false);
	if (news & DEVICE_ACTIVATED && !dev->active)
		plug_tell(hp, dev, true);
	if (dev->active && !atomic_load(&dev->driver_active))
		plug_tell(hp, dev, false);
	if (!c)
		return;
	plug_extend(hp);
	if (news & DEVICE_ACTIVATED)
		comer_end(c, NULL);
}

/* Listeners may change the list of devices: look from the start after each. */
static bool plug_one_news(struct hotplug *hp)
{
	list_for_each_entry (struct device, dev, &hp->board->devices, node) {
		unsigned int news = atomic_exchange(&dev->news, 0);

		if (!news)
			continue;
		plug_on_driver(hp, dev, news);
		return true;
	}
	return false;
}

static void plug_on_news(struct loop_call *lc)
{
	while (plug_one_news(container_of(lc, struct hotplug, news)))
		;
}

/* What devices tell of when nobody wants to know any more. */
static void plug_on_late_news(struct loop_call *lc unused_param)
{
}

/* ---- life ---- */

static void plug_on_pause(struct hotplug *hp)
{
	/* Listeners add to the list, but take nothing out of it. */
	list_for_each_entry (struct plug_comer, c, &hp->coming, node) {
		if (c->dev)
			comer_end(c, NULL);
	}
}

static void plug_on_stop(struct hotplug *hp)
{
	struct plug_comer *c;

	/* What a driver did at the last moment counts. */
	while (plug_one_news(hp))
		;
	while ((c = list_take_first(struct plug_comer, &hp->coming, node)))
		comer_end(c, "the guest stopped before a driver took it");
}

void hotplug_on_reset(struct hotplug *hp)
{
	list_for_each_entry (struct device, dev, &hp->board->devices, node) {
		atomic_store(&dev->news, 0);
		atomic_store(&dev->driver_active, false);
		dev->active = false;
	}
}

static void plug_init(struct hotplug *hp)
{
	hp->plug_ns = PLUG_DEADLINE_NS;
	hp->news.fn = plug_on_news;
	hp->untold.on_expire = plug_on_untold;
	hp->reaper.on_expire = plug_on_reaper;
	list_init(&hp->coming);
	hp->board->on_news = &hp->news;
}

static void plug_fini(struct hotplug *hp)
{
	struct plug_comer *c;

	while ((c = list_take_first(struct plug_comer, &hp->coming, node)))
		comer_free(c);
	list_for_each_entry (struct ask, ask, &hp->asks, node)
		if (ask->kind == HOTPLUG_PCI)
			leaver_free(container_of(ask, struct plug_leaver, ask));
	hp->news.fn = plug_on_late_news;
	loop_timer_cancel(&hp->untold);
	loop_timer_cancel(&hp->reaper);
}

void hotplug_on_run(struct hotplug *hp)
{
	switch (hp->board->run) {
	case BOARD_PAUSED:
		plug_on_pause(hp);
		/* fall through */
	case BOARD_RUNNING:
		asks_on_run(hp);
		break;
	case BOARD_STOPPED:
		plug_on_stop(hp);
		asks_eject_all(hp);
		resize_on_stop(hp);
		break;
	}
}

void hotplug_init(struct hotplug *hp, struct board *board, struct kvm *kvm,
		  const struct hotplug_listener *listener, void *opaque)
{
	*hp = (struct hotplug){ .board = board,
				.kvm = kvm,
				.listener = listener,
				.opaque = opaque };
	asks_init(hp);
	plug_init(hp);
	resize_init(hp);
}

void hotplug_fini(struct hotplug *hp)
{
	resize_fini(hp);
	plug_fini(hp);
	loop_cancel(hp->board->main_loop, &hp->mail);
}

void hotplug_free(struct hotplug *hp)
{
	loop_cancel(hp->board->main_loop, &hp->news);
}
