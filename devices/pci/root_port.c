/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Root ports, behind which devices come and go with native hot-plug (PCIe base
 * 6.7, registers in 7.5.3). A slot has a button and a power indicator, but no
 * power controller: the link of a device that comes is up at once, which the
 * guest hears of, and acts on without a button. To let go it is asked by the
 * button, for presence that goes means a surprise, and Linux gives up what was
 * to be written. It has let go when it switches the indicator off (6.7.1.1.2: the
 * adapter may be removed).
 *
 * Commands are complete as soon as they are written, and no interrupt says so.
 *
 * Linux reads the configuration of a port some 180 times before it is up, which is
 * most of what a port costs: the guest is shown it, a page a port, and reads
 * without an exit. So whatever changes is there at once.
 */
#include <errno.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "arch/host.h"
#include "devices/pci/pci.h"
#include "devices/platform/chips.h"
#include "vmm/board.h"
#include "vmm/byteorder.h"
#include "vmm/log.h"
#include "vmm/pages.h"
#include "vmm/util.h"

#define PORT_VENDOR 0x1b36
#define PORT_DEVICE 0x000c
#define PORT_CLASS 0x060400
/* The ports are functions of the last slots. */
#define PORT_FUNCTIONS 8u
#define PORT_FIRST_SLOT 28u
#define PORT_PAGE 4096u /* of ECAM, for a function */

#define PORT_EXP_LEN 0x3c
#define PORT_MSI_LEN 14

/* What happened at a slot; each has its enable bit at the same place. */
#define PORT_EVENTS \
	(PCI_EXP_SLTSTA_ABP | PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC)
#define PORT_CONTROL                                                       \
	(PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_PDCE | PCI_EXP_SLTCTL_HPIE | \
	 PCI_EXP_SLTCTL_PIC | PCI_EXP_SLTCTL_DLLSCE)

/* The root's lock guards all. */
struct root_port {
	struct pci_dev pci;
	uint8_t exp; /* offsets of its capabilities */
	uint8_t msi;
	uint16_t control; /* the slot's registers as seen last */
	uint16_t status;
	bool asked; /* the guest owes an answer */
	bool idle; /* it let go of what is there */
	bool raised; /* an enabled event stands: an interrupt was sent */
	bool unsent; /* or is to be */
};

struct root_ports {
	struct device device;
	unsigned int nr;
	uint8_t *pages; /* their configuration, as it lies in ECAM */
	struct root_port ports[];
};

/* ---- interrupts and events ---- */

static void port_send_locked(struct root_port *port)
{
	const uint8_t *msi = port->pci.config + port->msi;

	port->unsent = false;
	if (!(msi[PCI_MSI_FLAGS] & PCI_MSI_FLAGS_ENABLE))
		return;
	port->unsent = !board_msi(port->pci.board, pci_requester_id(&port->pci),
				  le_load(msi + PCI_MSI_ADDRESS_LO, 8),
				  (uint32_t)le_load(msi + PCI_MSI_DATA_64, 2));
}

static bool port_is_heard_locked(const struct root_port *port)
{
	return port->control & PCI_EXP_SLTCTL_HPIE;
}

static unsigned int port_pending_locked(const struct root_port *port)
{
	return port_is_heard_locked(port)
		       ? port->status & port->control & PORT_EVENTS
		       : 0;
}

/* What is behind it may have changed. An interrupt is sent when the first of the
 * events comes that are enabled (6.7.3.4). */
static void port_update_locked(struct root_port *port)
{
	bool present = pci_port_has_device_locked(&port->pci);
	uint8_t *exp = port->pci.config + port->exp;
	bool raised;

	if (present != !!(port->status & PCI_EXP_SLTSTA_PDS)) {
		port->status ^= PCI_EXP_SLTSTA_PDS;
		port->status |= PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC;
	}
	le_store(exp + PCI_EXP_SLTSTA, port->status, 2);
	le_store(exp + PCI_EXP_LNKSTA,
		 PCI_EXP_LNKSTA_CLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1 |
			 (present ? PCI_EXP_LNKSTA_DLLLA : 0),
		 2);
	arch_clean(port->pci.config, PCI_CONFIG_SIZE);
	raised = port_pending_locked(port);
	if (raised && !port->raised)
		port_send_locked(port);
	port->raised = raised;
}

/* ---- guest: vCPU threads ---- */

static void port_answer_locked(struct root_port *port, bool ejected)
{
	if (!port->asked)
		return;
	port->asked = false;
	board_eject_answer(port->pci.board, HOTPLUG_PCI,
			   hotplug_pci_index(port->pci.behind, 0), ejected);
}

/* The power indicator blinks while the guest makes up its mind. */
static void port_control_locked(struct root_port *port)
{
	unsigned int was = port->control & PCI_EXP_SLTCTL_PIC, is;

	port->control = (uint16_t)le_load(
		port->pci.config + port->exp + PCI_EXP_SLTCTL, 2);
	is = port->control & PCI_EXP_SLTCTL_PIC;
	if (is == was)
		return;
	port->idle = is == PCI_EXP_SLTCTL_PWR_IND_OFF;
	if (port->idle)
		port_answer_locked(port, true);
	else if (is == PCI_EXP_SLTCTL_PWR_IND_ON &&
		 was == PCI_EXP_SLTCTL_PWR_IND_BLINK)
		port_answer_locked(port, false);
}

static void port_left(struct pci_dev *dev)
{
	port_update_locked(container_of(dev, struct root_port, pci));
}

static void port_config_written(struct pci_dev *dev,
				unsigned int off unused_param,
				unsigned int len unused_param)
{
	struct root_port *port = container_of(dev, struct root_port, pci);

	port->status =
		(uint16_t)le_load(dev->config + port->exp + PCI_EXP_SLTSTA, 2);
	port_control_locked(port);
	port_update_locked(port);
}

static const struct pci_dev_ops port_pci_ops = {
	.config_written = port_config_written,
	.left = port_left,
};

/* ---- machine: main thread ---- */

static struct root_port *ports_get(void *opaque, unsigned int index)
{
	struct root_ports *all = opaque;
	unsigned int i = index - hotplug_pci_index(1, 0);

	return index >= hotplug_pci_index(1, 0) && i < all->nr ? &all->ports[i]
							       : NULL;
}

static void port_set_indicator_locked(struct root_port *port, bool on)
{
	unsigned int pic = on ? PCI_EXP_SLTCTL_PWR_IND_ON
			      : PCI_EXP_SLTCTL_PWR_IND_OFF;

	port->control = (uint16_t)((port->control & ~PCI_EXP_SLTCTL_PIC) | pic);
	le_store(port->pci.config + port->exp + PCI_EXP_SLTCTL, port->control,
		 2);
}

static void ports_came(void *opaque, enum hotplug_kind kind unused_param,
		       unsigned int index, gpa_t gpa unused_param,
		       uint64_t len unused_param)
{
	struct root_port *port = ports_get(opaque, index);

	mutex_guard(pci_mutex(&port->pci));
	port->idle = false;
	/* No driver of the port that would. */
	if (!port_is_heard_locked(port))
		port_set_indicator_locked(port, true);
	port_update_locked(port);
}

/* The button. A second press while the indicator blinks would take back the
 * first one. */
static void port_press_locked(struct root_port *port)
{
	if ((port->control & PCI_EXP_SLTCTL_PIC) !=
	    PCI_EXP_SLTCTL_PWR_IND_BLINK)
		port->status |= PCI_EXP_SLTSTA_ABP;
}

static bool port_ask_locked(struct root_port *port, bool on)
{
	bool asked = port->asked;

	/* Something that was taken away by force is missed by itself. */
	port->asked = on && pci_port_has_device_locked(&port->pci);
	if (!on)
		port->status &= (uint16_t)~PCI_EXP_SLTSTA_ABP;
	else if (port->asked && port->idle)
		port_answer_locked(port, true);
	else if (port->asked)
		port_press_locked(port);
	port_update_locked(port);
	return asked;
}

/* Of slots of bus 0 nothing lets go. */
static bool ports_ask(void *opaque, enum hotplug_kind kind unused_param,
		      unsigned int index, bool on)
{
	struct root_port *port = ports_get(opaque, index);

	if (!port)
		return true;
	mutex_guard(pci_mutex(&port->pci));
	return port_ask_locked(port, on);
}

static bool ports_is_heard(void *opaque)
{
	struct root_ports *all = opaque;

	mutex_guard(pci_mutex(&all->ports[0].pci));
	for (unsigned int i = 0; i < all->nr; i++)
		if (port_is_heard_locked(&all->ports[i]))
			return true;
	return false;
}

static bool ports_is_unread(void *opaque, enum hotplug_kind kind unused_param,
			    unsigned int index)
{
	struct root_port *port = ports_get(opaque, index);

	if (!port)
		return false;
	mutex_guard(pci_mutex(&port->pci));
	return port_pending_locked(port);
}

static const struct hotplug_chip_ops ports_guest_ops = {
	.came = ports_came,
	.ask = ports_ask,
	.is_heard = ports_is_heard,
	.is_unread = ports_is_unread,
};

/* ---- registers ---- */

static void port_add_express(struct root_port *port, unsigned int nr)
{
	uint8_t body[PORT_EXP_LEN] = { 0 }, *w;

	le_store(body + PCI_EXP_FLAGS,
		 2 | PCI_EXP_TYPE_ROOT_PORT << 4 | PCI_EXP_FLAGS_SLOT, 2);
	le_store(body + PCI_EXP_LNKCAP,
		 PCI_EXP_LNKCAP_SLS_2_5GB | PCI_EXP_LNKSTA_NLW_X1 |
			 PCI_EXP_LNKCAP_DLLLARC | nr << 24,
		 4);
	le_store(body + PCI_EXP_SLTCAP,
		 PCI_EXP_SLTCAP_ABP | PCI_EXP_SLTCAP_PIP | PCI_EXP_SLTCAP_HPC |
			 PCI_EXP_SLTCAP_NCCS | nr << 19,
		 4);
	port->exp = pci_add_capability(&port->pci, PCI_CAP_ID_EXP, body,
				       sizeof(body));
	w = port->pci.writable + port->exp;
	le_store(w + PCI_EXP_DEVCTL, 0x0f, 2);
	le_store(w + PCI_EXP_SLTCTL, PORT_CONTROL, 2);
	port->pci.event_reg = port->exp + PCI_EXP_SLTSTA;
	port->pci.event_bits = PORT_EVENTS;
}

static void port_add_msi(struct root_port *port)
{
	uint8_t body[PORT_MSI_LEN] = { 0 }, *w;

	le_store(body + PCI_MSI_FLAGS, PCI_MSI_FLAGS_64BIT, 2);
	port->msi = pci_add_capability(&port->pci, PCI_CAP_ID_MSI, body,
				       sizeof(body));
	w = port->pci.writable + port->msi;
	w[PCI_MSI_FLAGS] = PCI_MSI_FLAGS_ENABLE;
	le_store(w + PCI_MSI_ADDRESS_LO, ~3ull, 8);
	le_store(w + PCI_MSI_DATA_64, 0xffff, 2);
}

/* A bridge (PCI-to-PCI bridge 1.2 section 3.2) without I/O. What it forwards is
 * not looked at: a BAR answers wherever the guest puts it. */
static void port_fill(struct root_port *port, struct board *board,
		      unsigned int nr)
{
	static const struct pci_ids ids = { .vendor = PORT_VENDOR,
					    .device = PORT_DEVICE,
					    .class_code = PORT_CLASS };
	uint8_t *w = port->pci.writable, *c;

	pci_dev_init(&port->pci, board, &port_pci_ops, &ids);
	c = port->pci.config;
	c[PCI_HEADER_TYPE] = PCI_HEADER_TYPE_BRIDGE | 0x80;
	le_store(w + PCI_PRIMARY_BUS, 0xffffff, 3);
	le_store(w + PCI_MEMORY_BASE, 0xfff0fff0, 4);
	le_store(w + PCI_PREF_MEMORY_BASE, 0xfff0fff0, 4);
	le_store(c + PCI_PREF_MEMORY_BASE, 0x00010001, 4); /* 64 bits */
	le_store(w + PCI_PREF_BASE_UPPER32, ~0ull, 8);
	le_store(w + PCI_BRIDGE_CONTROL, PCI_BRIDGE_CTL_BUS_RESET, 2);
	port_add_express(port, nr);
	port_add_msi(port);
}

/* What is there at power-on is no event. */
static void port_reset(struct root_port *port)
{
	bool present;

	pci_dev_reset(&port->pci);
	mutex_guard(pci_mutex(&port->pci));
	present = pci_port_has_device_locked(&port->pci);
	port->control = 0;
	port->status = present ? PCI_EXP_SLTSTA_PDS : 0;
	port->asked = port->idle = port->raised = port->unsent = false;
	port_set_indicator_locked(port, present);
	port_update_locked(port);
}

/* ---- life ---- */

static size_t ports_len(const struct root_ports *all)
{
	return (size_t)all->nr * PORT_PAGE;
}

static void ports_reset(struct device *device)
{
	struct root_ports *all =
		container_of(device, struct root_ports, device);

	for (unsigned int i = 0; i < all->nr; i++)
		port_reset(&all->ports[i]);
}

/* Interrupts were held. */
static void ports_resume(struct device *device)
{
	struct root_ports *all =
		container_of(device, struct root_ports, device);

	for (unsigned int i = 0; i < all->nr; i++) {
		struct root_port *port = &all->ports[i];

		mutex_guard(pci_mutex(&port->pci));
		if (port->unsent)
			port_send_locked(port);
	}
}

static void ports_destroy(struct device *device)
{
	struct root_ports *all =
		container_of(device, struct root_ports, device);

	board_set_hotplug(device->board, HOTPLUG_PCI, NULL, NULL);
	for (unsigned int i = all->nr; i-- > 0;)
		pci_unplug_port(&all->ports[i].pci);
	if (all->pages) {
		board_show(device->board, 0, NULL, 0);
		munmap(all->pages, ports_len(all));
	}
	free(all);
}

/* What a function does not have reads as ones. */
static int ports_make_pages(struct root_ports *all, struct error *err)
{
	uint8_t *pages;

	if (!all->nr)
		return 0;
	pages = pages_map_room(ports_len(all), PROT_READ | PROT_WRITE);
	if (pages == MAP_FAILED)
		return error_set(err, errno, "no memory for root ports: %s",
				 strerror(errno));
	all->pages = pages;
	memset(pages, 0xff, ports_len(all));
	for (unsigned int i = 0; i < all->nr; i++) {
		all->ports[i].pci.config = pages + (size_t)i * PORT_PAGE;
		memset(all->ports[i].pci.config, 0, PCI_CONFIG_SIZE);
	}
	return 0;
}

/* Where the host's pages are larger, those that do not fill one are read by
 * exits. */
static void ports_show(struct root_ports *all)
{
	gpa_t gpa = arch_pci.ecam_base + ((gpa_t)PORT_FIRST_SLOT << 15);
	uint64_t len = ALIGN_DOWN(ports_len(all), arch_page_size());

	arch_clean(all->pages, len);
	/* Refused: all are read by exits. */
	if (len)
		board_show(all->device.board, gpa, all->pages, len);
}

static int ports_create(struct board *board, const void *config,
			void *opened unused_param, struct device **out,
			struct error *err)
{
	static const struct device_ops ops = {
		.reset = ports_reset,
		.resume = ports_resume,
		.destroy = ports_destroy,
	};
	const struct chip_place *place = config;
	unsigned int nr = board->nr_ports;
	struct root_ports *all =
		calloc(1, sizeof(*all) + nr * sizeof(all->ports[0]));
	int r = 0;

	if (!all)
		return error_set(err, ENOMEM, "out of memory");
	all->device.class = place->class;
	all->device.ops = &ops;
	all->device.board = board;
	all->nr = nr;
	r = ports_make_pages(all, err);
	for (unsigned int i = 0; i < all->nr && !r; i++) {
		port_fill(&all->ports[i], board, i + 1);
		r = pci_plug_port(&all->ports[i].pci,
				  PORT_FIRST_SLOT + i / PORT_FUNCTIONS,
				  i % PORT_FUNCTIONS, err);
	}
	if (r) {
		ports_destroy(&all->device);
		return r;
	}
	ports_reset(&all->device);
	if (nr) {
		ports_show(all);
		board_set_hotplug(board, HOTPLUG_PCI, &ports_guest_ops, all);
	}
	*out = &all->device;
	return 0;
}

const struct device_class root_ports_class = {
	.name = "root_ports",
	.is_bus = true,
	.create = ports_create,
};
