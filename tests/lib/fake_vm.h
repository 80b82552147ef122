/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef TESTS_LIB_FAKE_VM_H
#define TESTS_LIB_FAKE_VM_H

#include <stdbool.h>
#include <stdint.h>

#include "vmm/board.h"
#include "vmm/config.h"

/*
 * A board without KVM for device tests: real memory, buses and loop; what a
 * board asks of its owner is written down here.
 *
 * The one I/O loop runs inside fake_vm_turn(), on the test's own thread, so
 * that tests are deterministic. What goes wrong in here aborts.
 */

/* RAM: two regions that touch, and one far above. */
#define FAKE_RAM_LEN 0x100000ull
#define FAKE_RAM_BORDER FAKE_RAM_LEN
#define FAKE_RAM_END (2 * FAKE_RAM_LEN)
#define FAKE_RAM_HIGH 0x100000000ull

#define FAKE_MAX_MSI 1024u
#define FAKE_MAX_IOEVENTFD 512u

struct fake_msi {
	uint32_t devid;
	uint64_t addr;
	uint32_t data;
};

struct fake_ioeventfd {
	gpa_t gpa;
	int fd;
};

/* An eventfd that is to interrupt without the device. Here nobody reads it. */
struct fake_msi_fd {
	int fd;
	struct board_msi msi;
};

struct fake_vm {
	struct board board;
	struct vm_config config;
	struct error err; /* of the last fake_vm_add() */

	/* what devices did */
	struct fake_msi msi[FAKE_MAX_MSI]; /* the first of them */
	unsigned int nr_msi;
	uint32_t lines; /* levels of gsi 0..31 */
	unsigned int line_changes;
	struct fake_ioeventfd ioeventfds[FAKE_MAX_IOEVENTFD];
	unsigned int nr_ioeventfds;
	bool refuse_ioeventfds;
	struct fake_msi_fd msi_fds[FAKE_MAX_IOEVENTFD];
	unsigned int nr_msi_fds;
	struct fake_shown {
		gpa_t gpa;
		const uint8_t *hva;
		uint64_t len;
	} shown; /* by board_show() */
	struct loop_call quiet; /* counts calls of board_device_quiet() */
	unsigned int nr_quiet;
};

void fake_vm_init(struct fake_vm *fv);
/* Destroys the devices too. */
void fake_vm_fini(struct fake_vm *fv);

/* Create a device; NULL with fv->err when it does not want to. */
struct device *fake_vm_add(struct fake_vm *fv, const struct device_class *class,
			   const void *config);
/* The PCI bus, as the machine has it. */
struct device *fake_vm_add_pci(struct fake_vm *fv);
/* Asks dev to come to rest, and lets the loop turn until it is quiet. */
void fake_vm_quiesce(struct fake_vm *fv, struct device *dev);
/* Destroys dev, when it is quiet. */
void fake_vm_remove(struct fake_vm *fv, struct device *dev);

/* Let the loop do all that it can do at once. */
void fake_vm_turn(struct fake_vm *fv);
/* Run fn(NULL) on the thread of the loop, which has one, and wait for it. */
void fake_loop_call(struct loop *loop, void (*fn)(void *arg));
/* The same until `done` says so. False: it did not for 5 seconds. */
bool fake_vm_turn_until(struct fake_vm *fv, bool (*done)(void *arg), void *arg);

/* What a vCPU does. A write that an ioeventfd takes goes no further. */
uint64_t fake_mmio_read(struct fake_vm *fv, gpa_t gpa, unsigned int len);
void fake_mmio_write(struct fake_vm *fv, gpa_t gpa, uint64_t v,
		     unsigned int len);
uint64_t fake_pio_read(struct fake_vm *fv, uint16_t port, unsigned int len);
void fake_pio_write(struct fake_vm *fv, uint16_t port, uint64_t v,
		    unsigned int len);
/* Configuration space by ECAM. */
uint64_t fake_cfg_read(struct fake_vm *fv, unsigned int slot, unsigned int off,
		       unsigned int len);
void fake_cfg_write(struct fake_vm *fv, unsigned int slot, unsigned int off,
		    uint64_t v, unsigned int len);

#endif
