/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_LIST_H
#define VMM_LIST_H

#include <stdbool.h>

#include "vmm/util.h"

/* A doubly linked ring; the list head is a node too. Not thread safe. */
struct list_node {
	struct list_node *prev;
	struct list_node *next;
};

static inline void list_init(struct list_node *head)
{
	head->prev = head;
	head->next = head;
}

static inline bool list_is_empty(const struct list_node *head)
{
	return head->next == head;
}

/* Put n in front of pos: at the end of the list when pos is its head. */
static inline void list_insert(struct list_node *pos, struct list_node *n)
{
	n->prev = pos->prev;
	n->next = pos;
	pos->prev->next = n;
	pos->prev = n;
}

static inline void list_remove(struct list_node *n)
{
	n->prev->next = n->next;
	n->next->prev = n->prev;
	list_init(n);
}

/* Take the first node of a list that is not empty. */
static inline struct list_node *list_take(struct list_node *head)
{
	struct list_node *n = head->next;

	head->next = n->next;
	n->next->prev = head;
	list_init(n);
	return n;
}

/* Safe against removal of `pos` inside the body. */
#define list_for_each(pos, tmp, head)                                    \
	for ((pos) = (head)->next, (tmp) = (pos)->next; (pos) != (head); \
	     (pos) = (tmp), (tmp) = (pos)->next)

#endif
