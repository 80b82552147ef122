/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A device comes when the host has opened its files; the plug is complete when
 * a driver has bound to it, and is taken back when none does in time. One that
 * goes does so when the guest lets go of it, and is destroyed when the host has
 * finished its requests.
 */
#include "vmm/plug.h"

#include <errno.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/log.h"
#include "vmm/util.h"

#define PLUG_TOLD_MAX 10u
#define PLUG_TOLD_NS 1000000000u

/* A device whose files are being opened, or that no driver has bound to yet. */
struct plug_comer {
	struct plug *plug;
	struct hotplug_place at; /* bdf "": not there yet */
	struct opening *opening; /* NULL when it is there: */
	const struct device_class *class;
	struct device *dev;
	struct loop_timer deadline;
	uint64_t end_ns; /* when the deadline moves no further */
	struct list_node node;
};

/* A device that the guest was asked to let go of. */
struct plug_leaver {
	struct ask ask;
	struct plug *plug;
	struct device *dev;
	struct list_node node;
};

static struct hotplug_place plug_place(const struct device *dev)
{
	struct hotplug_place at;

	snprintf(at.id, sizeof(at.id), "%s", dev->id);
	snprintf(at.bdf, sizeof(at.bdf), "0000:00:%02x.0", dev->slot & 0x1f);
	return at;
}

static void plug_tell_chip(const struct plug *plug, bool gone,
			   unsigned int slot)
{
	const struct board *b = plug->board;

	/* Linux looks for what is missing only when it is to let go. */
	if (gone)
		b->hotplug_chip->ask(b->hotplug_opaque, HOTPLUG_PCI, slot,
				     true);
	else
		b->hotplug_chip->check(b->hotplug_opaque, HOTPLUG_PCI, slot);
}

/* ---- gone ---- */

/* One that has come to rest, or that was to be told by now. False: none. */
static bool plug_reap_one(struct plug *plug)
{
	list_for_each_entry (struct device, dev, &plug->board->gone, node) {
		struct hotplug_place was = plug_place(dev);
		bool ended = board_may_destroy(plug->board, dev);
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
			plug->listener->removed(plug->opaque, &was);
		}
		return true;
	}
	return false;
}

void plug_reap(struct plug *plug)
{
	uint64_t next_ns = UINT64_MAX;

	/* Listeners may change the list: look from the start after each. */
	while (plug_reap_one(plug))
		;
	list_for_each_entry (struct device, dev, &plug->board->gone, node) {
		if (dev->gone_ns)
			next_ns = MIN(next_ns, dev->gone_ns);
	}
	if (next_ns != UINT64_MAX)
		loop_timer_set(plug->board->main_loop, &plug->reaper, next_ns);
}

static void plug_on_reaper(struct loop_timer *lt)
{
	plug_reap(container_of(lt, struct plug, reaper));
}

/* forced: the guest did not let go of it. tell: removed() is to be called, when
 * it is at rest, or soon. */
static void plug_take_away(struct plug *plug, struct device *dev, bool forced,
			   bool tell)
{
	dev->ops->unplug(dev, forced);
	kvm_hold(plug->kvm);
	kvm_release(plug->kvm);
	list_remove(&dev->node);
	list_insert(&plug->board->gone, &dev->node);
	if (forced && plug->board->run != BOARD_STOPPED)
		plug_tell_chip(plug, true, dev->slot);
	if (dev->ops->quiesce)
		dev->ops->quiesce(dev);
	dev->gone_ns = tell ? loop_now_ns() + PLUG_GONE_NS : 0;
	/* Not from in here: who removes it is told later. */
	board_device_quiet(plug->board);
}

/* ---- coming ---- */

static struct plug_comer *plug_find_comer(struct plug *plug, const char *id)
{
	list_for_each_entry (struct plug_comer, c, &plug->coming, node) {
		if (!strcmp(c->at.id, id))
			return c;
	}
	return NULL;
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
	struct plug *plug = c->plug;
	struct device *dev = c->dev;

	comer_free(c);
	if (why)
		log_warn("%s: not plugged: %s", at.id, why);
	else
		log_info("%s: plugged at %s", at.id, at.bdf);
	if (why && dev)
		plug_take_away(plug, dev, true, false);
	plug->listener->plugged(plug->opaque, &at, why);
}

static void comer_set_deadline(struct plug_comer *c)
{
	loop_timer_set(c->plug->board->main_loop, &c->deadline,
		       MIN(loop_now_ns() + c->plug->deadline_ns, c->end_ns));
}

/* A guest that has not even read that there is something is slow, but does not
 * refuse it. */
static void comer_on_deadline(struct loop_timer *lt)
{
	struct plug_comer *c = container_of(lt, struct plug_comer, deadline);
	const struct board *b = c->plug->board;

	if (loop_now_ns() < c->end_ns &&
	    b->hotplug_chip->is_unread(b->hotplug_opaque, HOTPLUG_PCI,
				       c->dev->slot))
		comer_set_deadline(c);
	else
		comer_end(c, "no driver of the guest took it in time");
}

/* Does the guest listen yet? False while it boots, and for one that has no
 * driver for the chip. */
static bool plug_is_heard(const struct plug *plug)
{
	const struct board *b = plug->board;

	return b->run == BOARD_RUNNING &&
	       b->hotplug_chip->is_heard(b->hotplug_opaque);
}

/* The host has opened its files, or has not. */
static void comer_on_opened(void *opaque, struct opening *o, int r,
			    struct error *err)
{
	struct plug_comer *c = opaque;
	struct plug *plug = c->plug;
	void *opened = r ? NULL : opening_take_device(o, 0);

	c->opening = NULL;
	if (!r)
		r = board_add_device(plug->board, c->class,
				     opening_config(o, 0), opened, &c->dev,
				     err);
	if (r) {
		opening_give_back(o, 0, opened);
		comer_end(c, err->msg);
		return;
	}
	c->at = plug_place(c->dev);
	c->end_ns = loop_now_ns() + PLUG_DEADLINE_MAX_NS;
	atomic_store(&c->dev->coming, true);
	plug_tell_chip(plug, false, c->dev->slot);
	/* Whoever does not listen yet finds it when it looks at the bus. */
	if (plug_is_heard(plug))
		comer_set_deadline(c);
	else
		comer_end(c, NULL);
}

int plug_add(struct plug *plug, const struct device_config *dc,
	     struct error *err)
{
	struct plug_comer *c = calloc(1, sizeof(*c));
	char **id = device_config_id(dc);
	int r = 0;

	if (c)
		c->opening = opening_create(plug->board->main_loop,
					    comer_on_opened, c);
	if (!c || !c->opening) {
		free(c);
		return error_set(err, ENOMEM, "out of memory");
	}
	c->plug = plug;
	c->class = dc->class;
	c->deadline.on_expire = comer_on_deadline;
	snprintf(c->at.id, sizeof(c->at.id), "%s", id && *id ? *id : "");
	list_insert(&plug->coming, &c->node);
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
	list_remove(&l->node);
	free(l);
}

static void leaver_on_answer(struct ask *ask, enum ask_answer answer)
{
	struct plug_leaver *l = container_of(ask, struct plug_leaver, ask);
	struct device *dev = l->dev;
	struct plug *plug = l->plug;

	leaver_free(l);
	if (answer == ASK_EJECTED) {
		plug_take_away(plug, dev, false, true);
		return;
	}
	log_warn("%s: not removed: %s", dev->id, ask_answer_text(answer));
	plug->listener->remove_failed(plug->opaque, dev->id,
				      ask_answer_text(answer));
}

struct device *plug_find(struct plug *plug, const char *id)
{
	list_for_each_entry (struct device, dev, &plug->board->devices, node) {
		if (dev->ops->unplug && !strcmp(dev->id, id))
			return dev;
	}
	return NULL;
}

static struct plug_leaver *plug_find_leaver(struct plug *plug,
					    const struct device *dev)
{
	list_for_each_entry (struct plug_leaver, l, &plug->leaving, node) {
		if (l->dev == dev)
			return l;
	}
	return NULL;
}

/* Ask the guest to let go of it. */
static int leaver_create(struct plug *plug, struct device *dev,
			 struct error *err)
{
	struct plug_leaver *l = calloc(1, sizeof(*l));

	if (!l)
		return error_set(err, ENOMEM, "out of memory");
	l->plug = plug;
	l->dev = dev;
	l->ask = (struct ask){
		.asks = plug->asks,
		.kind = HOTPLUG_PCI,
		.index = dev->slot,
		.done = leaver_on_answer,
	};
	list_insert(&plug->leaving, &l->node);
	ask_put(&l->ask);
	return 0;
}

int plug_remove(struct plug *plug, const char *id, bool force,
		struct error *err)
{
	struct device *dev = plug_find(plug, id);
	struct plug_leaver *l;

	if (plug_find_comer(plug, id))
		return error_set(
			err, EBUSY,
			"id %s: is still being added; remove it after the reply to that",
			error_value(id).text);
	if (!dev)
		return error_set(err, ENOENT, "id %s: there is no such device",
				 error_value(id).text);
	l = plug_find_leaver(plug, dev);
	if (force || plug->board->run == BOARD_STOPPED) {
		if (l)
			leaver_free(l);
		plug_take_away(plug, dev, true, true);
	} else if (l) {
		ask_again(&l->ask);
	} else {
		return leaver_create(plug, dev, err);
	}
	return 0;
}

/* ---- what drivers do ---- */

void plug_driver_news(struct plug *plug, struct device *dev,
		      enum device_news news)
{
	if (news != DEVICE_FOUND)
		atomic_store(&dev->driver_active, news == DEVICE_ACTIVATED);
	atomic_fetch_or(&dev->news, (unsigned int)news);
	loop_post(plug->board->main_loop, &plug->news);
}

/* The guest is at work: all that wait get more time. */
static void plug_extend(struct plug *plug)
{
	list_for_each_entry (struct plug_comer, c, &plug->coming, node) {
		if (c->dev)
			comer_set_deadline(c);
	}
}

/*
 * A guest can have a driver come and go without end, so only PLUG_TOLD_MAX
 * times a device and second are told. The last one always is, if late, with the
 * number of those that were not.
 */
static void plug_tell(struct plug *plug, struct device *dev, bool active)
{
	uint64_t now = loop_now_ns();

	dev->active = active;
	if (now - dev->told_ns >= PLUG_TOLD_NS) {
		dev->told_ns = now;
		dev->nr_told = 0;
	}
	if (dev->nr_told == PLUG_TOLD_MAX) {
		dev->nr_untold++;
		if (!plug->untold.armed)
			loop_timer_set(plug->board->main_loop, &plug->untold,
				       dev->told_ns + PLUG_TOLD_NS);
		return;
	}
	dev->nr_told++;
	plug->listener->driver(plug->opaque, dev->id, active, dev->nr_untold);
	dev->nr_untold = 0;
}

static void plug_on_untold(struct loop_timer *lt)
{
	struct plug *plug = container_of(lt, struct plug, untold);

	list_for_each_entry (struct device, dev, &plug->board->devices, node) {
		if (!dev->nr_untold)
			continue;
		dev->nr_untold--;
		plug_tell(plug, dev, dev->active);
	}
}

/* More than one thing may have happened since we looked. */
static void plug_on_driver(struct plug *plug, struct device *dev,
			   unsigned int news)
{
	struct plug_comer *c = plug_find_comer(plug, dev->id);

	if (news & DEVICE_RESET && dev->active)
		plug_tell(plug, dev, false);
	if (news & DEVICE_ACTIVATED && !dev->active)
		plug_tell(plug, dev, true);
	if (dev->active && !atomic_load(&dev->driver_active))
		plug_tell(plug, dev, false);
	if (!c)
		return;
	plug_extend(plug);
	if (news & DEVICE_ACTIVATED)
		comer_end(c, NULL);
}

/* Listeners may change the list of devices: look from the start after each. */
static bool plug_one_news(struct plug *plug)
{
	list_for_each_entry (struct device, dev, &plug->board->devices, node) {
		unsigned int news = atomic_exchange(&dev->news, 0);

		if (!news)
			continue;
		plug_on_driver(plug, dev, news);
		return true;
	}
	return false;
}

static void plug_on_news(struct loop_call *lc)
{
	while (plug_one_news(container_of(lc, struct plug, news)))
		;
}

/* ---- life ---- */

void plug_on_pause(struct plug *plug)
{
	/* Listeners add to the list, but take nothing out of it. */
	list_for_each_entry (struct plug_comer, c, &plug->coming, node) {
		if (c->dev)
			comer_end(c, NULL);
	}
}

void plug_on_stop(struct plug *plug)
{
	/* What a driver did at the last moment counts. */
	while (plug_one_news(plug))
		;
	while (!list_is_empty(&plug->coming))
		comer_end(container_of(list_take(&plug->coming),
				       struct plug_comer, node),
			  "the guest stopped before a driver took it");
}

void plug_on_reset(struct plug *plug)
{
	list_for_each_entry (struct device, dev, &plug->board->devices, node) {
		atomic_store(&dev->news, 0);
		atomic_store(&dev->driver_active, false);
		dev->active = false;
	}
}

void plug_init(struct plug *plug)
{
	plug->deadline_ns = PLUG_DEADLINE_NS;
	plug->news.fn = plug_on_news;
	plug->untold.on_expire = plug_on_untold;
	plug->reaper.on_expire = plug_on_reaper;
	list_init(&plug->coming);
	list_init(&plug->leaving);
}

void plug_fini(struct plug *plug)
{
	while (!list_is_empty(&plug->coming))
		comer_free(container_of(list_take(&plug->coming),
					struct plug_comer, node));
	while (!list_is_empty(&plug->leaving))
		leaver_free(container_of(list_take(&plug->leaving),
					 struct plug_leaver, node));
	loop_cancel(plug->board->main_loop, &plug->news);
	loop_timer_cancel(&plug->untold);
	loop_timer_cancel(&plug->reaper);
}
