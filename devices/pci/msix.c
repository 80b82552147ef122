/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/pci/msix.h"

#include <errno.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/byteorder.h"
#include "vmm/util.h"

int msix_init(struct msix *m, unsigned int nr,
	      bool (*send)(void *opaque, uint64_t addr, uint32_t data),
	      void *opaque)
{
	m->send = send;
	m->opaque = opaque;
	m->state = calloc(1, sizeof(*m->state) + nr * sizeof(*m->state->table));
	if (!m->state)
		return -ENOMEM;
	m->nr = nr;
	pthread_mutex_init(&m->lock, NULL);
	msix_reset(m);
	return 0;
}

void msix_fini(struct msix *m)
{
	if (!m->nr)
		return;
	free(m->state);
	pthread_mutex_destroy(&m->lock);
	m->state = NULL;
	m->nr = 0;
}

void msix_reset(struct msix *m)
{
	mutex_guard(&m->lock);
	for (unsigned int i = 0; i < m->nr; i++)
		m->state->table[i] = (struct msix_entry){
			.control = PCI_MSIX_ENTRY_CTRL_MASKBIT
		};
	memset(m->state->pending, 0, sizeof(m->state->pending));
	m->enabled = false;
	m->masked = false;
}

static bool msix_message_locked(const struct msix *m, unsigned int vector,
				uint64_t *addr, uint32_t *data)
{
	const struct msix_entry *e = &m->state->table[vector];

	*addr = (uint64_t)e->addr_hi << 32 | e->addr_lo;
	*data = e->data;
	return m->enabled && !m->masked &&
	       !(e->control & PCI_MSIX_ENTRY_CTRL_MASKBIT);
}

bool msix_message(struct msix *m, unsigned int vector, uint64_t *addr,
		  uint32_t *data)
{
	mutex_guard(&m->lock);

	return vector < m->nr && msix_message_locked(m, vector, addr, data);
}

static void msix_deliver_locked(struct msix *m, unsigned int vector)
{
	uint64_t bit = 1ull << (vector % 64), addr;
	uint32_t data;

	if (!m->enabled)
		return;
	if (!msix_message_locked(m, vector, &addr, &data) ||
	    !m->send(m->opaque, addr, data))
		m->state->pending[vector / 64] |= bit;
	else
		m->state->pending[vector / 64] &= ~bit;
}

static void msix_flush_one_locked(struct msix *m, unsigned int vector)
{
	if (m->state->pending[vector / 64] & 1ull << (vector % 64))
		msix_deliver_locked(m, vector);
}

void msix_notify(struct msix *m, unsigned int vector)
{
	if (vector >= m->nr)
		return;
	mutex_guard(&m->lock);
	msix_deliver_locked(m, vector);
}

static void msix_flush_locked(struct msix *m)
{
	for (unsigned int i = 0; i < m->nr; i++)
		msix_flush_one_locked(m, i);
}

void msix_flush(struct msix *m)
{
	mutex_guard(&m->lock);
	msix_flush_locked(m);
}

void msix_set_control(struct msix *m, bool enabled, bool masked)
{
	mutex_guard(&m->lock);
	m->enabled = enabled;
	m->masked = masked;
	msix_flush_locked(m);
}

static bool msix_is_inside(uint64_t off, unsigned int len, uint64_t size)
{
	return (len == 4 || len == 8) && off % len == 0 && off < size &&
	       len <= size - off;
}

void msix_table_read(struct msix *m, uint64_t off, void *data, unsigned int len)
{
	memset(data, 0, len);
	if (!msix_is_inside(off, len, m->nr * (uint64_t)PCI_MSIX_ENTRY_SIZE))
		return;
	mutex_guard(&m->lock);
	memcpy(data, (const uint8_t *)m->state->table + off, len);
}

void msix_table_write(struct msix *m, uint64_t off, const void *data,
		      unsigned int len)
{
	if (!msix_is_inside(off, len, m->nr * (uint64_t)PCI_MSIX_ENTRY_SIZE))
		return;
	mutex_guard(&m->lock);
	memcpy((uint8_t *)m->state->table + off, data, len);
	msix_flush_one_locked(m, (unsigned int)(off / PCI_MSIX_ENTRY_SIZE));
}

void msix_pba_read(struct msix *m, uint64_t off, void *data, unsigned int len)
{
	memset(data, 0, len);
	if (!msix_is_inside(off, len, (m->nr + 63) / 64 * 8ull))
		return;
	mutex_guard(&m->lock);
	memcpy(data, (const uint8_t *)m->state->pending + off, len);
}
