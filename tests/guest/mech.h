/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The mechanism tests: what they share, and one line for each. */
#ifndef GUEST_MECH_H
#define GUEST_MECH_H

#include "blk.h"
#include "report.h"

extern const struct guest_info *mech_info;
extern struct blk mech_blk;

/* Starts the disk afresh with queue 0; NULL or what went wrong. */
const char *mech_start_disk(uint64_t features);

/* Reads the first sector; NULL or what went wrong. */
const char *mech_read_disk(void);

/* mech_machine.c */
const char *mech_mmio_unassigned(void);
const char *mech_ram_ends(void);

/* mech_arch.c: what is the machine's. Each has tests of these names: tables (by
 * which the monitor describes it), cpus, serial_registers, serial_loopback and
 * serial_interrupt. Of both lists the last has no name; there is no way back from
 * what the second one does. */
#define MECH_TEST(test)            \
	{                          \
#test, mech_##test \
	}
extern const struct test mech_arch_tests[], mech_last_tests[];

/* Nothing answers there. */
extern const uint64_t mech_unassigned;

/* mech_pci.c */
const char *mech_pci_scan(void);
const char *mech_pci_widths(void);
const char *mech_pci_readonly(void);
const char *mech_pci_caps(void);
const char *mech_pci_bar_size(void);
const char *mech_pci_bar_move(void);
const char *mech_pci_bar_move_high(void);
const char *mech_pci_bar_off(void);
const char *mech_pci_cfg_window(void);
const char *mech_pci_cfg_window_bad(void);

/* mech_msix.c */
const char *mech_msix_deliver_by(void (*start)(void));
const char *mech_msix_reset_state(void);
const char *mech_msix_deliver(void);
const char *mech_msix_masked_entry(void);
const char *mech_msix_masked_function(void);
const char *mech_msix_retarget(void);
const char *mech_msix_no_vector(void);
const char *mech_msix_event_idx(void);
const char *mech_msix_bad_vector(void);

/* mech_virtio.c */
const char *mech_features_no_version_1(void);
const char *mech_features_unoffered(void);
const char *mech_features_late(void);
const char *mech_queue_immutable(void);
const char *mech_queue_select_bad(void);
const char *mech_queue_size_bad(void);
const char *mech_queue_notify_early(void);
const char *mech_queue_notify_bad(void);
const char *mech_config_generation(void);
const char *mech_config_readonly(void);
const char *mech_config_widths(void);
const char *mech_reset_state(void);
const char *mech_reset_again(void);
const char *mech_event_idx(void);

#endif
