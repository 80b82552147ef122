/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The root bus: 32 slots behind an ECAM window (PCIe base section 7.2.2), and a
 * bus with one place behind each root port that stands on it.
 * There is no firmware, so BARs are assigned at plug time, prefetchable ones
 * from the 64-bit PCI window, others from the 32-bit one; the guest may move
 * them.
 */
#include <assert.h>
#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "arch/arch.h"
#include "devices/chip.h"
#include "devices/pci/pci.h"
#include "devices/platform/chips.h"
#include "vmm/byteorder.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* BARs share no page, so that a guest can hand one to its user space. */
#define ROOT_BAR_ALIGN 4096u

#define ROOT_HOST_BRIDGE_VENDOR 0x1b36
#define ROOT_HOST_BRIDGE_DEVICE 0x0008
#define ROOT_HOST_BRIDGE_CLASS 0x060000

/* Where the BAR of a function was that was taken away by force. */
struct pci_grave {
	gpa_t gpa;
	uint64_t len; /* bytes, 0: none */
};
#define PCI_GRAVES (PCI_PLACES * PCI_STD_NUM_BARS)

/* The chip's lock guards all but the bridge, and every configuration space. */
struct pci_root {
	struct chip chip;
	struct pci_dev bridge; /* slot 0 */
	/* by hotplug_pci_index(): slots of bus 0, then what is behind ports */
	struct pci_dev *places[PCI_PLACES];
	struct pci_dev *ports[PCI_PORTS + 1]; /* by bus; 0 has none */
	uint64_t stale; /* free, but the guest may not know: bit per place */
	struct pci_grave graves[PCI_GRAVES]; /* one a BAR, by place */
};

static unsigned int pci_place(const struct pci_dev *dev)
{
	return hotplug_pci_index(dev->bus, dev->slot);
}

/* ---- BARs ---- */

static void pci_bar_moved(struct pci_dev *dev, unsigned int i, bool mapped)
{
	dev->bars[i].mapped = mapped;
	if (dev->ops->bar_moved)
		dev->ops->bar_moved(dev, i, dev->bars[i].gpa, mapped);
}

static void pci_bar_unmap(struct pci_dev *dev, unsigned int i)
{
	if (!dev->bars[i].mapped)
		return;
	bus_remove(&dev->board->mmio, dev->bars[i].gpa);
	pci_bar_moved(dev, i, false);
}

/* It answers no more, and is nowhere. */
static void pci_bar_off(struct pci_dev *dev, unsigned int i)
{
	pci_bar_unmap(dev, i);
	if (dev->bars[i].window)
		window_displace(dev->bars[i].window);
}

/*
 * Where a device was taken away by force, its BARs read as zero, not as ones,
 * until the guest has another use for the addresses: Linux' driver waits for a
 * status of 0 before it lets go.
 */
static void grave_read(void *opaque unused_param, uint64_t off unused_param,
		       void *data, unsigned int len)
{
	memset(data, 0, len);
}

static const struct bus_ops grave_ops = { .read = grave_read };

static void root_clear_grave_locked(struct pci_root *root, struct pci_grave *g)
{
	if (g->len)
		bus_remove(&root->chip.board->mmio, g->gpa);
	g->len = 0;
}

/* Those that overlap. */
static void root_clear_graves_locked(struct pci_root *root, gpa_t gpa,
				     uint64_t len)
{
	struct pci_grave *g = root->graves;

	for (; g < root->graves + PCI_GRAVES; g++)
		if (g->len && ranges_overlap(gpa, len, g->gpa, g->len))
			root_clear_grave_locked(root, g);
}

/* Windows that are off stay where they were until something else comes there. */
static void root_clear_windows_locked(struct pci_root *root, gpa_t gpa,
				      const struct pci_bar *comes)
{
	for (unsigned int i = 0; i < PCI_GRAVES; i++) {
		struct pci_dev *dev = root->places[i / PCI_STD_NUM_BARS];
		struct pci_bar *bar = dev ? &dev->bars[i % PCI_STD_NUM_BARS]
					  : NULL;

		if (bar && bar != comes && bar->window && !bar->mapped &&
		    window_overlaps(bar->window, gpa, comes->size))
			window_displace(bar->window);
	}
}

static int pci_bar_answer(struct pci_dev *dev, struct pci_bar *bar, gpa_t gpa)
{
	struct error err;
	int r = bus_add(&dev->board->mmio, gpa, bar->size, bar->ops,
			bar->opaque);

	if (!bar->window)
		return r;
	if (!r) {
		r = window_place(bar->window, gpa, &err);
		if (r)
			bus_remove(&dev->board->mmio, gpa);
	}
	if (r) /* nor where it was */
		window_displace(bar->window);
	return r;
}

static void pci_bar_map(struct pci_dev *dev, unsigned int i, gpa_t gpa)
{
	struct pci_bar *bar = &dev->bars[i];
	int r;

	root_clear_graves_locked(dev->root, gpa, bar->size);
	root_clear_windows_locked(dev->root, gpa, bar);
	r = pci_bar_answer(dev, bar, gpa);
	if (r) {
		/* As on real hardware, two devices at one address is the
		 * guest's affair; the second one does not answer. */
		log_debug("slot %u: BAR %u at %#llx: %s", dev->slot, i,
			  llu(gpa), strerror(-r));
		return;
	}
	bar->gpa = gpa;
	pci_bar_moved(dev, i, true);
}

/* What command register and BAR say. False: it answers nowhere. */
static bool pci_bar_wanted(const struct pci_dev *dev, unsigned int i,
			   gpa_t *gpa)
{
	const struct pci_bar *bar = &dev->bars[i];

	*gpa = le_load(dev->config + pci_bar_register(i), pci_bar_width(bar)) &
	       ~0xfull;
	return bar->size && dev->config[PCI_COMMAND] & PCI_COMMAND_MEMORY;
}

/* Those that have to move, or off. */
static void pci_bars_unmap(struct pci_dev *dev)
{
	gpa_t gpa;

	for (unsigned int i = 0; i < PCI_STD_NUM_BARS; i++)
		if (!pci_bar_wanted(dev, i, &gpa) || gpa != dev->bars[i].gpa)
			pci_bar_unmap(dev, i);
}

static void pci_bars_map(struct pci_dev *dev)
{
	gpa_t gpa;

	for (unsigned int i = 0; i < PCI_STD_NUM_BARS; i++)
		if (!dev->bars[i].mapped && pci_bar_wanted(dev, i, &gpa))
			pci_bar_map(dev, i, gpa);
}

/* dev's BARs or command register were written. Where one was may be what others
 * wait for. */
static void pci_bars_update(struct pci_dev *dev)
{
	struct pci_dev *const *place = dev->root->places;

	pci_bars_unmap(dev);
	for (; place < dev->root->places + PCI_PLACES; place++)
		if (*place)
			pci_bars_map(*place);
}

/* ---- configuration space ---- */

/* What the byte at off becomes when the guest writes v there. */
static uint8_t pci_config_next(const struct pci_dev *dev, unsigned int off,
			       uint8_t v)
{
	uint8_t w = dev->writable[off], events = 0;

	if (dev->event_reg && ranges_overlap(off, 1, dev->event_reg, 2))
		events = (uint8_t)(dev->event_bits >>
				   8 * (off - dev->event_reg));
	return (uint8_t)(((dev->config[off] & ~w) | (v & w)) & ~(v & events));
}

/* A guest that reads meanwhile finds what was or what will be. */
static void pci_config_write(struct pci_dev *dev, unsigned int off,
			     uint64_t value, unsigned int len)
{
	for (unsigned int i = 0; i < len; i++)
		__atomic_store_n(&dev->config[off + i],
				 pci_config_next(dev, off + i,
						 (uint8_t)(value >> 8 * i)),
				 __ATOMIC_RELAXED);
	if (ranges_overlap(off, len, PCI_COMMAND, 1) ||
	    ranges_overlap(off, len, PCI_BASE_ADDRESS_0, 4 * PCI_STD_NUM_BARS))
		pci_bars_update(dev);
	if (dev->msix_cap && ranges_overlap(off, len, dev->msix_cap + 3u, 1)) {
		uint8_t control = dev->config[dev->msix_cap + 3];

		msix_set_control(&dev->msix, control & 0x80, control & 0x40);
	}
	if (dev->ops->config_written)
		dev->ops->config_written(dev, off, len);
}

/* Who answers there. Of ports, the lowest one that has the bus. */
static struct pci_dev *root_find_locked(struct pci_root *root, unsigned int bus,
					unsigned int slot,
					unsigned int function)
{
	if (!bus && !function)
		return root->places[slot];
	for (unsigned int i = 1; i <= PCI_PORTS; i++) {
		struct pci_dev *port = root->ports[i];

		if (!port)
			continue;
		if (!bus && port->slot == slot && port->function == function)
			return port;
		if (bus && pci_port_bus(port) == bus)
			return slot || function
				       ? NULL
				       : root->places[hotplug_pci_index(i, 0)];
	}
	return NULL;
}

/*
 * ECAM: bus in bits 20 up, device 19..15, function 14..12, register 11..0. No
 * function here has the extended registers from 0x100 up; a kernel that sees so
 * does not look for capabilities there.
 */
static struct pci_dev *root_decode_locked(struct chip *chip, uint64_t off,
					  unsigned int len, unsigned int *reg)
{
	struct pci_root *root = container_of(chip, struct pci_root, chip);

	*reg = off & 0xfff;
	if (off >> 28 || *reg + len > PCI_CONFIG_SIZE)
		return NULL;
	return root_find_locked(root, off >> 20 & 255, off >> 15 & 31,
				off >> 12 & 7);
}

static uint64_t root_ecam_read(struct chip *chip, uint64_t off,
			       unsigned int len)
{
	unsigned int reg;
	struct pci_dev *dev = root_decode_locked(chip, off, len, &reg);

	if (!dev)
		return UINT64_MAX;
	if (dev->ops->config_read)
		dev->ops->config_read(dev, reg, len);
	return le_load(dev->config + reg, len);
}

static void root_ecam_write(struct chip *chip, uint64_t off, uint64_t value,
			    unsigned int len)
{
	unsigned int reg;
	struct pci_dev *dev = root_decode_locked(chip, off, len, &reg);

	if (dev)
		pci_config_write(dev, reg, value, len);
}

/* ---- addresses for BARs ---- */

/* What dev's BARs may use of [gpa, gpa + len): the byte behind the one in the
 * way, or 0. Homes count, which a reset returns to, and where the guest put
 * them. */
static gpa_t pci_bars_end(const struct pci_dev *dev, gpa_t gpa, uint64_t len)
{
	for (unsigned int i = 0; i < PCI_STD_NUM_BARS; i++) {
		const struct pci_bar *bar = &dev->bars[i];

		if (bar->home && ranges_overlap(gpa, len, bar->home, bar->size))
			return bar->home + bar->size;
		if (bar->mapped &&
		    ranges_overlap(gpa, len, bar->gpa, bar->size))
			return bar->gpa + bar->size;
	}
	return 0;
}

/* The byte behind what is in the way of [gpa, gpa + len); 0: nothing is. A
 * grave is: its slot's driver may believe in it. */
static gpa_t root_taken_end_locked(const struct pci_root *root,
				   const struct pci_dev *dev, gpa_t gpa,
				   uint64_t len)
{
	const struct pci_grave *g = root->graves;
	gpa_t end = pci_bars_end(dev, gpa, len);

	for (unsigned int i = 0; i < PCI_PLACES && !end; i++)
		if (root->places[i])
			end = pci_bars_end(root->places[i], gpa, len);
	for (; g < root->graves + PCI_GRAVES && !end; g++)
		if (g->len && ranges_overlap(gpa, len, g->gpa, g->len))
			end = g->gpa + g->len;
	return end;
}

/* The lowest free addresses for size bytes in the window. False: there are
 * none. */
static bool root_find_room_locked(const struct pci_root *root,
				  const struct pci_dev *dev, gpa_t base,
				  uint64_t window_len, struct pci_bar *bar)
{
	uint64_t align = MAX(bar->size, (uint64_t)ROOT_BAR_ALIGN);
	gpa_t gpa, taken = base;

	do {
		gpa = ALIGN_UP(taken, align);
		if (gpa < taken || gpa - base >= window_len ||
		    window_len - (gpa - base) < bar->size)
			return false;
		taken = root_taken_end_locked(root, dev, gpa, bar->size);
	} while (taken > gpa);
	bar->home = gpa;
	return true;
}

/* Prefetchable memory goes above 4 GiB, as real firmware has it. */
static bool root_give_home_locked(const struct pci_root *root,
				  const struct pci_dev *dev,
				  struct pci_bar *bar)
{
	bool is_64 = pci_bar_is_64(bar);
	uint64_t len64;
	gpa_t base64 = arch_pci_mmio64(&dev->board->gmem, &len64);

	if (!(is_64 && bar->type & PCI_BASE_ADDRESS_MEM_PREFETCH) &&
	    root_find_room_locked(root, dev, arch_pci.mmio32_base,
				  arch_pci.mmio32_len, bar))
		return true;
	return is_64 && root_find_room_locked(root, dev, base64, len64, bar);
}

/* behind: a root port, where BARs have none, for the guest assigns them. */
static int root_give_homes_locked(const struct pci_root *root,
				  struct pci_dev *dev, bool behind,
				  struct error *err)
{
	struct pci_bar *bar = dev->bars;

	for (; bar < dev->bars + PCI_STD_NUM_BARS; bar++)
		bar->home = 0;
	for (bar = dev->bars; bar < dev->bars + PCI_STD_NUM_BARS; bar++)
		if (bar->size && !behind &&
		    !root_give_home_locked(root, dev, bar))
			return error_set(
				err, ENOSPC,
				"the guest has no addresses left for %llu MiB of a device; make it smaller, or remove another",
				mib(bar->size));
	return 0;
}

/* ---- plug, unplug, reset ---- */

static void pci_power_on(struct pci_dev *dev)
{
	for (unsigned int i = 0; i < PCI_CONFIG_SIZE; i++)
		dev->config[i] &= (uint8_t)~dev->writable[i];
	if (dev->msix_cap)
		msix_reset(&dev->msix);
	for (unsigned int i = 0; i < PCI_STD_NUM_BARS; i++)
		if (dev->bars[i].size)
			le_store(dev->config + pci_bar_register(i),
				 dev->bars[i].home | dev->bars[i].type,
				 pci_bar_width(&dev->bars[i]));
}

/* The lowest free place of [from, to) that the guest knows to be free, else the
 * lowest free one; PCI_PLACES when all are taken. */
static unsigned int root_free_place_locked(const struct pci_root *root,
					   unsigned int from, unsigned int to)
{
	unsigned int stale = PCI_PLACES, known = PCI_PLACES;

	for (unsigned int i = to; i-- > from;) {
		if (root->places[i])
			continue;
		if (root->stale >> i & 1)
			stale = i;
		else
			known = i;
	}
	return known < PCI_PLACES ? known : stale;
}

/* The place behind a root port for a device that comes while the guest is there;
 * -errno. Ports are numbered from bus 1, without gaps. */
static int root_choose_port_locked(const struct pci_root *root,
				   unsigned int wanted, struct error *err)
{
	unsigned int nr = 0, i;

	if (wanted)
		return error_set(
			err, EINVAL,
			"PCI slot %u: a device that is plugged goes behind a root port; choose none",
			wanted);
	while (nr < PCI_PORTS && root->ports[nr + 1])
		nr++;
	i = root_free_place_locked(root, PCI_SLOTS, PCI_SLOTS + nr);
	if (i == PCI_PLACES)
		return error_set(
			err, ENOSPC,
			"all %u root ports have a device; remove one%s", nr,
			nr < PCI_PORTS ? ", or start with more hotplug_ports"
				       : "");
	return (int)i;
}

/* The slot for a device that wants this one, or any (0). -errno. */
static int root_choose_slot_locked(const struct pci_root *root,
				   unsigned int wanted, struct error *err)
{
	unsigned int slot = wanted ? wanted
				   : root_free_place_locked(root, 1, PCI_SLOTS);

	if (wanted >= PCI_SLOTS)
		return error_set(err, EINVAL,
				 "PCI slot %u: there are 1 to %d; choose one",
				 wanted, PCI_SLOTS - 1);
	if (slot == PCI_PLACES)
		return error_set(
			err, ENOSPC,
			"the PCI bus is full: %d devices at most; remove one",
			PCI_SLOTS - 1);
	if (root->places[slot])
		return error_set(
			err, EEXIST,
			"PCI slot %u: another device is there; choose another",
			slot);
	return (int)slot;
}

static int root_plug_locked(struct pci_root *root, struct pci_dev *dev,
			    unsigned int place, struct error *err)
{
	int r;

	for (unsigned int i = 0; i < PCI_STD_NUM_BARS; i++)
		root_clear_grave_locked(
			root, &root->graves[place * PCI_STD_NUM_BARS + i]);
	r = root_give_homes_locked(root, dev, place >= PCI_SLOTS, err);
	if (r)
		return r;
	dev->root = root;
	dev->bus = place < PCI_SLOTS ? 0 : place - PCI_SLOTS + 1;
	dev->slot = place < PCI_SLOTS ? place : 0;
	dev->port = root->ports[dev->bus];
	pci_power_on(dev);
	root->places[place] = dev;
	root->stale &= ~(1ull << place);
	return 0;
}

static struct pci_root *root_find(struct board *board)
{
	struct device *found = board_find_class(board, "pci_root");

	return container_of(found, struct pci_root, chip.device);
}

int pci_plug(struct pci_dev *dev, unsigned int slot, struct error *err)
{
	struct pci_root *root = root_find(dev->board);
	int r;

	mutex_guard(&root->chip.lock);
	if (root->ports[1] && dev->board->run != BOARD_STOPPED)
		r = root_choose_port_locked(root, slot, err);
	else
		r = root_choose_slot_locked(root, slot, err);
	return r < 0 ? r : root_plug_locked(root, dev, (unsigned int)r, err);
}

int pci_plug_port(struct pci_dev *port, unsigned int slot,
		  unsigned int function, struct error *err)
{
	struct pci_root *root = root_find(port->board);
	unsigned int bus = 1;
	int r = 0;

	mutex_guard(&root->chip.lock);
	while (bus <= PCI_PORTS && root->ports[bus])
		bus++;
	assert(bus <= PCI_PORTS && function < 8);
	if (!function)
		r = root_choose_slot_locked(root, slot, err);
	if (r < 0)
		return r;
	port->root = root;
	port->slot = slot;
	port->function = function;
	port->behind = bus;
	pci_power_on(port);
	root->ports[bus] = port;
	if (!function)
		root->places[slot] = port;
	return 0;
}

void pci_unplug_port(struct pci_dev *port)
{
	struct pci_root *root = port->root;

	if (!root)
		return;
	mutex_guard(&root->chip.lock);
	root->ports[port->behind] = NULL;
	if (!port->function)
		root->places[port->slot] = NULL;
	port->root = NULL;
}

bool pci_port_has_device_locked(const struct pci_dev *port)
{
	return port->root->places[hotplug_pci_index(port->behind, 0)];
}

pthread_mutex_t *pci_mutex(struct pci_dev *dev)
{
	return &dev->root->chip.lock;
}

/* A BAR that the guest may believe in leaves a grave. */
static void pci_bury_locked(struct pci_dev *dev, unsigned int i, bool forced)
{
	struct pci_grave *g =
		&dev->root->graves[pci_place(dev) * PCI_STD_NUM_BARS + i];
	bool dig = forced && dev->bars[i].mapped;

	pci_bar_off(dev, i);
	if (!dig)
		return;
	*g = (struct pci_grave){ dev->bars[i].gpa, dev->bars[i].size };
	if (bus_add(&dev->board->mmio, g->gpa, g->len, &grave_ops, dev->root))
		g->len = 0;
}

void pci_detach(struct pci_dev *dev, bool forced)
{
	struct pci_root *root = dev->root;

	if (!root)
		return;
	mutex_guard(&root->chip.lock);
	for (unsigned int i = 0; i < PCI_STD_NUM_BARS; i++)
		pci_bury_locked(dev, i, forced);
	if (dev->msix_cap)
		msix_set_control(&dev->msix, false, true);
	root->places[pci_place(dev)] = NULL;
	if (forced)
		root->stale |= 1ull << pci_place(dev);
	if (dev->port && dev->port->ops->left)
		dev->port->ops->left(dev->port);
	dev->root = NULL;
}

void pci_unplug(struct pci_dev *dev)
{
	pci_detach(dev, false);
	msix_fini(&dev->msix);
}

void pci_dev_reset(struct pci_dev *dev)
{
	if (!dev->root)
		return;
	mutex_guard(&dev->root->chip.lock);
	for (unsigned int i = 0; i < PCI_STD_NUM_BARS; i++)
		pci_bar_off(dev, i);
	pci_power_on(dev);
}

/* ---- the bridge itself ---- */

static void root_reset(struct device *device)
{
	struct pci_root *root =
		container_of(device, struct pci_root, chip.device);

	pci_power_on(&root->bridge);
	root->stale = 0;
	root_clear_graves_locked(root, 0, UINT64_MAX);
}

/* Interrupts were held. */
static void root_resume(struct device *device)
{
	struct pci_root *root =
		container_of(device, struct pci_root, chip.device);

	mutex_guard(&root->chip.lock);
	for (unsigned int i = 0; i < PCI_PLACES; i++)
		if (root->places[i] && root->places[i]->msix_cap)
			msix_flush(&root->places[i]->msix);
}

static void root_destroy(struct device *device)
{
	struct pci_root *root =
		container_of(device, struct pci_root, chip.device);

	root_clear_graves_locked(root, 0, UINT64_MAX);
	chip_destroy(device);
}

static int root_init(struct chip *chip, struct error *err unused_param)
{
	static const struct pci_dev_ops bridge_ops = { 0 };
	static const struct pci_ids ids = {
		.vendor = ROOT_HOST_BRIDGE_VENDOR,
		.device = ROOT_HOST_BRIDGE_DEVICE,
		.class_code = ROOT_HOST_BRIDGE_CLASS,
	};
	struct pci_root *root = container_of(chip, struct pci_root, chip);

	pci_dev_init(&root->bridge, chip->board, &bridge_ops, &ids);
	root->bridge.root = root;
	root->places[0] = &root->bridge;
	return 0;
}

static const struct chip_kind pci_root = {
	.size = sizeof(struct pci_root),
	.read = root_ecam_read,
	.write = root_ecam_write,
	.init = root_init,
	.ops = {
		.reset = root_reset,
		.resume = root_resume,
		.destroy = root_destroy,
	},
};

const struct device_class pci_root_class =
	CHIP_CLASS("pci_root", &pci_root, .is_bus = true);
