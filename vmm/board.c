/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/board.h"

#include <stdio.h>
#include <string.h>

#include "vmm/thread.h"
#include "vmm/util.h"

void board_init(struct board *board, struct loop *main_loop)
{
	board->main_loop = main_loop;
	board->nr_cpus = 1;
	list_init(&board->devices);
	list_init(&board->gone);
	bus_init(&board->pio);
	bus_init(&board->mmio);
}

void board_fini(struct board *board)
{
	for (unsigned int i = 0; i < board->nr_io_loops; i++)
		loop_destroy(board->io_loops[i]);
	bus_fini(&board->pio);
	bus_fini(&board->mmio);
}

static void board_post(struct board *board, struct loop_call *call)
{
	if (call)
		loop_post(board->main_loop, call);
}

void board_raise(struct board *board, enum vm_event event)
{
	int now = atomic_load(&board->event);

	/* A guest that resets does not outrun what ends it. */
	while (now == VM_EVENT_NONE ||
	       (now == VM_EVENT_RESET && event != VM_EVENT_RESET)) {
		if (!atomic_compare_exchange_weak(&board->event, &now, event))
			continue;
		board_post(board, board->on_event);
		return;
	}
}

int board_ioeventfd(struct board *board, gpa_t gpa, int event_fd, bool assign)
{
	return board->ops->ioeventfd(board->ops_opaque, gpa, event_fd, assign);
}

int board_show(struct board *board, gpa_t gpa, const void *hva, uint64_t len)
{
	if (!board->ops->show)
		return -ENOSYS;
	return board->ops->show(board->ops_opaque, gpa, hva, len);
}

/* What classes need on the I/O threads. */
static void board_add_locals(struct loop *loop)
{
	for (unsigned int i = 0; device_classes[i]; i++)
		if (device_classes[i]->io_local)
			loop_add_local(loop, device_classes[i]->io_local);
}

struct loop *board_io_loop(struct board *board, struct error *err)
{
	unsigned int cpus = thread_usable_cpus();
	unsigned int most = MIN(cpus, (unsigned int)BOARD_MAX_IO_LOOPS);
	unsigned int max = MIN(most, board->nr_cpus);
	/* max follows the number of vCPUs: the next new one comes in order. */
	unsigned int wanted = board->next_io_loop++ % max;
	unsigned int i = MIN(wanted, board->nr_io_loops);
	char name[16];

	if (i < board->nr_io_loops)
		return board->io_loops[i];
	snprintf(name, sizeof(name), "io%u", i);
	board->io_loops[i] = loop_create(name, err);
	if (!board->io_loops[i])
		return NULL;
	board_add_locals(board->io_loops[i]);
	if (loop_thread_start(board->io_loops[i], err)) {
		loop_destroy(board->io_loops[i]);
		return NULL;
	}
	board->nr_io_loops++;
	return board->io_loops[i];
}

/* ---- devices ---- */

struct device *board_find_class(struct board *board, const char *class_name)
{
	list_for_each_entry (struct device, dev, &board->devices, node) {
		if (!strcmp(dev->class->name, class_name))
			return dev;
	}
	return NULL;
}

int board_add_device(struct board *board, const struct device_class *class,
		     const void *config, void *opened, struct device **out,
		     struct error *err)
{
	struct device *dev = NULL;
	int r = class->create(board, config, opened, &dev, err);

	if (r)
		return r;
	dev->board = board;
	dev->pool.kind = class->pool;
	list_insert(&board->devices, &dev->node);
	if (out)
		*out = dev;
	return 0;
}

void board_device_quiet(struct board *board)
{
	board_post(board, board->on_quiet);
}

bool board_is_quiet(struct device *dev)
{
	return !dev->pins && (!dev->ops->is_quiet || dev->ops->is_quiet(dev));
}

struct device *board_find_busy(struct board *board)
{
	struct list_node *const lists[] = { &board->devices, &board->gone };

	for (unsigned int i = 0; i < ARRAY_SIZE(lists); i++)
		list_for_each_entry (struct device, dev, lists[i], node)
			if (!board_is_quiet(dev))
				return dev;
	return NULL;
}

static void board_release_run(struct pool_job *job)
{
	struct device *dev = container_of(job, struct device, releasing);

	dev->ops->release(dev);
}

static void board_release_done(struct pool_job *job)
{
	struct device *dev = container_of(job, struct device, releasing);

	dev->release = DEVICE_RELEASED;
	board_device_quiet(dev->board);
}

bool board_may_destroy(struct device *dev)
{
	if (!board_is_quiet(dev))
		return false;
	if (dev->release != DEVICE_OPEN || !dev->ops->release)
		return dev->release != DEVICE_RELEASING;
	dev->release = DEVICE_RELEASING;
	dev->pool.name = dev->id;
	dev->releasing.run = board_release_run;
	dev->releasing.done = board_release_done;
	dev->releasing.loop = dev->board->main_loop;
	if (!pool_submit(&dev->pool, &dev->releasing))
		return false;
	dev->ops->release(dev);
	dev->release = DEVICE_RELEASED;
	return true;
}

void board_driver_news(struct board *board, struct device *dev,
		       enum device_news news)
{
	if (news != DEVICE_FOUND)
		atomic_store(&dev->driver_active, news == DEVICE_ACTIVATED);
	atomic_fetch_or(&dev->news, (unsigned int)news);
	board_post(board, board->on_news);
}

void board_link_news(struct board *board, struct device *dev, bool up)
{
	atomic_store(&dev->link_down, !up);
	atomic_fetch_or(&dev->news, DEVICE_LINK);
	board_post(board, board->on_news);
}

/* ---- hot-plug ---- */

void board_set_hotplug(struct board *board, enum hotplug_kind kind,
		       const struct hotplug_chip_ops *ops, void *opaque)
{
	board->hotplug[kind] = (struct board_hotplug){ ops, opaque };
}

void board_eject_answer(struct board *board, enum hotplug_kind kind,
			unsigned int index, bool ejected)
{
	_Atomic uint64_t *bits = ejected ? board->ejected[kind]
					 : board->refused[kind];

	atomic_fetch_or(&bits[index / 64], 1ull << index % 64);
	board_post(board, board->on_answer);
}

/* ---- interrupts ---- */

bool board_msi(struct board *board, uint32_t devid, uint64_t addr,
	       uint32_t data)
{
	if (atomic_load(&board->irqs_held))
		return false;
	board->ops->msi(board->ops_opaque, devid, addr, data);
	return true;
}

int board_msi_fd(struct board *board, int event_fd, const struct board_msi *msi)
{
	if (!board->ops->msi_fd)
		return -ENOSYS;
	return board->ops->msi_fd(board->ops_opaque, event_fd, msi);
}

void board_hold_irqs(struct board *board, bool on)
{
	atomic_store(&board->irqs_held, on);
}

void board_set_line(struct board *board, uint32_t gsi, bool level)
{
	if (board->line_sink)
		board->line_sink(board->line_opaque, gsi, level);
	else
		board->ops->line(board->ops_opaque, gsi, level);
}

void board_pulse_line(struct board *board, uint32_t gsi)
{
	board_set_line(board, gsi, true);
	board_set_line(board, gsi, false);
}

void board_set_line_sink(struct board *board,
			 void (*sink)(void *opaque, uint32_t gsi, bool level),
			 void *opaque)
{
	board->line_opaque = opaque;
	board->line_sink = sink;
}
