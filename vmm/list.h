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

/* Make an empty list, or a node that is in none. */
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

/* Take n out of its list; one that is in none stays so. */
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

/* The first entry of a list, or NULL; take it, too. */
#define list_first(type, head, member) \
	(list_is_empty(head) ? NULL : container_of((head)->next, type, member))
#define list_take_first(type, head, member) \
	(list_is_empty(head) ? NULL         \
			     : container_of(list_take(head), type, member))

/* The node by which an entry is in a list; the entry behind it, or what would
 * be one if the head were a node of it. */
#define list_node_of(entry, type, member) \
	((struct list_node *)(void *)((char *)(entry) + offsetof(type, member)))
#define list_entry_after(entry, type, member) \
	container_of(list_node_of(entry, type, member)->next, type, member)

/* For each entry, first to last; `e` is a variable of the loop. The body may
 * remove it, and no other one. */
#define list_for_each_entry(type, e, head, member)               \
	for (type *e = container_of((head)->next, type, member), \
		  *e##_next = list_entry_after(e, type, member); \
	     list_node_of(e, type, member) != (head);            \
	     e = e##_next, e##_next = list_entry_after(e, type, member))

#endif
