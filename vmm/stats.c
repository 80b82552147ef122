/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/stats.h"

#include <linux/kvm.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <unistd.h>

#include "vmm/few.h"
#include "vmm/kept.h"
#include "vmm/thread.h"
#include "vmm/util.h"
#include "vmm/vcpu.h"
#include "vmm/vm.h"

/* Add v to the number called name; obj: a json_t. Also what counters of devices are
 * told to. */
static void stats_add(void *obj, const char *name, uint64_t v)
{
	json_int_t old = json_integer_value(json_object_get(obj, name));

	json_object_set_new(obj, name, json_integer(old + (json_int_t)v));
}

/* The object called name inside obj, made when it is not there. Borrowed. */
static json_t *stats_group(json_t *obj, const char *name)
{
	json_t *group = json_object_get(obj, name);

	if (!group) {
		group = json_object();
		json_object_set_new(obj, name, group);
	}
	return group;
}

/* ---- memory ---- */

struct stats_mapping {
	bool guest;
	uint64_t rss, anon, huge, private; /* bytes, of this mapping */
};

static bool stats_is_inside(uint64_t addr, const void *start, uint64_t len)
{
	return addr - (uintptr_t)start < len;
}

static bool stats_is_guest(const struct vm *vm, uint64_t addr)
{
	const struct gmem *gm = vm ? &vm->board.gmem : NULL;
	const struct gmem_range *r;

	if (!gm)
		return false;
	gmem_for_each (r, gm)
		if (stats_is_inside(addr, r->hva, r->len))
			return true;
	return stats_is_inside(addr, gm->reserved.hva, gm->reserved.len);
}

static void stats_end_mapping(json_t *out, struct stats_mapping *map)
{
	if (map->guest) {
		stats_add(out, "guest_rss_bytes", map->rss);
		stats_add(out, "guest_anon_bytes", map->anon);
		stats_add(out, "guest_file_bytes", map->rss - map->anon);
		stats_add(out, "guest_huge_bytes", map->huge);
	} else {
		stats_add(out, "vmm_rss_bytes", map->rss);
		stats_add(out, "vmm_private_bytes", map->private);
	}
	memset(map, 0, sizeof(*map));
}

/* "Rss:    12 kB" */
static void stats_mapping_line(struct stats_mapping *map, const char *line)
{
	char name[32];
	unsigned long long kib;

	if (sscanf(line, "%31[^:]: %llu kB", name, &kib) != 2)
		return;
	kib *= KIB;
	if (strcmp(name, "Rss") == 0)
		map->rss = kib;
	else if (strcmp(name, "Anonymous") == 0)
		map->anon = kib;
	else if (strncmp(name, "Private_", 8) == 0)
		map->private += kib;
	if (strcmp(name, "AnonHugePages") == 0 ||
	    strcmp(name, "ShmemPmdMapped") == 0 ||
	    strcmp(name, "FilePmdMapped") == 0)
		map->huge += kib;
	/* Pages of hugetlbfs are not in Rss. */
	if (strcmp(name, "Private_Hugetlb") == 0 ||
	    strcmp(name, "Shared_Hugetlb") == 0) {
		map->rss += kib;
		map->huge += kib;
	}
}

struct stats_memory {
	const struct vm *vm;
	json_t *out;
	struct stats_mapping map;
};

static void stats_on_smaps(void *arg, const char *line)
{
	struct stats_memory *sm = arg;
	unsigned long long start, end;

	if (sscanf(line, "%llx-%llx ", &start, &end) == 2) {
		stats_end_mapping(sm->out, &sm->map);
		sm->map.guest = stats_is_guest(sm->vm, start);
	} else {
		stats_mapping_line(&sm->map, line);
	}
}

static void stats_on_status(void *arg, const char *line)
{
	const struct stats_memory *sm = arg;
	unsigned long long kib;

	if (sscanf(line, "VmPTE: %llu", &kib) == 1)
		stats_add(sm->out, "page_table_bytes", kib * KIB);
}

static void stats_memory(const struct vm *vm, json_t *out)
{
	struct stats_memory sm = { .vm = vm, .out = out };

	kept_read(KEPT_SMAPS, stats_on_smaps, &sm);
	stats_end_mapping(out, &sm.map);
	kept_read(KEPT_STATUS, stats_on_status, &sm);
}

/* ---- threads ---- */

static void stats_on_thread(void *arg, const char *name, uint64_t cpu_ns,
			    uint64_t wait_ns)
{
	json_t *thread = stats_group(arg, name);

	stats_add(thread, "cpu_ns", cpu_ns);
	stats_add(thread, "wait_ns", wait_ns);
}

/* ---- KVM ---- */

static void stats_kvm_values(int fd, const struct kvm_stats_header *h,
			     json_t *out)
{
	size_t size = sizeof(struct kvm_stats_desc) + h->name_size;
	char *table = malloc(size * h->num_desc);
	uint64_t v;

	if (!table ||
	    few_pread(fd, table, size * h->num_desc, h->desc_offset) < 0)
		goto out;
	for (uint32_t i = 0; i < h->num_desc; i++) {
		const struct kvm_stats_desc *d =
			(const void *)(table + i * size);

		/* Histograms have more than one value. */
		if (d->size == 1 &&
		    few_pread(fd, &v, sizeof(v), h->data_offset + d->offset) ==
			    sizeof(v))
			stats_add(out, d->name, v);
	}
out:
	free(table);
}

/* KVM's own counters, of a VM or a vCPU. Kernels before 5.14 have none. */
static void stats_kvm(int fd, json_t *out)
{
	struct kvm_stats_header h;

	if (fd >= 0 && few_pread(fd, &h, sizeof(h), 0) == sizeof(h) &&
	    h.num_desc < 4096 && h.name_size < 4096)
		stats_kvm_values(fd, &h, out);
}

static void stats_vcpus(const struct vm *vm, json_t *out)
{
	json_t *exits = stats_group(out, "exits");
	json_t *kvm = stats_group(out, "kvm");
	char name[16];
	int fd;

	if (!vm)
		return;
	fd = ioctl(vm->kvm.vm_fd, KVM_GET_STATS_FD, NULL);
	stats_kvm(fd, stats_group(kvm, "vm"));
	close_fd(&fd);
	for (unsigned int i = 0; i < vm->kvm.nr_vcpus; i++) {
		const struct vcpu *vcpu = vm->kvm.vcpus[i];
		json_t *mine;

		snprintf(name, sizeof(name), "vcpu%u", i);
		stats_kvm(vcpu->stats_fd, stats_group(kvm, name));
		mine = stats_group(exits, name);
		for (unsigned int e = 0; e < VCPU_NR_EXITS; e++) {
			uint64_t n = __atomic_load_n(&vcpu->exits[e],
						     __ATOMIC_RELAXED);

			if (n)
				stats_add(mine, vcpu_exit_name(e), n);
		}
	}
}

/* ---- devices ---- */

json_t *stats_counters(struct vm *vm)
{
	json_t *out = json_object();

	if (!vm)
		return out;
	list_for_each_entry (struct device, dev, &vm->board.devices, node) {
		if (dev->ops->counters)
			dev->ops->counters(dev, stats_add,
					   stats_group(out, dev->id));
	}
	return out;
}

json_t *stats_json(struct vm *vm)
{
	json_t *out = json_object();

	stats_memory(vm, stats_group(out, "memory"));
	thread_visit(stats_on_thread, stats_group(out, "threads"));
	stats_vcpus(vm, out);
	json_object_set_new(out, "devices", stats_counters(vm));
	return out;
}

/* ---- text ---- */

/* What a label says may hold anything but these three as it is. */
static void stats_put_label(FILE *f, const char *text)
{
	for (; *text; text++) {
		if (*text == '\n')
			fputs("\\n", f);
		else if (*text == '"' || *text == '\\')
			fprintf(f, "\\%c", *text);
		else
			fputc(*text, f);
	}
}

static void stats_put(FILE *f, const char *group, const char *owner,
		      const char *name, json_t *value)
{
	fprintf(f, "vmm_%s{", group);
	if (owner) {
		fputs("of=\"", f);
		stats_put_label(f, owner);
		fputs("\",", f);
	}
	fputs("name=\"", f);
	stats_put_label(f, name);
	fprintf(f, "\"} %lld\n", (long long)json_integer_value(value));
}

static void stats_put_group(FILE *f, const char *group, json_t *members)
{
	const char *name, *inner;
	json_t *value, *v;

	fprintf(f, "# TYPE vmm_%s untyped\n", group);
	json_object_foreach (members, name, value) {
		if (!json_is_object(value)) {
			stats_put(f, group, NULL, name, value);
			continue;
		}
		json_object_foreach (value, inner, v)
			stats_put(f, group, name, inner, v);
	}
}

char *stats_prometheus(struct vm *vm)
{
	json_t *all = stats_json(vm), *members;
	const char *group;
	char *text = NULL;
	size_t len = 0;
	FILE *f = open_memstream(&text, &len);

	if (!f) {
		json_decref(all);
		return NULL;
	}
	json_object_foreach (all, group, members)
		stats_put_group(f, group, members);
	json_decref(all);
	if (fclose(f)) {
		free(text);
		return NULL;
	}
	return text;
}
