/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/irq.h"

#include "vmm/board.h"

bool irq_msi(struct board *board, uint32_t devid, uint64_t addr, uint32_t data)
{
	if (atomic_load(&board->irqs_held))
		return false;
	board->ops->msi(board->ops_opaque, devid, addr, data);
	return true;
}

int irq_msi_fd(struct board *board, int event_fd, const struct irq_msi *msi)
{
	if (!board->ops->msi_fd)
		return -ENOSYS;
	return board->ops->msi_fd(board->ops_opaque, event_fd, msi);
}

void irq_hold(struct board *board, bool on)
{
	atomic_store(&board->irqs_held, on);
}

void irq_line(struct board *board, uint32_t gsi, bool level)
{
	if (board->line_sink)
		board->line_sink(board->line_opaque, gsi, level);
	else
		board->ops->line(board->ops_opaque, gsi, level);
}

void irq_pulse(struct board *board, uint32_t gsi)
{
	irq_line(board, gsi, true);
	irq_line(board, gsi, false);
}

void irq_set_line_sink(struct board *board,
		       void (*sink)(void *opaque, uint32_t gsi, bool level),
		       void *opaque)
{
	board->line_opaque = opaque;
	board->line_sink = sink;
}
