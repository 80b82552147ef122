/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Root ports, as a driver of native hot-plug uses them. */
#include "devices/platform/chips.h"
#include "tests/unit/pci_fixture.h"

#define EXP 0x40u
#define MSI 0x7cu
#define ENABLED \
	(PCI_EXP_SLTCTL_ABPE | PCI_EXP_SLTCTL_HPIE | PCI_EXP_SLTCTL_DLLSCE)

/* What the guest reads without an exit, of a port. */
static uint64_t shown(unsigned int port, unsigned int off, unsigned int len)
{
	uint64_t at = (uint64_t)port * 4096 + off;

	assert_int_equal(fv.shown.gpa, arch_pci.ecam_base + (28 << 15));
	assert_true(at + len <= fv.shown.len);
	return le_load(fv.shown.hva + at, len);
}

/* Registers of the first port: it is shown what it would be told. */
static uint32_t reg(unsigned int off)
{
	uint32_t told = cfg(28, off, 2);

	assert_int_equal(shown(0, off, 2), told);
	return told;
}

static void set_reg(unsigned int off, unsigned int value)
{
	fake_cfg_write(&fv, 28, off, value, 2);
}

static void indicator(unsigned int pic)
{
	set_reg(EXP + PCI_EXP_SLTCTL, ENABLED | pic);
}

static bool ask(bool on)
{
	const struct board_hotplug *by = &fv.board.hotplug[HOTPLUG_PCI];

	return by->ops->ask(by->opaque, HOTPLUG_PCI, 32, on);
}

static bool take(_Atomic uint64_t bits[HOTPLUG_KINDS][BOARD_ANSWER_WORDS])
{
	return atomic_exchange(&bits[HOTPLUG_PCI][0], 0) & 1ull << 32;
}

static const struct board_hotplug *ports_setup(void)
{
	const struct chip_place place = { .class = &root_ports_class };

	assert_non_null(fake_vm_add(&fv, &root_ports_class, &place));
	assert_int_equal(cfg(28, MSI, 1), PCI_CAP_ID_MSI);
	assert_int_equal(cfg(28, EXP, 1), PCI_CAP_ID_EXP);
	set_reg(MSI + PCI_MSI_ADDRESS_LO, 0x1000);
	set_reg(MSI + PCI_MSI_DATA_64, 0x77);
	set_reg(MSI + PCI_MSI_FLAGS, PCI_MSI_FLAGS_ENABLE);
	fake_cfg_write(&fv, 28, PCI_SECONDARY_BUS, 1, 1);
	indicator(PCI_EXP_SLTCTL_PWR_IND_OFF);
	fv.board.run = BOARD_RUNNING;
	return &fv.board.hotplug[HOTPLUG_PCI];
}

static void plug(void)
{
	const struct board_hotplug *by = &fv.board.hotplug[HOTPLUG_PCI];

	assert_int_equal(card_plug(&cards[2], NULL), 0);
	assert_int_equal(cards[2].pci.bus, 1);
	by->ops->came(by->opaque, HOTPLUG_PCI, 32, 0, 0);
}

/* Plugged, and taken back when the guest let go. */
static void test_polite(void **state unused_param)
{
	const struct board_hotplug *by = ports_setup();

	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA), 0);
	assert_true(by->ops->is_heard(by->opaque));
	plug();
	assert_int_equal(fv.nr_msi, 1);
	assert_int_equal(fv.msi[0].data, 0x77);
	assert_int_equal(fv.msi[0].devid, 28 << 3);
	assert_true(by->ops->is_unread(by->opaque, HOTPLUG_PCI, 32));
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA),
			 PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC |
				 PCI_EXP_SLTSTA_DLLSC);
	assert_true(reg(EXP + PCI_EXP_LNKSTA) & PCI_EXP_LNKSTA_DLLLA);
	set_reg(EXP + PCI_EXP_SLTSTA, 0xffff);
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA), PCI_EXP_SLTSTA_PDS);
	assert_false(by->ops->is_unread(by->opaque, HOTPLUG_PCI, 32));
	indicator(PCI_EXP_SLTCTL_PWR_IND_ON);

	ask(true);
	assert_int_equal(fv.nr_msi, 2);
	assert_true(reg(EXP + PCI_EXP_SLTSTA) & PCI_EXP_SLTSTA_ABP);
	set_reg(EXP + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_ABP);
	indicator(PCI_EXP_SLTCTL_PWR_IND_BLINK);
	ask(true); /* a reminder is no second press */
	assert_false(reg(EXP + PCI_EXP_SLTSTA) & PCI_EXP_SLTSTA_ABP);
	assert_false(take(fv.board.ejected));
	indicator(PCI_EXP_SLTCTL_PWR_IND_OFF);
	assert_true(take(fv.board.ejected));
	assert_false(ask(false));
	pci_unplug(&cards[2].pci);
	assert_int_equal(fv.nr_msi, 3);
	/* Another one comes before the guest has looked: it is an event. */
	plug();
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA),
			 PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_PDC |
				 PCI_EXP_SLTSTA_DLLSC);
	pci_unplug(&cards[2].pci);
}

/* Ones take events back, of the bytes that are written, and nothing else. */
static void test_taken_back(void **state unused_param)
{
	ports_setup();
	plug();
	set_reg(EXP + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_CC);
	fake_cfg_write(&fv, 28, EXP + PCI_EXP_SLTSTA, PCI_EXP_SLTSTA_PDC, 1);
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA),
			 PCI_EXP_SLTSTA_PDS | PCI_EXP_SLTSTA_DLLSC);
	fake_cfg_write(&fv, 28, EXP + PCI_EXP_SLTSTA + 1, 0xff, 1);
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA), PCI_EXP_SLTSTA_PDS);
	set_reg(EXP + PCI_EXP_SLTSTA, 0xffff);
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA), PCI_EXP_SLTSTA_PDS);
	pci_unplug(&cards[2].pci);
}

/* The guest changes its mind, is late, or lets go unasked. */
static void test_answers(void **state unused_param)
{
	ports_setup();
	plug();
	set_reg(EXP + PCI_EXP_SLTSTA, 0xffff);
	indicator(PCI_EXP_SLTCTL_PWR_IND_ON);
	ask(true);
	indicator(PCI_EXP_SLTCTL_PWR_IND_BLINK);
	indicator(PCI_EXP_SLTCTL_PWR_IND_ON);
	assert_true(take(fv.board.refused));
	ask(true);
	assert_true(ask(false));
	indicator(PCI_EXP_SLTCTL_PWR_IND_OFF);
	assert_false(take(fv.board.ejected));
	/* What it has let go of needs no button. */
	set_reg(EXP + PCI_EXP_SLTSTA, 0xffff);
	ask(true);
	assert_true(take(fv.board.ejected));
	assert_false(reg(EXP + PCI_EXP_SLTSTA) & PCI_EXP_SLTSTA_ABP);
	pci_unplug(&cards[2].pci);
}

static void test_forced_away(void **state unused_param)
{
	ports_setup();
	plug();
	set_reg(EXP + PCI_EXP_SLTSTA, 0xffff);
	pci_detach(&cards[2].pci, true);
	ask(true);
	assert_int_equal(fv.nr_msi, 2);
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA),
			 PCI_EXP_SLTSTA_PDC | PCI_EXP_SLTSTA_DLLSC);
	assert_false(reg(EXP + PCI_EXP_LNKSTA) & PCI_EXP_LNKSTA_DLLLA);
	indicator(PCI_EXP_SLTCTL_PWR_IND_OFF);
	assert_false(take(fv.board.ejected));
	pci_unplug(&cards[2].pci);
}

/* What was there at power-on is on, and no event. */
static void test_power_on(void **state unused_param)
{
	struct device *dev;

	ports_setup();
	plug();
	/* What stands on bus 0 is as without ports. */
	enable(1, true);
	move(1, 0xf0000000);
	assert_int_equal(cards[1].mapped_at, 0xf0000000);
	dev = board_find_class(&fv.board, "root_ports");
	dev->ops->reset(dev);
	assert_int_equal(reg(EXP + PCI_EXP_SLTSTA), PCI_EXP_SLTSTA_PDS);
	assert_int_equal(reg(EXP + PCI_EXP_SLTCTL), PCI_EXP_SLTCTL_PWR_IND_ON);
	assert_int_equal(reg(MSI + PCI_MSI_FLAGS), PCI_MSI_FLAGS_64BIT);
	pci_unplug(&cards[2].pci);
}

/* An interrupt of a machine that is paused comes when it goes on. */
static void test_held(void **state unused_param)
{
	struct device *dev;

	ports_setup();
	dev = board_find_class(&fv.board, "root_ports");
	board_hold_irqs(&fv.board, true);
	plug();
	assert_int_equal(fv.nr_msi, 0);
	board_hold_irqs(&fv.board, false);
	dev->ops->resume(dev);
	dev->ops->resume(dev);
	assert_int_equal(fv.nr_msi, 1);
	pci_unplug(&cards[2].pci);
}

/* A machine has as many as are asked for, and slots that none of them takes are
 * for others. */
static void test_few(void **state unused_param)
{
	const struct board_hotplug *by;
	struct error err;

	fv.board.nr_ports = 9;
	by = ports_setup();
	assert_int_equal(cfg(28, 7 << 12, 4), 0x000c1b36);
	assert_int_equal(cfg(29, 0, 4), 0x000c1b36);
	assert_int_equal(cfg(29, 1 << 12, 4), UINT32_MAX);
	assert_int_equal(cfg(30, 0, 4), UINT32_MAX);
	assert_int_equal(fv.shown.len, 9 * 4096);
	assert_int_equal(shown(8, 0, 4), 0x000c1b36);
	/* There are no extended registers. */
	assert_int_equal(shown(0, 256, 4), UINT32_MAX);
	assert_int_equal(shown(8, 4092, 4), UINT32_MAX);
	/* Nothing is asked of one that is not there. */
	assert_true(by->ops->ask(by->opaque, HOTPLUG_PCI, 32 + 9, true));
	for (unsigned int i = 2; i < 11; i++)
		assert_int_equal(card_plug(&cards[i], NULL), 0);
	assert_int_equal(card_plug(&cards[11], &err), -ENOSPC);
	assert_non_null(strstr(err.msg, "9 root ports"));
	pci_unplug(&cards[11].pci);
	for (unsigned int i = 2; i < 11; i++)
		pci_unplug(&cards[i].pci);
}

static void test_none(void **state unused_param)
{
	const struct chip_place place = { .class = &root_ports_class };
	struct device *dev;

	fv.board.nr_ports = 0;
	dev = fake_vm_add(&fv, &root_ports_class, &place);
	assert_non_null(dev);
	dev->ops->reset(dev);
	dev->ops->resume(dev);
	assert_int_equal(cfg(28, 0, 4), UINT32_MAX);
	assert_null(fv.board.hotplug[HOTPLUG_PCI].ops);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_polite),	UNIT(test_answers),
		UNIT(test_forced_away), UNIT(test_power_on),
		UNIT(test_held),	UNIT(test_few),
		UNIT(test_none),	UNIT(test_taken_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
