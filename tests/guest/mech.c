/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Mechanism tests: memory, tables, serial, PCI, MSI-X, the virtio transport, and
 * what else the machine has. They need one disk of at least 1 MiB.
 *
 * With reboots=N they are left out: the guest counts its boots in the disk's
 * last sector and resets until N is reached, then powers off.
 */
#include "mech.h"

#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

const struct guest_info *mech_info;
struct blk mech_blk;

static const struct test mech_tests[] = {
	MECH_TEST(mmio_unassigned),
	MECH_TEST(ram_ends),
	MECH_TEST(pci_scan),
	MECH_TEST(pci_widths),
	MECH_TEST(pci_readonly),
	MECH_TEST(pci_caps),
	MECH_TEST(pci_bar_size),
	MECH_TEST(pci_bar_move),
	MECH_TEST(pci_bar_move_high),
	MECH_TEST(pci_bar_off),
	MECH_TEST(pci_cfg_window),
	MECH_TEST(pci_cfg_window_bad),
	MECH_TEST(msix_reset_state),
	MECH_TEST(msix_deliver),
	MECH_TEST(msix_masked_entry),
	MECH_TEST(msix_masked_function),
	MECH_TEST(msix_retarget),
	MECH_TEST(msix_no_vector),
	MECH_TEST(msix_event_idx),
	MECH_TEST(msix_bad_vector),
	MECH_TEST(features_no_version_1),
	MECH_TEST(features_unoffered),
	MECH_TEST(features_late),
	MECH_TEST(queue_immutable),
	MECH_TEST(queue_select_bad),
	MECH_TEST(queue_size_bad),
	MECH_TEST(queue_notify_early),
	MECH_TEST(queue_notify_bad),
	MECH_TEST(config_generation),
	MECH_TEST(config_readonly),
	MECH_TEST(config_widths),
	MECH_TEST(reset_state),
	MECH_TEST(reset_again),
	MECH_TEST(event_idx),
};

const char *mech_start_disk(uint64_t features)
{
	return blk_start(&mech_blk, features, 1, 0);
}

const char *mech_read_disk(void)
{
	static uint8_t sector[BLK_SECTOR];
	int status = blk_read(&mech_blk, 0, sector, sizeof(sector));

	if (status != BLK_OK)
		return failed("a read ended with %d", status);
	return NULL;
}

static void count_reboots(uint64_t wanted)
{
	static uint64_t sector[BLK_SECTOR / 8];
	const char *why = mech_start_disk(BLK_F_ALL);
	uint64_t last;

	if (why)
		power_off_failed(why);
	last = mech_blk.nr_sectors - 1;
	if (blk_read(&mech_blk, last, sector, sizeof(sector)) != BLK_OK)
		power_off_failed("cannot read the count");
	sector[0]++;
	if (blk_write(&mech_blk, last, sector, sizeof(sector)) != BLK_OK)
		power_off_failed("cannot write the count");
	say("BOOT %lu", sector[0]);
	if (sector[0] < wanted)
		power_by(param_text("by", "reset"));
	say("DONE");
	power_off();
}

void guest_main(const struct guest_info *info)
{
	const char *why = blk_open(&mech_blk, 0);

	if (why)
		power_off_failed(why);
	mech_info = info;
	if (param_number("reboots", 0))
		count_reboots(param_number("reboots", 0));
	for (const struct test *t = mech_arch_tests; t->name; t++)
		report_one(t, NULL);
	for (size_t i = 0; i < ARRAY_SIZE(mech_tests); i++)
		report_one(&mech_tests[i], NULL);
	for (const struct test *t = mech_last_tests; t->name; t++)
		report_one(t, NULL);
	report_done();
}
