/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Functions with several BARs, and with windows. */
#include "tests/unit/pci_fixture.h"

/* ---- several BARs ---- */

/* BAR 1's register is the upper half of BAR 0's. */
#define LOW_BAR 2u
#define HIGH_BAR 3u
#define LOW_SIZE 16u

static void card_make_wide(struct card *card, uint64_t high_size)
{
	card_make(card);
	pci_add_bar(&card->pci, LOW_BAR, LOW_SIZE, 0, &card_bar_ops);
	pci_add_bar(&card->pci, HIGH_BAR, high_size,
		    PCI_BASE_ADDRESS_MEM_TYPE_64 |
			    PCI_BASE_ADDRESS_MEM_PREFETCH,
		    &card_bar_ops);
}

static int card_plug_wide(struct card *card, uint64_t high_size,
			  struct error *err)
{
	card_make_wide(card, high_size);
	return pci_plug(&card->pci, 0, err);
}

static unsigned int bar_reg(unsigned int bar)
{
	return PCI_BASE_ADDRESS_0 + 4 * bar;
}

static gpa_t bar_at(unsigned int slot, unsigned int bar, unsigned int width)
{
	return fake_cfg_read(&fv, slot, bar_reg(bar), width) & ~0xfull;
}

static void test_bars_sizing(void **state unused_param)
{
	uint64_t len;
	gpa_t base = arch_pci_mmio64(&fv.board.gmem, &len);
	gpa_t low, high;

	assert_int_equal(card_plug_wide(&cards[2], 8 * GIB, NULL), 0);
	low = bar_at(2, LOW_BAR, 4);
	high = bar_at(2, HIGH_BAR, 8);
	assert_int_equal(cfg(2, bar_reg(LOW_BAR), 1) & 0xf, 0);
	assert_int_equal(cfg(2, bar_reg(HIGH_BAR), 1) & 0xf, 0xc);
	assert_true(low >= arch_pci.mmio32_base &&
		    low < arch_pci.mmio32_base + arch_pci.mmio32_len);
	assert_true(high >= base && high + 8 * GIB <= base + len);
	assert_int_equal(high % (8 * GIB), 0);

	fake_cfg_write(&fv, 2, bar_reg(LOW_BAR), 0xffffffff, 4);
	fake_cfg_write(&fv, 2, bar_reg(HIGH_BAR), 0xffffffff, 4);
	fake_cfg_write(&fv, 2, bar_reg(HIGH_BAR) + 4, 0xffffffff, 4);
	assert_int_equal(cfg(2, bar_reg(LOW_BAR), 4), 0xfffffff0);
	assert_int_equal(cfg(2, bar_reg(HIGH_BAR), 4), 0xc);
	assert_int_equal(cfg(2, bar_reg(HIGH_BAR) + 4, 4), 0xfffffffe);
	fake_cfg_write(&fv, 2, bar_reg(5), 0xffffffff, 4);
	assert_int_equal(cfg(2, bar_reg(5), 4), 0);
	pci_dev_reset(&cards[2].pci);
	assert_int_equal(bar_at(2, LOW_BAR, 4), low);
	assert_int_equal(bar_at(2, HIGH_BAR, 8), high);
	pci_unplug(&cards[2].pci);
}

static void test_bars_access(void **state unused_param)
{
	gpa_t high;

	assert_int_equal(card_plug_wide(&cards[2], 2 * MIB, NULL), 0);
	high = bar_at(2, HIGH_BAR, 8);
	assert_int_equal(fake_mmio_read(&fv, high, 1), 0xff);
	enable(2, true);
	fake_mmio_read(&fv, bar_at(2, LOW_BAR, 4) + 8, 4);
	assert_int_equal(cards[2].last_off, 8);
	fake_mmio_write(&fv, high + 2 * MIB - 8, 5, 8);
	assert_int_equal(cards[2].last_off, 2 * MIB - 8);
	assert_int_equal(fake_mmio_read(&fv, high + 2 * MIB, 1), 0xff);
	/* One that moves takes no other along. */
	cards[2].moves = 0;
	fake_cfg_write(&fv, 2, bar_reg(HIGH_BAR), high + 4 * MIB, 8);
	assert_int_equal(cards[2].moves, 0);
	assert_int_equal(fake_mmio_read(&fv, high, 1), 0xff);
	assert_int_equal(fake_mmio_read(&fv, high + 4 * MIB, 1), 0x5a);
	/* Onto another of the same function: the second does not answer. */
	fake_cfg_write(&fv, 2, bar_reg(HIGH_BAR), bar_at(2, 0, 8), 8);
	assert_int_equal(fake_mmio_read(&fv, bar_at(2, 0, 8), 1), 0x5a);
	assert_false(cards[2].pci.bars[HIGH_BAR].mapped);
	enable(2, false);
	assert_int_equal(fake_mmio_read(&fv, bar_at(2, LOW_BAR, 4), 1), 0xff);
	pci_unplug(&cards[2].pci);
}

/* Each has addresses of its own, and they go back when a device goes; the guest
 * is given none that it uses already. */
static void test_bars_room(void **state unused_param)
{
	struct error err = { "" };
	struct card extra;
	uint64_t len, quarter;
	gpa_t base = arch_pci_mmio64(&fv.board.gmem, &len), second;
	char size[32];

	quarter = len / 4;
	assert_int_not_equal(base % quarter, 0);
	snprintf(size, sizeof(size), "%llu MiB", llu(quarter / MIB));
	assert_int_equal(card_plug_wide(&cards[2], quarter, NULL), 0);
	assert_int_equal(card_plug_wide(&cards[3], quarter, NULL), 0);
	second = bar_at(3, HIGH_BAR, 8);
	assert_true(second >= bar_at(2, HIGH_BAR, 8) + quarter);
	assert_int_equal(card_plug_wide(&cards[4], quarter, NULL), 0);
	/* The window does not begin where a quarter of it can. */
	card_make_wide(&extra, quarter);
	assert_int_equal(pci_plug(&extra.pci, 0, &err), -ENOSPC);
	assert_non_null(strstr(err.msg, size));
	assert_null(extra.pci.root);
	assert_int_equal(extra.pci.slot, 0);
	pci_unplug(&extra.pci);
	assert_int_equal(cfg(5, PCI_VENDOR_ID, 2), 0xffff);
	pci_unplug(&cards[3].pci);
	assert_int_equal(card_plug_wide(&cards[3], GIB, NULL), 0);
	assert_int_equal(bar_at(3, HIGH_BAR, 8), base);
	/* The guest puts it where the next one would go. */
	fake_cfg_write(&fv, 3, bar_reg(HIGH_BAR), second, 8);
	enable(3, true);
	assert_int_equal(card_plug_wide(&cards[5], quarter, &err), -ENOSPC);
	pci_unplug(&cards[5].pci);
	assert_int_equal(card_plug_wide(&cards[5], GIB, NULL), 0);
	assert_int_equal(bar_at(5, HIGH_BAR, 8), base + GIB);
	pci_unplug(&cards[5].pci);
	pci_unplug(&cards[4].pci);
	pci_unplug(&cards[3].pci);
	pci_unplug(&cards[2].pci);
}

/* What is too large for the low window goes up if it can. */
static void test_bars_large(void **state unused_param)
{
	struct error err = { "" };
	uint64_t len;
	gpa_t base = arch_pci_mmio64(&fv.board.gmem, &len);

	card_make(&cards[2]);
	pci_add_bar(&cards[2].pci, 4, GIB, PCI_BASE_ADDRESS_MEM_TYPE_64,
		    &card_bar_ops);
	assert_int_equal(pci_plug(&cards[2].pci, 0, &err), 0);
	assert_int_equal(bar_at(2, 4, 8), base);
	card_make(&cards[3]);
	pci_add_bar(&cards[3].pci, 5, GIB, PCI_BASE_ADDRESS_MEM_PREFETCH,
		    &card_bar_ops);
	assert_int_equal(pci_plug(&cards[3].pci, 0, &err), -ENOSPC);
	pci_unplug(&cards[3].pci);
	pci_unplug(&cards[2].pci);
}

/* Each BAR that goes by force leaves zeroes, and its addresses are nobody
 * else's while others are free. */
static void test_bars_forced(void **state unused_param)
{
	struct device *root = board_find_class(&fv.board, "pci_root");
	unsigned int nr = fv.board.mmio.nr;
	gpa_t low, high;

	assert_int_equal(card_plug_wide(&cards[2], 2 * MIB, NULL), 0);
	low = bar_at(2, LOW_BAR, 4);
	high = bar_at(2, HIGH_BAR, 8);
	enable(2, true);
	pci_detach(&cards[2].pci, true);
	pci_unplug(&cards[2].pci);
	assert_int_equal(fake_mmio_read(&fv, low, 4), 0);
	assert_int_equal(fake_mmio_read(&fv, high, 4), 0);
	assert_int_equal(card_plug_wide(&cards[3], 2 * MIB, NULL), 0);
	assert_int_equal(cards[3].pci.slot, 3);
	assert_int_not_equal(bar_at(3, LOW_BAR, 4), low);
	assert_int_not_equal(bar_at(3, HIGH_BAR, 8), high);
	/* The slot's next device has them again. */
	assert_int_equal(card_plug_at(&cards[2], 2, NULL), 0);
	assert_int_equal(fake_mmio_read(&fv, low, 4), 0xffffffff);
	pci_unplug(&cards[2].pci);
	pci_unplug(&cards[3].pci);
	root->ops->reset(root);
	assert_int_equal(fv.board.mmio.nr, nr);
}

/* ---- windows ---- */

#define WINDOW_BAR 2u
#define WINDOW_LEN (4 * MIB)

static struct window *windows[PCI_SLOTS];

static void window_plug(unsigned int slot)
{
	card_make(&cards[slot]);
	assert_int_equal(window_create(&windows[slot], &fv.board.windows,
				       &fv.board.gmem, "fs", WINDOW_LEN, NULL),
			 0);
	pci_add_window(&cards[slot].pci, WINDOW_BAR, windows[slot]);
	assert_int_equal(pci_plug(&cards[slot].pci, slot, NULL), 0);
}

static void window_gone(unsigned int slot)
{
	pci_unplug(&cards[slot].pci);
	window_destroy(windows[slot]);
}

static void window_move(unsigned int slot, gpa_t gpa)
{
	unsigned int reg = bar_reg(WINDOW_BAR);

	fake_cfg_write(&fv, slot, reg, gpa, 4);
	fake_cfg_write(&fv, slot, reg + 4, gpa >> 32, 4);
}

/* Is there memory at gpa? */
static bool has_window(gpa_t gpa)
{
	enum gmem_kind kind;
	uint64_t len = 1;

	return gmem_span(&fv.board.gmem, gpa, &len, &kind) &&
	       kind == GMEM_WINDOW;
}

/* It comes when it is switched on first, and goes when it is elsewhere. */
static void test_window(void **state unused_param)
{
	gpa_t at, high;

	window_plug(2);
	at = bar_at(2, WINDOW_BAR, 8);
	high = at + 16 * GIB;
	assert_int_equal(cfg(2, bar_reg(WINDOW_BAR), 1) & 0xf, 0xc);
	assert_false(has_window(at));
	enable(2, true);
	assert_true(has_window(at));
	assert_true(has_window(at + WINDOW_LEN - 1));
	/* To size it, as Linux does. */
	enable(2, false);
	window_move(2, UINT64_MAX);
	assert_int_equal(fake_cfg_read(&fv, 2, bar_reg(WINDOW_BAR), 8),
			 ~(WINDOW_LEN - 1) | 0xc);
	assert_true(has_window(at));
	window_move(2, at);
	enable(2, true);
	assert_true(has_window(at));
	/* To size it while it is on. */
	window_move(2, UINT64_MAX);
	window_move(2, at);
	assert_true(has_window(at));
	window_move(2, high);
	assert_false(has_window(at));
	assert_true(has_window(high));
	/* Not over memory, nor the registers of chips. */
	window_move(2, 0);
	assert_false(has_window(0));
	assert_int_equal(fake_mmio_read(&fv, 0, 4), 0xffffffff);
	window_move(2, arch_pci.ecam_base);
	assert_false(has_window(arch_pci.ecam_base));
	assert_int_equal(cfg(1, PCI_VENDOR_ID, 2), 0x1234);
	window_move(2, at);
	assert_true(has_window(at));
	pci_dev_reset(&cards[2].pci);
	assert_false(has_window(at));
	assert_int_equal(bar_at(2, WINDOW_BAR, 8), at);
	enable(2, true);
	assert_true(has_window(at));
	window_gone(2);
	assert_false(has_window(at));
}

/* One that is off makes room for what comes there. */
static void test_window_overlap(void **state unused_param)
{
	gpa_t first, second;

	window_plug(2);
	window_plug(3);
	first = bar_at(2, WINDOW_BAR, 8);
	second = bar_at(3, WINDOW_BAR, 8);
	enable(2, true);
	enable(3, true);
	window_move(3, first);
	assert_false(cards[3].pci.bars[WINDOW_BAR].mapped);
	assert_false(has_window(second));
	enable(2, false);
	/* The second has waited for it. */
	assert_true(cards[3].pci.bars[WINDOW_BAR].mapped);
	assert_true(has_window(first));
	enable(2, true);
	assert_false(cards[2].pci.bars[WINDOW_BAR].mapped);
	/* Registers come where one is that is off. */
	enable(3, false);
	assert_true(cards[2].pci.bars[WINDOW_BAR].mapped);
	enable(2, false);
	enable(1, true);
	move(1, first + WINDOW_LEN / 2);
	assert_false(has_window(first));
	assert_int_equal(fake_mmio_read(&fv, first + WINDOW_LEN / 2, 1), 0x5a);
	enable(2, true);
	assert_false(has_window(first));
	move(1, arch_pci.mmio32_base);
	assert_true(has_window(first));
	window_gone(3);
	window_gone(2);
}

/* A BAR is a power of two, a window need not be. */
static void test_window_size(void **state unused_param)
{
	struct window *w;
	gpa_t at;

	card_make(&cards[2]);
	assert_int_equal(window_create(&w, &fv.board.windows, &fv.board.gmem,
				       "fs", 6 * MIB, NULL),
			 0);
	pci_add_window(&cards[2].pci, WINDOW_BAR, w);
	assert_int_equal(pci_plug(&cards[2].pci, 2, NULL), 0);
	at = bar_at(2, WINDOW_BAR, 8);
	enable(2, true);
	assert_true(has_window(at + 6 * MIB - 1));
	assert_false(has_window(at + 6 * MIB));
	assert_int_equal(fake_mmio_read(&fv, at + 8 * MIB - 8, 8), 0);
	fake_mmio_write(&fv, at + 6 * MIB, 0, 8);
	assert_int_equal(window_faults(w), 0);
	assert_int_equal(fake_mmio_read(&fv, at + 8 * MIB, 1), 0xff);
	window_move(2, UINT64_MAX);
	assert_int_equal(bar_at(2, WINDOW_BAR, 8), ~(8 * MIB - 1));
	pci_unplug(&cards[2].pci);
	window_destroy(w);
}

/* What the guest cannot have, and KVM emulates its access to. */
static void test_window_trap(void **state unused_param)
{
	uint64_t len = 1;
	enum gmem_kind kind;
	const char c = 'x';
	int through[2];
	gpa_t at;

	log_init(STDERR_FILENO, LOG_ERROR);
	window_plug(2);
	at = bar_at(2, WINDOW_BAR, 8);
	enable(2, true);
	assert_int_equal(fake_mmio_read(&fv, at + 8, 4), 0);
	fake_mmio_write(&fv, at + WINDOW_LEN - 8, 1, 8);
	assert_int_equal(window_faults(windows[2]), 1);
	/* From now on it can write there. */
	assert_int_equal(pipe(through), 0);
	assert_int_equal(write(through[1], &c, 1), 1);
	assert_int_equal(
		read(through[0], gmem_span(&fv.board.gmem, at, &len, &kind), 1),
		1);
	close(through[0]);
	close(through[1]);
	/* Taken away by force it reads as zero. */
	pci_detach(&cards[2].pci, true);
	assert_false(has_window(at));
	window_gone(2);
	assert_int_equal(fake_mmio_read(&fv, at, 8), 0);
	log_init(STDERR_FILENO, LOG_INFO);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_bars_sizing),	   UNIT(test_bars_access),
		UNIT(test_bars_room),	   UNIT(test_bars_large),
		UNIT(test_bars_forced),	   UNIT(test_window),
		UNIT(test_window_overlap), UNIT(test_window_trap),
		UNIT(test_window_size),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
