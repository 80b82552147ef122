/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tests/lib/fake_vm.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/eventfd.h>

#include "arch/arch.h"
#include "devices/platform/chips.h"
#include "vmm/byteorder.h"
#include "vmm/util.h"

/* Turns in which whatever was posted or signalled has come to rest. */
#define FAKE_TURNS 6
#define FAKE_TIMEOUT_NS 5000000000ull

static void require(bool ok)
{
	if (!ok)
		abort();
}

/* ---- what the board asks of its owner ---- */

static void fake_msi(void *opaque, uint32_t devid, uint64_t addr, uint32_t data)
{
	struct fake_vm *fv = opaque;

	if (fv->nr_msi < FAKE_MAX_MSI)
		fv->msi[fv->nr_msi] = (struct fake_msi){ devid, addr, data };
	fv->nr_msi++;
}

static void fake_line(void *opaque, uint32_t gsi, bool level)
{
	struct fake_vm *fv = opaque;

	require(gsi < 32);
	fv->lines = (fv->lines & ~(1u << gsi)) | (uint32_t)level << gsi;
	fv->line_changes++;
}

static void fake_on_quiet(struct loop_call *lc)
{
	container_of(lc, struct fake_vm, quiet)->nr_quiet++;
}

static int fake_ioeventfd(void *opaque, gpa_t gpa, int event_fd, bool assign)
{
	struct fake_vm *fv = opaque;
	unsigned int i;

	if (assign) {
		if (fv->refuse_ioeventfds ||
		    fv->nr_ioeventfds == FAKE_MAX_IOEVENTFD)
			return -ENOSPC;
		fv->ioeventfds[fv->nr_ioeventfds++] =
			(struct fake_ioeventfd){ gpa, event_fd };
		return 0;
	}
	for (i = 0; i < fv->nr_ioeventfds; i++) {
		struct fake_ioeventfd *io = &fv->ioeventfds[i];

		if (io->gpa != gpa || io->fd != event_fd)
			continue;
		*io = fv->ioeventfds[--fv->nr_ioeventfds];
		return 0;
	}
	return -ENOENT;
}

static int fake_msi_fd(void *opaque, int event_fd, const struct board_msi *msi)
{
	struct fake_vm *fv = opaque;
	unsigned int i = 0;

	while (i < fv->nr_msi_fds && fv->msi_fds[i].fd != event_fd)
		i++;
	if (msi) {
		require(i < FAKE_MAX_IOEVENTFD);
		fv->msi_fds[i] = (struct fake_msi_fd){ event_fd, *msi };
		fv->nr_msi_fds += i == fv->nr_msi_fds;
	} else if (i < fv->nr_msi_fds) {
		fv->msi_fds[i] = fv->msi_fds[--fv->nr_msi_fds];
	}
	return 0;
}

static int fake_show(void *opaque, gpa_t gpa, const void *hva, uint64_t len)
{
	struct fake_vm *fv = opaque;

	fv->shown = (struct fake_shown){ gpa, hva, len };
	return 0;
}

static const struct board_ops fake_board_ops = {
	.msi = fake_msi,
	.line = fake_line,
	.ioeventfd = fake_ioeventfd,
	.msi_fd = fake_msi_fd,
	.show = fake_show,
};

/* ---- life ---- */

void fake_vm_init(struct fake_vm *fv)
{
	const struct gmem_config gc = { .size = 3 * FAKE_RAM_LEN };

	memset(fv, 0, sizeof(*fv));
	vm_config_init(&fv->config);
	board_init(&fv->board, NULL);
	fv->board.ops = &fake_board_ops;
	fv->board.ops_opaque = fv;
	fv->quiet.fn = fake_on_quiet;
	fv->board.on_quiet = &fv->quiet;
	fv->board.serial = &fv->config.serial;
	fv->board.nr_ports = vm_config_ports(&fv->config);
	gmem_init(&fv->board.gmem, &gc);
	require(!gmem_add(&fv->board.gmem, 0, FAKE_RAM_LEN, NULL));
	require(!gmem_add(&fv->board.gmem, FAKE_RAM_BORDER, FAKE_RAM_LEN,
			  NULL));
	require(!gmem_add(&fv->board.gmem, FAKE_RAM_HIGH, FAKE_RAM_LEN, NULL));
	fv->board.io_loops[0] = loop_create("io0", NULL);
	require(fv->board.io_loops[0]);
	fv->board.nr_io_loops = 1;
	fv->board.main_loop = fv->board.io_loops[0];
}

void fake_vm_fini(struct fake_vm *fv)
{
	while (!list_is_empty(&fv->board.devices))
		fake_vm_remove(fv, container_of(fv->board.devices.prev,
						struct device, node));
	require(!fv->nr_ioeventfds && !fv->nr_msi_fds && !fv->shown.len);
	require(!fv->board.pio.nr && !fv->board.mmio.nr);
	gmem_fini(&fv->board.gmem);
	board_fini(&fv->board);
	vm_config_free(&fv->config);
}

struct device *fake_vm_add(struct fake_vm *fv, const struct device_class *class,
			   const void *config)
{
	struct device *dev = NULL;
	void *opened = NULL;

	fv->err.msg[0] = '\0';
	if (class->open && class->open(config, &opened, &fv->err))
		return NULL;
	if (board_add_device(&fv->board, class, config, opened, &dev,
			     &fv->err) &&
	    class->close)
		class->close(opened);
	return dev;
}

struct device *fake_vm_add_pci(struct fake_vm *fv)
{
	const struct chip_place place = { .class = &pci_root_class,
					  .base = arch_pci.ecam_base,
					  .len = arch_pci.nr_buses * MIB };
	struct device *dev = fake_vm_add(fv, &pci_root_class, &place);

	require(dev);
	return dev;
}

static bool fake_is_quiet(void *arg)
{
	struct device *dev = arg;

	return !dev->ops->is_quiet || dev->ops->is_quiet(dev);
}

void fake_vm_quiesce(struct fake_vm *fv, struct device *dev)
{
	if (!dev->ops->quiesce)
		return;
	dev->ops->quiesce(dev);
	require(fake_vm_turn_until(fv, fake_is_quiet, dev));
}

void fake_vm_remove(struct fake_vm *fv, struct device *dev)
{
	fake_vm_quiesce(fv, dev);
	list_remove(&dev->node);
	if (dev->ops->release)
		dev->ops->release(dev);
	dev->ops->destroy(dev);
}

/* ---- the loop ---- */

struct fake_stop {
	struct loop_call call;
	struct loop *loop;
};

static void fake_on_stop(struct loop_call *lc)
{
	loop_quit(container_of(lc, struct fake_stop, call)->loop);
}

void fake_vm_turn(struct fake_vm *fv)
{
	struct fake_stop stop = { .call.fn = fake_on_stop,
				  .loop = fv->board.io_loops[0] };
	unsigned int i;

	for (i = 0; i < FAKE_TURNS; i++) {
		loop_post(stop.loop, &stop.call);
		loop_run(stop.loop);
	}
}

struct fake_call {
	struct loop_call call;
	void (*fn)(void *arg);
	atomic_bool ran;
};

static void fake_on_call(struct loop_call *lc)
{
	struct fake_call *fc = container_of(lc, struct fake_call, call);

	fc->fn(NULL);
	atomic_store(&fc->ran, true);
}

void fake_loop_call(struct loop *loop, void (*fn)(void *arg))
{
	struct fake_call fc = { .call.fn = fake_on_call, .fn = fn };

	loop_post(loop, &fc.call);
	while (!atomic_load(&fc.ran))
		usleep(50);
}

bool fake_vm_turn_until(struct fake_vm *fv, bool (*done)(void *arg), void *arg)
{
	uint64_t end = loop_now_ns() + FAKE_TIMEOUT_NS;

	while (!done(arg)) {
		if (loop_now_ns() > end)
			return false;
		fake_vm_turn(fv);
	}
	return true;
}

/* ---- a vCPU ---- */

uint64_t fake_mmio_read(struct fake_vm *fv, gpa_t gpa, unsigned int len)
{
	uint8_t data[8] = { 0 };

	bus_read(&fv->board.mmio, gpa, data, len);
	return le_load(data, len);
}

void fake_mmio_write(struct fake_vm *fv, gpa_t gpa, uint64_t v,
		     unsigned int len)
{
	uint8_t data[8];
	unsigned int i;

	for (i = 0; i < fv->nr_ioeventfds; i++) {
		if (fv->ioeventfds[i].gpa != gpa)
			continue;
		require(!eventfd_write(fv->ioeventfds[i].fd, 1));
		return;
	}
	le_store(data, v, len);
	bus_write(&fv->board.mmio, gpa, data, len);
}

uint64_t fake_pio_read(struct fake_vm *fv, uint16_t port, unsigned int len)
{
	uint8_t data[8] = { 0 };

	bus_read(&fv->board.pio, port, data, len);
	return le_load(data, len);
}

void fake_pio_write(struct fake_vm *fv, uint16_t port, uint64_t v,
		    unsigned int len)
{
	uint8_t data[8];

	le_store(data, v, len);
	bus_write(&fv->board.pio, port, data, len);
}

static gpa_t fake_ecam(unsigned int slot, unsigned int off)
{
	return arch_pci.ecam_base + (slot << 15 | off);
}

uint64_t fake_cfg_read(struct fake_vm *fv, unsigned int slot, unsigned int off,
		       unsigned int len)
{
	return fake_mmio_read(fv, fake_ecam(slot, off), len);
}

void fake_cfg_write(struct fake_vm *fv, unsigned int slot, unsigned int off,
		    uint64_t v, unsigned int len)
{
	fake_mmio_write(fv, fake_ecam(slot, off), v, len);
}
