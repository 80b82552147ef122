/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_DEVICE_H
#define DEVICES_DEVICE_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "vmm/error.h"
#include "vmm/list.h"
#include "vmm/param.h"
#include "vmm/peer_key.h"
#include "vmm/pool.h"

/*
 * The contract between the machine and everything on its buses. vmm/ knows
 * device classes only through this header and the registry.
 *
 * Life of a device, on the main thread but for open, close and release:
 *   open -> create -> (guest uses it) -> quiesce -> is_quiet
 *   -> resume, reset, or release and destroy
 * What open() gave and create() did not take is closed instead. Nothing on the
 * main thread waits for a device. What takes as long as the host likes (opening
 * and closing files, requests in flight) is asked for, and answered.
 * Guest accesses come on vCPU threads through the bus; queue work runs on the
 * loops of the machine's I/O threads.
 */
struct board;
struct chip_kind;
struct device;
struct device_class;
struct loop_local;
struct syscall_rule;

/* Where a platform chip sits; written down by the arch in arch_chips[]. */
struct chip_place {
	const struct device_class *class; /* NULL: the end of the table */
	bool pio; /* base is a port number, else a guest address */
	uint64_t base;
	uint64_t len; /* where the chip does not say; ports or bytes */
	uint32_t gsi; /* interrupt line */
	unsigned int nr_pins; /* of an interrupt controller: lines it takes */
	uint64_t memory; /* guest memory that the chip fills; 0: none */
};

/* A root file system made of a class, which has the parameters path and
 * readonly, and is the machine's first device. Of the classes that take such a
 * path it is the first one. */
struct device_root {
	bool is_dir; /* path is a directory; else a file or block device */
	const char *tag; /* its parameter "tag"; NULL: it has none */
	const char *cmdline; /* the kernel's words for it, without rw or ro */
};

/* One path that a configuration names, NULL for none, and how it is opened: flags
 * as of OPENER_PLACE (vmm/opener_protocol.h). arg: the caller's. */
typedef void (*device_place_fn)(void *arg, const char *path,
				unsigned int flags);

struct device_class {
	const char *name; /* spec's short name: "blk"; or part number */
	bool is_bus; /* others stand on it, and go before it */
	/* What users name: the command line option "--disk", JSON list "disks"
	 * and prefix of made-up ids "_disk0". NULL for platform chips. */
	const char *option;
	const char *json_list;
	/* A machine has at most one: json_list is an object instead. */
	bool single;
	/* What users name has these, with a string "id", at most 63 bytes, which
	 * is there when create() is called: the device takes it over. NULL for
	 * platform chips. */
	const struct param_set *params;
	/* Those of params that may be changed while the device is there: a table
	 * of the same struct, without required ones. NULL: none. */
	const struct param_set *set_params;
	/* Keys of another monitor's JSON beside params; the last one has path
	 * NULL. NULL: none. */
	const struct peer_key *peer_keys;
	/* Do two params structs mean the same device? Adding it again is answered
	 * with what is there. NULL: they never do. */
	bool (*is_same)(const void *config, const void *other);
	/* System calls that its own files make, and on what threads, beside
	 * what every thread makes; the last name is empty. NULL: none. */
	const struct syscall_rule *syscalls;
	/* What its devices need on each of the machine's I/O threads
	 * (vmm/loop.h). NULL: nothing. */
	const struct loop_local *io_local;
	/* On which threads its files are opened and closed, and what else may
	 * take for ever is done. */
	enum pool_kind pool;
	/* Capabilities that its loops need in a jail for a device that is
	 * configured so, bits 1 << CAP_*; config NULL: for any. NULL: none. */
	uint32_t (*capabilities)(const void *config);
	/* Call fn for each path that config has opened, now or later; NULL: there
	 * are none. */
	void (*places)(const void *config, device_place_fn fn, void *arg);
	/* A required text of params that no two devices of this class have the
	 * same value of; NULL: there is none. */
	const char *unique;
	/* How --rootfs is made of this class; NULL: it is not. */
	const struct device_root *root;
	/*
	 * Open what config (a params struct, borrowed for the call) names on
	 * the host, for create(). Takes as long as the host likes. Any thread.
	 * -errno with a message, which leaves out the option: the caller puts
	 * it in front. NULL: there is nothing to open.
	 */
	int (*open)(const void *config, void **opened, struct error *err);
	/* Close what open() gave and create() did not take. Any thread. */
	void (*close)(void *opened);
	/*
	 * Make a device. config: a params struct, or the chip_place for
	 * platform chips; borrowed for the call. opened: of open(), or NULL; it
	 * is the device's when 0 is returned. On failure *out is untouched and
	 * nothing is left behind; -errno with a message, as of open(). Main
	 * thread.
	 */
	int (*create)(struct board *board, const void *config, void *opened,
		      struct device **out, struct error *err);
	/* Of platform chips, for chip_create(); else NULL. */
	const struct chip_kind *chip;
};

/* One counter of a device. arg: the caller's; name: good for the call. */
typedef void (*device_emit_fn)(void *arg, const char *name, uint64_t value);

struct device_ops {
	/*
	 * Ask the device to come to rest: it begins nothing any more, and what
	 * the host has is waited for elsewhere. It is quiet when it touches
	 * guest memory no more and no request is in flight; then it calls
	 * board_device_quiet(). No guest access comes meanwhile. NULL: there
	 * is nothing to do; is_quiet NULL: it is at once.
	 */
	void (*quiesce)(struct device *dev);
	bool (*is_quiet)(struct device *dev);
	/* Undo quiesce(), quiet yet or not. NULL: nothing to undo. */
	void (*resume)(struct device *dev);
	/* Back to power-on state. No vCPU runs, the device is quiet. NULL: it
	 * has no state. */
	void (*reset)(struct device *dev);
	/* The guest reaches the device no more from here on, but for accesses
	 * under way; its slot is free. forced: the guest did not let go and may
	 * still believe in it. NULL for what cannot be unplugged. */
	void (*unplug)(struct device *dev, bool forced);
	/* Somebody pressed the power button. NULL: not the chip for it. */
	void (*power_button)(struct device *dev);
	/*
	 * Be as config says: a params struct, borrowed for the call, in which
	 * only what class->set_params has may differ from what was. Waits for
	 * nothing: what is done on other threads is posted. -errno with a
	 * message that leaves out the id, and nothing changed. Main thread.
	 * NULL: without set_params.
	 */
	int (*set)(struct device *dev, const void *config, struct error *err);
	/* Make the storage behind it `bytes` large, or notice that it is. Takes
	 * as long as the host likes; any thread, dev stays meanwhile. -errno
	 * with a message, nothing changed. NULL: it has none. */
	int (*resize)(struct device *dev, uint64_t bytes, struct error *err);
	/* resize() was done: tell the driver. Main thread. */
	void (*resized)(struct device *dev, uint64_t bytes);
	/* Call emit() for each counter; units as in vmm/stats.h. They are
	 * counted on other threads meanwhile. NULL: there are none. */
	void (*counters)(struct device *dev, device_emit_fn emit, void *arg);
	/* Let go of what open() gave; the guest cannot reach the device any
	 * more, it is quiet, and destroy() is all that comes after. Takes as
	 * long as the host likes; any thread. NULL: nothing is open. */
	void (*release)(struct device *dev);
	/* Free everything, after release(). Accepts a half-built one. */
	void (*destroy)(struct device *dev);
};

/* What a driver did with a device; for board_driver_news(). */
enum device_news {
	DEVICE_FOUND = 1, /* the guest looks at the device */
	DEVICE_ACTIVATED = 2, /* it drives it from now on */
	DEVICE_RESET = 4, /* it let go of it again */
	DEVICE_LINK = 8, /* board_link_news()'s own */
};

/* First member of every device's own struct. */
struct device {
	const struct device_class *class;
	const struct device_ops *ops;
	char id[64];
	/* its place on PCI; both 0: not there */
	unsigned int bus;
	unsigned int slot;
	struct list_node node; /* in one of the board's lists */
	unsigned int pins; /* who uses it on other threads; main thread */
	/* board.c's own */
	struct board *board;
	enum {
		DEVICE_OPEN,
		DEVICE_RELEASING,
		DEVICE_RELEASED,
	} release;
	struct pool_owner pool;
	struct pool_job releasing;
	/* vmm/plug.c's own */
	atomic_uint news; /* any thread: enum device_news, bits */
	atomic_bool driver_active; /* any thread */
	atomic_bool coming; /* any thread: it waits for a driver */
	atomic_bool link_down; /* any thread */
	/* main thread */
	bool active; /* as we have seen it last */
	uint64_t told_ns; /* when nr_told was 0 last */
	unsigned int nr_told; /* of what drivers did */
	unsigned int nr_untold; /* there were too many */
	bool told_link_down;
	uint64_t link_ns; /* when that was told */
	uint64_t
		gone_ns; /* removed: when that is told at the latest; 0: told */
	uint64_t gone_ticket; /* of the removal; 0: none */
};

/* ---- registry ---- */

/* What users name, in registry.def's order; ends with NULL. */
extern const struct device_class *const device_classes[];

#endif
