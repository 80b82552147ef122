/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The host says on the serial port what is to be done. What this guest says
 * begins with @, as an attack writes to the serial port, too.
 *
 *   hello n=                          the number comes back
 *   attack seed= accesses= ms= reset= both CPUs, until there were so many or so
 *                                     much time is over; reset=1: the machine's
 *                                     reset may be hit, too
 *   move ms=                          both CPUs move the window of a share to and
 *                                     fro, which takes the host time each time
 *   flood kind= index= ms=            requests that are right, as many as there is
 *                                     room for, and resets: of blk, net, vsock, fs
 *   whole                             every device is used as it is meant
 *   rest nmi=                         no CPU runs any more; nmi=1: CPU 1, which was
 *                                     never started, gets one
 *   reset, off                        what the words say
 */
#include "hostile.h"

#include "apic.h"
#include "clock.h"
#include "cpu.h"
#include "io.h"
#include "memory.h"
#include "param.h"
#include "power.h"
#include "text.h"

#define LINE_MAX 256
#define WAIT_MS 3000 /* for the other CPU */
#define XAPIC_TPR 0xfee00080
#define XAPIC_ICR_LOW 0xfee00300
#define XAPIC_ICR_HIGH 0xfee00310
#define ICR_INIT 0x4500u
#define PAGE 4096u
#define BAR_HIGH_MAX 0x100u /* upper halves of addresses: 1 TiB */

struct target targets[TARGETS_MAX];
unsigned nr_targets;
const struct guest_info *hostile_info;
struct attacker attackers[2];

/* Its BARs are where a monitor puts them, not where an attack did. */
static bool sits_well(uint8_t slot)
{
	uint64_t reg = pci_config(slot, 0) + PCI_BAR0;

	for (unsigned i = 0; i < 4; i += 2) {
		if (mmio_read32(reg + 4 * i + 4) >= BAR_HIGH_MAX)
			return false;
	}
	return true;
}

static bool is_known(uint8_t slot)
{
	for (unsigned i = 0; i < nr_targets; i++) {
		if (targets[i].dev.pci.slot == slot)
			return true;
	}
	return false;
}

/* Those that have come since the last time, too. */
static void find_targets(void)
{
	unsigned seen[VIRTIO_ID_FS + 1] = { 0 };

	if (!pci_init())
		return;
	for (uint8_t slot = 1; slot < PCI_NR_SLOTS; slot++) {
		uint32_t id = mmio_read32(pci_config(slot, 0));
		unsigned type = (id >> 16) - VIRTIO_PCI_DEVICE(0);
		struct target *t = &targets[nr_targets];

		if ((id & 0xffff) != VIRTIO_PCI_VENDOR || type > VIRTIO_ID_FS)
			continue;
		seen[type]++;
		if (nr_targets == TARGETS_MAX || is_known(slot) ||
		    !sits_well(slot) ||
		    vdev_open_pci(&t->dev, type, seen[type] - 1))
			continue;
		t->type = (uint16_t)type;
		t->shm = vpci_find_shm(&t->dev);
		nr_targets++;
	}
}

/* ---- one thing only --------------------------------------------------- */

static void move_window(struct attacker *a)
{
	struct target *t = targets;

	while (t < targets + nr_targets && !t->shm.len)
		t++;
	while (t < targets + nr_targets && !clock_is_past(a->deadline)) {
		uint64_t bar = t->dev.pci.config + PCI_BAR0 + 4 * t->shm.bar;

		poke(a, bar, 4, t->shm.addr + t->shm.len);
		poke(a, bar, 4, t->shm.addr);
		peek(a, t->shm.addr + below(a, t->shm.len - 8), 8);
	}
	a->done = true;
}

static void move_window_cpu1(void)
{
	move_window(&attackers[1]);
}

/* ---- everything ------------------------------------------------------- */

static void prepare(struct attacker *a, unsigned cpu)
{
	a->cpu = cpu;
	a->play = arena_alloc(PLAY_LEN, PAGE);
	for (unsigned i = 0; i < RINGS_MAX; i++) {
		struct ring *r = &a->rings[i];
		uint8_t *pages = arena_alloc(4 * PAGE, PAGE);

		r->desc = (void *)pages;
		r->avail = (void *)(pages + PAGE);
		r->used = (void *)(pages + 2 * PAGE);
		r->table = (void *)(pages + 3 * PAGE);
		r->size = 1;
	}
}

static void attack_cpu1(void);

static void attack(struct attacker *a)
{
	while (!is_over(a) && !clock_is_past(a->deadline)) {
		/* The other CPU is started afresh, in the middle of all. */
		if (!a->cpu && !attackers[1].done && one_in(a, 100))
			cpu1_run(attack_cpu1);
		switch (below(a, 8)) {
		case 0:
		case 1:
		case 2:
			attack_registers(a);
			break;
		case 3:
			attack_other(a);
			break;
		default:
			attack_rings(a);
		}
	}
	a->done = true;
}

static void attack_cpu1(void)
{
	attack(&attackers[1]);
}

static void begin_attack(struct attacker *a)
{
	random_init(&a->random, param_number("seed", 1) * 2 + a->cpu);
	a->accesses = 0;
	a->budget = param_number("accesses", 20000) / 2;
	a->deadline = clock_after_ms(param_number("ms", 2000));
	a->may_reset = param_number("reset", 0);
	a->done = false;
	a->target = NULL;
	for (unsigned i = 0; i < KNOWN_MAX; i++)
		a->known[i] = 1; /* the root of a file system */
}

/* The serial port as the kit wants it. */
static void mend_serial(void)
{
	out8(PORT_SERIAL + 3, 3); /* 8n1 */
	out8(PORT_SERIAL + 4, 0); /* no loopback */
	out8(PORT_SERIAL + 1, 0); /* no interrupts */
	out8(PORT_SERIAL + 2, 7); /* empty buffers */
}

/* It may be slow, in the middle of something, or unplugged. */
static void stop_cpu1(void)
{
	mmio_write32(XAPIC_ICR_HIGH, 1u << 24);
	mmio_write32(XAPIC_ICR_LOW, ICR_INIT);
}

/* No interrupt but an NMI ends that. */
static void rest(void)
{
	/* One that waits to be started has something that it cannot take. */
	if (param_number("nmi", 0))
		cpu1_nmi();
	else
		stop_cpu1();
	mmio_write32(XAPIC_TPR, 0xff);
	for (;;)
		cpu_halt();
}

static void both(void (*work)(struct attacker *a), void (*work_cpu1)(void))
{
	uint64_t deadline;

	find_targets();
	for (unsigned i = 0; i < 2; i++)
		begin_attack(&attackers[i]);
	if (!nr_targets || !cpu1_run(work_cpu1))
		attackers[1].done = true;
	if (nr_targets)
		work(&attackers[0]);
	deadline = clock_after_ms(WAIT_MS);
	while (!attackers[1].done && !clock_is_past(deadline))
		cpu_relax();
	if (!attackers[1].done)
		stop_cpu1();
	mend_serial();
	say("\n@ OK accesses=%lu targets=%u",
	    attackers[0].accesses + attackers[1].accesses, nr_targets);
}

/* Whatever starts or interrupts a CPU in real mode, it halts. */
static void make_park(void)
{
	static const uint8_t halt[] = { 0xf4, 0xeb, 0xfd }; /* and jmp to it */

	memcpy((void *)(uint64_t)PARK_PAGE, halt, sizeof(halt));
	for (uint32_t vector = 0; vector < 256; vector++)
		mmio_write32(4 * vector, PARK_PAGE / 16 << 16);
}

void guest_main(const struct guest_info *info)
{
	static char line[LINE_MAX];
	unsigned nr_lives;
	const char *why;

	hostile_info = info;
	make_park();
	clock_khz(); /* while there is the command line */
	prepare(&attackers[0], 0);
	prepare(&attackers[1], 1);
	say("\n@ READY");
	for (;;) {
		hear(line, sizeof(line));
		param_init(line);
		if (param_is("cmd", "hello")) {
			say("\n@ HELLO %lu", param_number("n", 0));
			continue;
		}
		if (param_is("cmd", "attack")) {
			both(attack, attack_cpu1);
		} else if (param_is("cmd", "move")) {
			both(move_window, move_window_cpu1);
		} else if (param_is("cmd", "flood")) {
			why = flood(&nr_lives);
			say("\n@ OK lives=%u %s", nr_lives, why ? why : "");
		} else if (param_is("cmd", "whole")) {
			why = whole_check();
			say("\n@ %s", why ? why : "OK");
		} else if (param_is("cmd", "reset")) {
			power_reset();
		} else if (param_is("cmd", "off")) {
			power_off();
		} else if (param_is("cmd", "rest")) {
			say("\n@ OK");
			rest();
		} else {
			say("\n@ no such command");
		}
	}
}
