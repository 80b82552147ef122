/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The bus, and a function with one BAR. */
#include "devices/chip.h"
#include "tests/unit/pci_fixture.h"

static gpa_t home(unsigned int slot)
{
	return fake_cfg_read(&fv, slot, PCI_BASE_ADDRESS_0, 8) & ~0xfull;
}

static void test_header(void **state unused_param)
{
	assert_int_equal(cfg(1, PCI_VENDOR_ID, 4), 0x56781234);
	assert_int_equal(cfg(1, PCI_VENDOR_ID, 2), 0x1234);
	assert_int_equal(cfg(1, PCI_DEVICE_ID + 1, 1), 0x56);
	assert_int_equal(cfg(1, PCI_REVISION_ID, 4), 0x01800107);
	assert_int_equal(cfg(1, 0x0c, 4), 0); /* type 0, one function */
	assert_int_equal(cfg(1, PCI_SUBSYSTEM_VENDOR_ID, 4), 0xdef09abc);
	assert_int_equal(cfg(1, PCI_STATUS, 2), PCI_STATUS_CAP_LIST);
	assert_int_equal(cfg(1, PCI_COMMAND, 2), 0);
	assert_int_equal(cards[1].config_reads, 8);
}

static void test_bridge(void **state unused_param)
{
	assert_int_equal(cfg(0, PCI_CLASS_PROG, 1), 0);
	assert_int_equal(cfg(0, PCI_CLASS_PROG + 1, 2), 0x0600);
	/* No BAR: sizing it finds nothing. */
	fake_cfg_write(&fv, 0, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	assert_int_equal(cfg(0, PCI_BASE_ADDRESS_0, 4), 0);
	enable(0, true);
}

static void test_decode(void **state unused_param)
{
	assert_int_equal(cfg(2, PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(cfg(31, PCI_VENDOR_ID, 2), 0xffff);
	/* Functions 1 to 7 of the slot are not there. */
	assert_int_equal(cfg(1, 1 << 12 | PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(cfg(1, 7 << 12 | PCI_VENDOR_ID, 4), 0xffffffff);
	fake_cfg_write(&fv, 1, 1 << 12 | PCI_COMMAND, 2, 2);
	fake_cfg_write(&fv, 2, PCI_COMMAND, 2, 2);
	assert_int_equal(cfg(1, PCI_COMMAND, 2), 0);
	/* There is no extended space. */
	assert_int_equal(cfg(1, 0x100, 4), 0xffffffff);
	assert_int_equal(cfg(1, 0xffc, 4), 0xffffffff);
	fake_cfg_write(&fv, 1, 0x100, 0, 4);
	assert_int_equal(cfg(1, 0x100, 4), 0xffffffff);
	assert_int_equal(cfg(0, 0x100, 4), 0xffffffff);
	assert_int_equal(cfg(2, 0x100, 4), 0xffffffff);
}

static void test_read_only(void **state unused_param)
{
	uint8_t before[PCI_CONFIG_SIZE];
	unsigned int off;

	for (off = 0; off < PCI_CONFIG_SIZE; off++)
		before[off] = (uint8_t)cfg(1, off, 1);
	for (off = 0; off < PCI_CONFIG_SIZE; off += 4)
		if (off != PCI_BASE_ADDRESS_0 && off != PCI_BASE_ADDRESS_0 + 4)
			fake_cfg_write(&fv, 1, off, 0xffffffff, 4);
	for (off = 0; off < PCI_CONFIG_SIZE; off++) {
		uint8_t now = (uint8_t)cfg(1, off, 1);

		if (off == PCI_COMMAND)
			assert_int_equal(now, 6);
		else if (off == PCI_COMMAND + 1)
			assert_int_equal(now, 4);
		else if (off == 0x3c)
			assert_int_equal(now, 0xff);
		else if (off == cards[1].pci.msix_cap + 3u)
			assert_int_equal(now, 0xc0);
		else
			assert_int_equal(now, before[off]);
	}
}

static void test_capabilities(void **state unused_param)
{
	unsigned int at = cfg(1, PCI_CAPABILITY_LIST, 1);

	assert_int_equal(at, PCI_STD_HEADER_SIZEOF);
	assert_int_equal(cfg(1, at, 1), PCI_CAP_ID_MSIX);
	assert_int_equal(cfg(1, at + 2, 2), 3); /* four vectors */
	assert_int_equal(cfg(1, at + 4, 4), 0x1000);
	assert_int_equal(cfg(1, at + 8, 4), 0x2000);
	at = cfg(1, at + 1, 1);
	assert_int_equal(cfg(1, at, 1), PCI_CAP_ID_VNDR);
	assert_int_equal(cfg(1, at + 1, 1), 0);
	assert_int_equal(cfg(1, at + 2, 1), CAP_LEN);
	assert_int_equal(cfg(1, at + 4, 4), 0x05040302);
}

static void test_bar_sizing(void **state unused_param)
{
	gpa_t at = home(1);

	assert_true(at >= arch_pci.mmio32_base);
	assert_true(at + BAR_SIZE <=
		    arch_pci.mmio32_base + arch_pci.mmio32_len);
	assert_int_equal(cfg(1, PCI_BASE_ADDRESS_0, 1) & 0xf,
			 PCI_BASE_ADDRESS_MEM_TYPE_64);
	fake_cfg_write(&fv, 1, PCI_BASE_ADDRESS_0, 0xffffffff, 4);
	fake_cfg_write(&fv, 1, PCI_BASE_ADDRESS_0 + 4, 0xffffffff, 4);
	assert_int_equal(cfg(1, PCI_BASE_ADDRESS_0, 4),
			 (uint32_t) ~(BAR_SIZE - 1) |
				 PCI_BASE_ADDRESS_MEM_TYPE_64);
	assert_int_equal(cfg(1, PCI_BASE_ADDRESS_0 + 4, 4), 0xffffffff);
	/* The other BARs and the ROM are not there. */
	fake_cfg_write(&fv, 1, 0x18, 0xffffffff, 4);
	fake_cfg_write(&fv, 1, 0x30, 0xffffffff, 4);
	assert_int_equal(cfg(1, 0x18, 4), 0);
	assert_int_equal(cfg(1, 0x30, 4), 0);
	move(1, at);
	enable(1, true);
	assert_int_equal(cards[1].mapped_at, at);
}

static void test_bar_access(void **state unused_param)
{
	gpa_t at = home(1);

	assert_int_equal(fake_mmio_read(&fv, at, 4), 0xffffffff);
	assert_int_equal(cards[1].accesses, 0);
	enable(1, true);
	assert_int_equal(fake_mmio_read(&fv, at + 0x123, 2), 0x5a5a);
	assert_int_equal(cards[1].last_off, 0x123);
	fake_mmio_write(&fv, at + BAR_SIZE - 8, 0x1122334455667788, 8);
	assert_int_equal(cards[1].last_off, BAR_SIZE - 8);
	assert_int_equal(cards[1].last_value, 0x1122334455667788);
	assert_int_equal(cards[1].accesses, 2);
	/* Outside, and half outside. */
	assert_int_equal(fake_mmio_read(&fv, at + BAR_SIZE, 1), 0xff);
	assert_int_equal(fake_mmio_read(&fv, at + BAR_SIZE - 2, 4), 0xffffffff);
	assert_int_equal(fake_mmio_read(&fv, at - 1, 1), 0xff);
	assert_int_equal(cards[1].accesses, 2);
	enable(1, false);
	assert_int_equal(cards[1].mapped_at, 0);
	assert_int_equal(fake_mmio_read(&fv, at, 4), 0xffffffff);
	assert_int_equal(cards[1].accesses, 2);
}

static void test_bar_relocation(void **state unused_param)
{
	const gpa_t low = arch_pci.mmio32_base + 0x1800000;
	const gpa_t high = 0x4000000000ull;
	gpa_t at = home(1);

	enable(1, true);
	move(1, low);
	assert_int_equal(cards[1].mapped_at, low);
	assert_int_equal(fake_mmio_read(&fv, at, 1), 0xff);
	assert_int_equal(fake_mmio_read(&fv, low, 1), 0x5a);
	/* In halves, with decoding on: it stops on the way. */
	move(1, high);
	assert_int_equal(cards[1].mapped_at, high);
	assert_int_equal(fake_mmio_read(&fv, high + 1, 1), 0x5a);
	/* One 64-bit write. */
	fake_cfg_write(&fv, 1, PCI_BASE_ADDRESS_0, low, 8);
	assert_int_equal(cards[1].mapped_at, low);
	/* Sizing with decoding on: at the top of memory, then back. */
	move(1, UINT64_MAX);
	move(1, low);
	assert_int_equal(fake_mmio_read(&fv, low, 1), 0x5a);
	/* Moved while off. */
	enable(1, false);
	move(1, high);
	assert_int_equal(cards[1].mapped_at, 0);
	enable(1, true);
	assert_int_equal(cards[1].mapped_at, high);
	/* Writing what is there already moves nothing. */
	cards[1].moves = 0;
	move(1, high);
	enable(1, true);
	assert_int_equal(cards[1].moves, 0);
}

/* Two BARs at one place: the second does not answer until it moves. */
static void test_bar_overlap(void **state unused_param)
{
	gpa_t first = home(1);

	assert_int_equal(card_plug(&cards[2], NULL), 0);
	enable(1, true);
	move(2, first + BAR_SIZE / 2);
	assert_int_equal(home(2), first); /* BARs are aligned to their size */
	enable(2, true);
	assert_int_equal(cards[2].mapped_at, 0);
	fake_mmio_read(&fv, first, 4);
	assert_int_equal(cards[1].accesses, 1);
	assert_int_equal(cards[2].accesses, 0);
	/* Or until the first one goes away. */
	enable(1, false);
	assert_int_equal(cards[2].mapped_at, first);
	enable(1, true);
	assert_int_equal(cards[1].mapped_at, 0);
	move(2, first + BAR_SIZE);
	assert_int_equal(cards[2].mapped_at, first + BAR_SIZE);
	assert_int_equal(cards[1].mapped_at, first);
	/* Over the configuration space: it does not answer either. */
	move(2, arch_pci.ecam_base);
	assert_int_equal(cards[2].mapped_at, 0);
	assert_int_equal(cfg(1, PCI_VENDOR_ID, 2), 0x1234);
	pci_unplug(&cards[2].pci);
}

static void test_slots(void **state unused_param)
{
	struct error err = { "" };
	struct card extra;
	unsigned int i;

	for (i = 2; i < PCI_SLOTS; i++) {
		assert_int_equal(card_plug(&cards[i], &err), 0);
		assert_int_equal(cards[i].pci.slot, i);
		enable(i, true);
		fake_mmio_read(&fv, home(i), 1);
		assert_int_equal(cards[i].accesses, 1);
	}
	assert_int_equal(card_plug(&extra, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "31"));
	pci_unplug(&extra.pci);
	/* The lowest free one is taken, at its old address. */
	pci_unplug(&cards[5].pci);
	assert_int_equal(cfg(5, PCI_VENDOR_ID, 4), 0xffffffff);
	assert_int_equal(card_plug(&cards[5], &err), 0);
	assert_int_equal(cards[5].pci.slot, 5);
	for (i = 2; i < PCI_SLOTS; i++)
		pci_unplug(&cards[i].pci);
	/* One of its choice, which is as if the guest knew it to be free. */
	assert_int_equal(card_plug_at(&cards[9], 9, &err), 0);
	assert_int_equal(cards[9].pci.slot, 9);
	assert_int_equal(cfg(9, PCI_VENDOR_ID, 2), 0x1234);
	pci_detach(&cards[9].pci, true);
	pci_unplug(&cards[9].pci);
	assert_int_equal(card_plug_at(&cards[9], 9, &err), 0);
	assert_int_equal(card_plug_at(&extra, 9, &err), -EEXIST);
	assert_non_null(strstr(err.msg, "slot 9"));
	pci_unplug(&extra.pci);
	assert_int_equal(card_plug_at(&extra, PCI_SLOTS, &err), -EINVAL);
	pci_unplug(&extra.pci);
	assert_int_equal(card_plug(&cards[2], &err), 0);
	assert_int_equal(cards[2].pci.slot, 2);
	pci_unplug(&cards[2].pci);
	pci_unplug(&cards[9].pci);
}

static void test_msix_control(void **state unused_param)
{
	unsigned int at = cards[1].pci.msix_cap;
	const uint64_t addr = 0xfee00000;
	const uint32_t data[2] = { 0x41, 0 };

	msix_table_write(&cards[1].pci.msix, 16, &addr, 8);
	msix_table_write(&cards[1].pci.msix, 24, data, 8);
	msix_notify(&cards[1].pci.msix, 1);
	assert_int_equal(fv.nr_msi, 0);
	fake_cfg_write(&fv, 1, at + 2, 0xc000, 2); /* enabled and masked */
	assert_int_equal(cfg(1, at + 2, 2), 0xc003);
	msix_notify(&cards[1].pci.msix, 1);
	assert_int_equal(fv.nr_msi, 0);
	fake_cfg_write(&fv, 1, at + 3, 0x80, 1);
	assert_int_equal(fv.nr_msi, 1);
	assert_int_equal(fv.msi[0].addr, addr);
	assert_int_equal(fv.msi[0].data, 0x41);
	/* A 32-bit write of the whole header, as Linux never does. */
	fake_cfg_write(&fv, 1, at, 0, 4);
	msix_notify(&cards[1].pci.msix, 1);
	assert_int_equal(fv.nr_msi, 1);
}

static void test_reset(void **state unused_param)
{
	gpa_t at = home(1);

	enable(1, true);
	move(1, at + 0x100000);
	fake_cfg_write(&fv, 1, 0x3c, 11, 1);
	fake_cfg_write(&fv, 1, cards[1].pci.msix_cap + 2u, 0x8000, 2);
	pci_dev_reset(&cards[1].pci);
	assert_int_equal(home(1), at);
	assert_int_equal(cards[1].mapped_at, 0);
	assert_int_equal(cfg(1, PCI_COMMAND, 2), 0);
	assert_int_equal(cfg(1, 0x3c, 1), 0);
	assert_int_equal(cfg(1, cards[1].pci.msix_cap + 2u, 2), 3);
	assert_false(cards[1].pci.msix.enabled);
	enable(1, true);
	assert_int_equal(cards[1].mapped_at, at);
}

static void test_unplug(void **state unused_param)
{
	gpa_t at = home(1);

	enable(1, true);
	pci_unplug(&cards[1].pci);
	assert_int_equal(fake_mmio_read(&fv, at, 4), 0xffffffff);
	assert_int_equal(cards[1].mapped_at, 0);
	assert_int_equal(cfg(1, PCI_VENDOR_ID, 2), 0xffff);
}

/* What was taken away by force reads as zero until the addresses have another
 * use, or the machine starts anew. */
static void forget(gpa_t at, uint64_t next_to_it)
{
	struct device *root = board_find_class(&fv.board, "pci_root");
	unsigned int nr = fv.board.mmio.nr;

	assert_int_equal(card_plug(&cards[2], NULL), 0);
	move(2, at);
	enable(2, true);
	assert_int_equal(fake_mmio_read(&fv, at, 4), 0x5a5a5a5a);
	pci_detach(&cards[2].pci, true);
	pci_unplug(&cards[2].pci);
	assert_int_equal(fake_mmio_read(&fv, at + BAR_SIZE - 4, 4), 0);
	move(1, next_to_it);
	enable(1, true);
	assert_int_equal(fake_mmio_read(&fv, at, 4), 0);
	move(1, at);
	assert_int_equal(fake_mmio_read(&fv, at, 4), 0x5a5a5a5a);
	enable(1, false);
	assert_int_equal(fv.board.mmio.nr, nr);

	assert_int_equal(card_plug(&cards[2], NULL), 0);
	move(2, at);
	enable(2, true);
	pci_detach(&cards[2].pci, true);
	pci_unplug(&cards[2].pci);
	root->ops->reset(root);
	assert_int_equal(fv.board.mmio.nr, nr);
}

static void test_forced(void **state unused_param)
{
	forget(0xf0000000, 0xf0000000 - BAR_SIZE);
	forget(0xf0000000, 0xf0000000 + BAR_SIZE);
	forget(-(uint64_t)BAR_SIZE, -(uint64_t)2 * BAR_SIZE);
	forget(-(uint64_t)BAR_SIZE, 0x10000);
}

/* Two root ports, functions of slot 28. */
static struct pci_dev ports[2];

static void ports_plug(void)
{
	static const struct pci_dev_ops ops = { 0 };
	static const struct pci_ids ids = { .vendor = 0x4321,
					    .class_code = 0x060400 };
	for (unsigned int i = 0; i < 2; i++) {
		memset(&ports[i], 0, sizeof(ports[i]));
		pci_dev_init(&ports[i], &fv.board, &ops, &ids);
		ports[i].writable[PCI_SECONDARY_BUS] = 0xff;
		assert_int_equal(pci_plug_port(&ports[i], 28, i, NULL), 0);
	}
}

static gpa_t port_config(unsigned int i, unsigned int reg)
{
	return arch_pci.ecam_base + (28u << 15 | i << 12 | reg);
}

static void port_number(unsigned int i, unsigned int bus)
{
	fake_mmio_write(&fv, port_config(i, PCI_SECONDARY_BUS), bus, 1);
}

/* Who answers on that bus, as far as the window goes; 0xffff: nobody. */
static unsigned int vendor_behind(unsigned int bus, unsigned int slot,
				  unsigned int function)
{
	struct device *root = board_find_class(&fv.board, "pci_root");
	struct chip *chip = container_of(root, struct chip, device);

	return root->class->chip->read(
		       chip, bus << 20 | slot << 15 | function << 12, 2) &
	       0xffff;
}

static void test_ports(void **state unused_param)
{
	struct error err = { "" };
	struct card extra;

	ports_plug();
	assert_int_equal(fake_mmio_read(&fv, port_config(0, 0), 2), 0x4321);
	assert_int_equal(fake_mmio_read(&fv, port_config(1, 0), 2), 0x4321);
	assert_int_equal(fake_mmio_read(&fv, port_config(2, 0), 2), 0xffff);
	assert_int_equal(pci_requester_id(&ports[1]), 28 << 3 | 1);
	assert_int_equal(card_plug_at(&extra, 28, &err), -EEXIST);
	pci_unplug(&extra.pci);
	/* Until there is a guest, devices come on bus 0. */
	assert_int_equal(card_plug(&cards[2], &err), 0);
	assert_int_equal(cards[2].pci.bus, 0);
	pci_unplug(&cards[2].pci);

	fv.board.run = BOARD_RUNNING;
	assert_int_equal(card_plug_at(&extra, 5, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "slot 5"));
	pci_unplug(&extra.pci);
	assert_int_equal(card_plug(&cards[2], &err), 0);
	assert_int_equal(card_plug(&cards[3], &err), 0);
	assert_int_equal(cards[2].pci.bus, 1);
	assert_int_equal(cards[3].pci.bus, 2);
	assert_int_equal(cards[3].pci.slot, 0);
	assert_int_equal(card_plug(&extra, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "all 2 root ports"));
	pci_unplug(&extra.pci);
	pci_unplug(&cards[2].pci);
	/* What was forced away has its place used again last. */
	pci_detach(&cards[3].pci, true);
	pci_unplug(&cards[3].pci);
	assert_int_equal(card_plug(&cards[2], &err), 0);
	assert_int_equal(cards[2].pci.bus, 1);
	pci_unplug(&cards[2].pci);
	pci_unplug_port(&ports[1]);
	pci_unplug_port(&ports[0]);
	assert_int_equal(fake_mmio_read(&fv, port_config(0, 0), 2), 0xffff);
}

/* What is behind a port answers on the bus that the guest gave that. */
static void test_bus_numbers(void **state unused_param)
{
	ports_plug();
	fv.board.run = BOARD_RUNNING;
	assert_int_equal(card_plug(&cards[2], NULL), 0);
	assert_true(pci_port_has_device_locked(&ports[0]));
	assert_false(pci_port_has_device_locked(&ports[1]));
	assert_int_equal(vendor_behind(1, 0, 0), 0xffff);
	port_number(0, 1);
	assert_int_equal(vendor_behind(1, 0, 0), 0x1234);
	assert_int_equal(vendor_behind(1, 1, 0), 0xffff);
	assert_int_equal(vendor_behind(1, 0, 1), 0xffff);
	assert_int_equal(pci_requester_id(&cards[2].pci), 1 << 8);
	port_number(0, 200);
	assert_int_equal(vendor_behind(1, 0, 0), 0xffff);
	assert_int_equal(vendor_behind(200, 0, 0), 0x1234);
	assert_int_equal(pci_requester_id(&cards[2].pci), 200 << 8);
	/* Two of one number: the first one has it. */
	port_number(1, 200);
	assert_int_equal(vendor_behind(200, 0, 0), 0x1234);
	/* Bus 0 stays what it is. */
	port_number(0, 0);
	assert_int_equal(vendor_behind(0, 0, 0), 0x1b36);
	/* The guest gives it addresses, of which it has none of its own. */
	assert_int_equal(le_load(cards[2].pci.config + PCI_BASE_ADDRESS_0, 8),
			 PCI_BASE_ADDRESS_MEM_TYPE_64);
	pci_unplug(&cards[2].pci);
	pci_unplug_port(&ports[0]);
	pci_unplug_port(&ports[1]);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_header),	 UNIT(test_bridge),
		UNIT(test_decode),	 UNIT(test_read_only),
		UNIT(test_capabilities), UNIT(test_bar_sizing),
		UNIT(test_bar_access),	 UNIT(test_bar_relocation),
		UNIT(test_bar_overlap),	 UNIT(test_slots),
		UNIT(test_ports),	 UNIT(test_bus_numbers),
		UNIT(test_msix_control), UNIT(test_reset),
		UNIT(test_unplug),	 UNIT(test_forced),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
