/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef DEVICES_PCI_PCI_H
#define DEVICES_PCI_PCI_H

#include <linux/pci_regs.h>
#include <stdbool.h>
#include <stdint.h>

#include "devices/pci/msix.h"
#include "vmm/bus.h"
#include "vmm/error.h"
#include "vmm/gmem.h"
#include "vmm/window.h"

/*
 * PCI functions on the root bus and behind its root ports (PCI Local Bus 3.0,
 * PCIe base). Every device is function 0 of its own slot, the only one behind a
 * port; its BARs are memory. Ports are functions of few slots. Configuration
 * accesses are serialised by the root's lock, which is held while a function
 * looks at one; it may take its own lock then, so nobody may take the root's
 * with that of a device held. MSI-X tables have their own locks, inside both.
 */
#define PCI_SLOTS 32
#define PCI_PORTS 31
#define PCI_PLACES (PCI_SLOTS + PCI_PORTS)
#define PCI_CONFIG_SIZE 256

struct board;
struct pci_root;
struct pci_dev;

struct pci_dev_ops {
	/* BAR `bar` now answers at gpa (mapped), or does not any more. vCPU or
	 * main thread, the root's lock held. NULL: nothing to do. */
	void (*bar_moved)(struct pci_dev *dev, unsigned int bar, gpa_t gpa,
			  bool mapped);
	/* Configuration bytes [off, off+len) are about to be read / were
	 * written. The root's lock held. NULL: nothing to do. */
	void (*config_read)(struct pci_dev *dev, unsigned int off,
			    unsigned int len);
	void (*config_written)(struct pci_dev *dev, unsigned int off,
			       unsigned int len);
	/* Of a root port: what was behind it is there no more. Main thread, the
	 * root's lock held. NULL: nothing to do. */
	void (*left)(struct pci_dev *port);
};

struct pci_bar {
	/* set at creation */
	uint64_t size; /* bytes, power of two; 0: none */
	uint8_t type; /* what the register says in its low bits */
	const struct bus_ops *ops;
	void *opaque; /* theirs */
	struct window *window; /* NULL: it is registers */

	/* under the root's lock once plugged */
	gpa_t home; /* address given at power-on */
	gpa_t gpa; /* where it is mapped */
	bool mapped;
};

struct pci_dev {
	/* set at creation, the same for all of a kind */
	const struct pci_dev_ops *ops;
	struct board *board;
	uint8_t msix_cap; /* offset of the capability, 0: none */
	uint8_t next_cap; /* where the next capability goes */
	uint8_t last_cap; /* its predecessor's offset, 0: none */
	uint8_t writable[PCI_CONFIG_SIZE]; /* bits the guest may change */
	/* A register of 16 bits, of which these are taken back by the guest's
	 * writing ones (RW1C), and are not writable. 0: there is none. */
	uint8_t event_reg;
	uint16_t event_bits;

	struct msix msix; /* own lock */

	/* under the root's lock once plugged */
	/* The state, PCI_CONFIG_SIZE bytes: all else follows. */
	uint8_t *config;
	uint8_t own_config[PCI_CONFIG_SIZE]; /* where that is, as a rule */
	struct pci_root *root; /* NULL: off the bus */
	unsigned int bus; /* place as at power-on; 0 is the root bus */
	unsigned int slot;
	unsigned int function; /* of a root port, else 0 */
	unsigned int
		behind; /* of a root port: its other side, as at power-on */
	struct pci_dev *port; /* the one in front, or NULL */
	struct pci_bar bars[PCI_STD_NUM_BARS];
};

static inline bool pci_bar_is_64(const struct pci_bar *bar)
{
	return bar->type & PCI_BASE_ADDRESS_MEM_TYPE_64;
}

/* Bytes of its register, or of both. */
static inline unsigned int pci_bar_width(const struct pci_bar *bar)
{
	return pci_bar_is_64(bar) ? 8 : 4;
}

static inline unsigned int pci_bar_register(unsigned int i)
{
	return PCI_BASE_ADDRESS_0 + 4 * i;
}

/* What is behind a root port. A register of one byte, which senders of interrupts
 * look at without the lock; 0: the guest has not said yet. */
static inline unsigned int pci_port_bus(const struct pci_dev *port)
{
	return __atomic_load_n(&port->config[PCI_SECONDARY_BUS],
			       __ATOMIC_RELAXED);
}

struct pci_ids {
	uint16_t vendor;
	uint16_t device;
	uint16_t subsystem_vendor;
	uint16_t subsystem;
	uint8_t revision;
	uint32_t class_code; /* 24 bits: class, subclass, interface */
};

/* Fill a zeroed dev, which is the caller's storage; where it is to have its config
 * elsewhere, that is set, and zeroed. board and ops are borrowed. It has no BARs.
 * Main thread. */
void pci_dev_init(struct pci_dev *dev, struct board *board,
		  const struct pci_dev_ops *ops, const struct pci_ids *ids);

/*
 * Add a BAR of size bytes, a power of two from 16 up. type: of
 * PCI_BASE_ADDRESS_MEM_TYPE_64, which takes the next BAR's register as well,
 * and PCI_BASE_ADDRESS_MEM_PREFETCH. ops are borrowed, their opaque is dev.
 * Main thread, before pci_plug().
 */
void pci_add_bar(struct pci_dev *dev, unsigned int bar, uint64_t size,
		 uint8_t type, const struct bus_ops *ops);

/*
 * Add a BAR of 64 bits that is memory: a window, which is borrowed, and behind it
 * nothing to the next power of two. It is where the guest has put the BAR at the
 * last time when it was on, and stays when it is only off: Linux switches it off
 * to size others. Main thread, before pci_plug().
 */
void pci_add_window(struct pci_dev *dev, unsigned int bar, struct window *w);

/*
 * Append a capability of len bytes, of which the first two are filled in here
 * and the rest is copied from body + 2. Returns its offset in configuration
 * space; asserts that it fits, as the set is fixed at build time. Main thread,
 * before pci_plug().
 */
uint8_t pci_add_capability(struct pci_dev *dev, uint8_t id, const void *body,
			   uint8_t len);

/*
 * Add MSI-X with nr_vectors, 1 to MSIX_MAX_VECTORS: its table is at table_off
 * and the pending bits at pba_off of BAR 0, in bytes; the BAR's ops pass such
 * accesses on to dev->msix, and msix_notify() sends. Freed by pci_unplug().
 * Main thread, before pci_plug(). -ENOMEM.
 */
int pci_add_msix(struct pci_dev *dev, unsigned int nr_vectors,
		 uint32_t table_off, uint32_t pba_off);

/*
 * Put dev on the machine's bus, with its BARs assigned. slot: 1 to 31, or 0 for
 * the lowest free one. While there is a guest, and there are root ports, it goes
 * behind one of these; the guest assigns its BARs, and slot has to be 0.
 * The guest may use dev before this returns. Main thread.
 * With a message: -EEXIST when the slot is taken, -ENOSPC when all are or there
 * are no addresses for a BAR, -EINVAL when there is no such slot; dev is as
 * before then.
 */
int pci_plug(struct pci_dev *dev, unsigned int slot, struct error *err);
/*
 * Take dev off the bus, but keep what accesses under way on vCPU threads may
 * need until pci_unplug(). It sends no interrupts from now on. forced: the
 * guest may not know yet, so the slot is used again only when no other is left,
 * and the BARs' addresses read as zero. Nothing for one that is off. Main
 * thread.
 */
void pci_detach(struct pci_dev *dev, bool forced);
/* pci_detach(), not forced, if that was not done, and free what pci_add_msix()
 * made; dev may be freed then. Main thread, no vCPU inside an access. */
void pci_unplug(struct pci_dev *dev);

/*
 * Put a root port, which has no BARs, on bus 0; function 0 of a slot comes first,
 * and has to say that there are others. Devices behind it are called by the next
 * bus number from 1 on, which is what a guest writes into its register that
 * numbers buses in this order; it answers to what is in there. It stays until
 * pci_unplug_port(), before which what is behind it is gone. At most PCI_PORTS.
 * Main thread. -EEXIST or -EINVAL with a message, as pci_plug().
 */
int pci_plug_port(struct pci_dev *port, unsigned int slot,
		  unsigned int function, struct error *err);
/* Nothing for one that is off. Main thread. */
void pci_unplug_port(struct pci_dev *port);
/* Is there something behind it? The root's lock held. */
bool pci_port_has_device_locked(const struct pci_dev *port);
/* The root's lock, for what is done to a function that is on the bus beside its
 * ops. No lock of a device held. */
pthread_mutex_t *pci_mutex(struct pci_dev *dev);

/* Who it is to an ITS: bus, slot and function (PCIe base section 2.2.4). Once
 * plugged, any thread. */
uint32_t pci_requester_id(const struct pci_dev *dev);

/* Configuration space, BARs and MSI-X as at power-on; nothing for one that is
 * off the bus. Main thread, no vCPU runs. */
void pci_dev_reset(struct pci_dev *dev);

#endif
