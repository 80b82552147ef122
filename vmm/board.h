/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_BOARD_H
#define VMM_BOARD_H

#include <stdatomic.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/device.h"
#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/gmem.h"
#include "vmm/hotplug_chip.h"
#include "vmm/list.h"
#include "vmm/loop.h"
#include "vmm/window.h"

/*
 * What devices see of their machine: buses, memory, loops, interrupts, names.
 * It knows neither KVM nor the order of a machine's life. Tests build one
 * without KVM.
 */
struct board;
struct serial_config;

#define BOARD_MAX_IO_LOOPS 8

/* Why the guest stopped running. */
enum vm_event {
	VM_EVENT_NONE,
	VM_EVENT_POWEROFF, /* the guest switched itself off */
	VM_EVENT_RESET, /* reset register or triple fault */
	VM_EVENT_STOP, /* the host asked for the end */
	VM_EVENT_FAULT, /* KVM gave up on the guest */
};

/* What the guest is doing. */
enum board_run {
	BOARD_STOPPED, /* no vCPU runs: not yet, or not any more */
	BOARD_RUNNING,
	BOARD_PAUSED, /* vCPUs and devices are held */
};

/* One message-signalled interrupt, as for board_msi(). */
struct board_msi {
	uint32_t devid;
	uint32_t data;
	uint64_t addr;
};

/* What runs the guest (KVM, or a test's double) does this for the board. Any
 * thread. */
struct board_ops {
	/* Send a message (board_msi(), not held), set a line (board_set_line()). */
	void (*msi)(void *opaque, uint32_t devid, uint64_t addr, uint32_t data);
	void (*line)(void *opaque, uint32_t gsi, bool level);
	/* As board_ioeventfd(). */
	int (*ioeventfd)(void *opaque, gpa_t gpa, int event_fd, bool assign);
	/* As board_msi_fd(). NULL: it cannot be had. */
	int (*msi_fd)(void *opaque, int event_fd, const struct board_msi *msi);
	/* As board_show(). NULL: it cannot be had. */
	int (*show)(void *opaque, gpa_t gpa, const void *hva, uint64_t len);
};

#define BOARD_ANSWER_WORDS (HOTPLUG_MAX_INDEX / 64u)

struct board {
	/* set at creation */
	const struct board_ops *ops;
	void *ops_opaque;
	struct loop *main_loop; /* borrowed */
	const struct serial_config *serial; /* the serial port's other end */
	unsigned int nr_ports; /* for devices that come, where they need any */
	/* Posted to the main loop; whoever wants to know sets them, before
	 * there are devices. NULL: nobody does. */
	struct loop_call *on_event; /* event was set */
	struct loop_call *on_quiet; /* board_device_quiet() */
	struct loop_call *on_news; /* board_driver_news() */
	struct loop_call *on_answer; /* board_eject_answer() */

	/* any thread, own locks */
	struct gmem gmem;
	struct bus pio;
	struct bus mmio;
	struct windows windows; /* of devices */
	/* enum vm_event: the first one counts, but any other replaces a reset */
	_Atomic int event;

	atomic_bool irqs_held; /* board_hold_irqs() */
	/* What the guest answered, until it is taken: bits, by index */
	_Atomic uint64_t ejected[HOTPLUG_KINDS][BOARD_ANSWER_WORDS];
	_Atomic uint64_t refused[HOTPLUG_KINDS][BOARD_ANSWER_WORDS];

	/* set by a chip at its creation (main thread); read by any thread */
	void (*line_sink)(void *opaque, uint32_t gsi, bool level);
	void *line_opaque;

	/* main thread */
	enum board_run run; /* its owner's to set */
	/* Who tells the guest what comes and goes; ops NULL: nobody does. */
	struct board_hotplug {
		const struct hotplug_chip_ops *ops;
		void *opaque;
	} hotplug[HOTPLUG_KINDS];
	struct list_node devices; /* in order of creation */
	/* The guest has them no more, but the host has requests of theirs. */
	struct list_node gone;
	unsigned int nr_cpus; /* that the guest has now: 0 .. nr_cpus - 1 */
	struct loop *io_loops[BOARD_MAX_IO_LOOPS];
	unsigned int nr_io_loops;
	unsigned int next_io_loop;
	/* Where a device that is made goes on the PCI bus, set around
	 * board_add_device(); 0: the lowest free slot. */
	unsigned int next_slot;
};

/* Main thread. board: the owner's storage, zeroed; main_loop is borrowed.
 * gmem is the owner's to fill, and to end; ops are set later. */
void board_init(struct board *board, struct loop *main_loop);
/* End the I/O loops. Devices are gone by then. Main thread. */
void board_fini(struct board *board);

/*
 * The guest stopped, or is to stop: vCPUs leave the guest for good. Any thread.
 */
void board_raise(struct board *board, enum vm_event event);

/*
 * Kicks by a guest write to gpa (any width) wake event_fd, with no exit to
 * this process. assign false takes it back. Any thread. -errno.
 */
int board_ioeventfd(struct board *board, gpa_t gpa, int event_fd, bool assign);

/*
 * What the guest reads in [gpa, gpa + len) is this process's memory at hva from now
 * on, and no access of a bus; what it writes there still is. All three are multiples
 * of arch_page_size(). There is one such range; len 0: none any more, and the VM
 * goes. Main thread, no vCPU runs. -errno: reads go to the bus, too.
 */
int board_show(struct board *board, gpa_t gpa, const void *hva, uint64_t len);

/*
 * The loop for one more queue: I/O threads are started on demand, one per
 * vCPU up to the host's CPUs and BOARD_MAX_IO_LOOPS, and shared in turn.
 * Borrowed until board_fini(). Main thread. NULL with a message.
 */
struct loop *board_io_loop(struct board *board, struct error *err);

/* The device of a class that there is one of (the PCI root), or NULL. Main
 * thread. */
struct device *board_find_class(struct board *board, const char *class_name);

/* Make a device, as class->create(), and put it at the end of the list. Main
 * thread. -errno with a message; nothing is left behind, opened is the
 * caller's. out may be NULL. */
int board_add_device(struct board *board, const struct device_class *class,
		     const void *config, void *opened, struct device **out,
		     struct error *err);

/* A device that was asked to quiesce is quiet now; the main loop will look
 * which. Any thread, no lock held. */
void board_device_quiet(struct board *board);
/* dev is quiet, and no other thread uses it. Main thread. */
bool board_is_quiet(struct device *dev);
/* The first device that is not, gone or there; NULL: all are. Main thread. */
struct device *board_find_busy(struct board *board);
/*
 * dev is quiet, and has let go of what it had open: destroy() may be called.
 * The former begins the latter, and when that is done, board_device_quiet() is
 * called. Main thread.
 */
bool board_may_destroy(struct device *dev);

/* A driver did something with dev; the main loop will look into it. Any
 * thread, with the device's lock or without. */
void board_driver_news(struct board *board, struct device *dev,
		       enum device_news news);

/* What the guest of a network sees of its link; it is up when the device comes.
 * The main loop will tell. Any thread, with the device's lock or without. */
void board_link_news(struct board *board, struct device *dev, bool up);

/* A chip that does hot-plug of this kind comes (NULL: goes). A machine may have
 * one for each kind, one for all, or none. Main thread. */
void board_set_hotplug(struct board *board, enum hotplug_kind kind,
		       const struct hotplug_chip_ops *ops, void *opaque);

/* The guest let go of what it was asked for (ejected), or says that it will
 * not. Any thread. */
void board_eject_answer(struct board *board, enum hotplug_kind kind,
			unsigned int index, bool ejected);

/* ---- interrupts ---- */

/*
 * Interrupts to the guest's interrupt controllers. Any thread, no lock needed.
 * Errors can only come from a machine that is going away; they are logged.
 */

/*
 * Send one message-signalled interrupt, of the PCI function with this
 * requester id (bus, slot and function; an ITS asks for it). False: interrupts
 * are held; the caller keeps it, and sends it when its device resumes.
 */
bool board_msi(struct board *board, uint32_t devid, uint64_t addr,
	       uint32_t data);

/*
 * Each signal of event_fd from now on sends this message, instead of the one
 * before, without this process; NULL: none any more. Held or not. -errno: it
 * sends none, and is for the caller to read.
 */
int board_msi_fd(struct board *board, int event_fd,
		 const struct board_msi *msi);

/* From now on no message is sent; on false, they are sent again. Main thread,
 * no vCPU runs; devices may still end what they have begun. */
void board_hold_irqs(struct board *board, bool on);

/* Set the level of an interrupt line: of a controller in this process when
 * there is one, else of KVM's. */
void board_set_line(struct board *board, uint32_t gsi, bool level);

/* One pulse of a line: what an edge-triggered interrupt takes. */
void board_pulse_line(struct board *board, uint32_t gsi);

/* A controller in this process takes the lines, from any thread; NULL: KVM's
 * again. Main thread, before the devices that use lines. */
void board_set_line_sink(struct board *board,
			 void (*sink)(void *opaque, uint32_t gsi, bool level),
			 void *opaque);

#endif
