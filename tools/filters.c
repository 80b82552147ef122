/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * Makes the system call filters, when the program is built: filters > FILE.c.
 * The lists are those of the device classes, of vmm/syscalls.c and of the port;
 * libseccomp makes programs of them, and is not part of the monitor.
 *
 * filters --count: of each kind of thread, how many different calls it may make,
 * and how many of them whatever their arguments are, without shared directories
 * and sanitizers.
 *
 * filters --list: what is in the lists, for tests/lint.
 */
#include <errno.h>
#include <linux/filter.h>
#include <seccomp.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "arch/arch.h"
#include "devices/registry.h"
#include "vmm/syscall_rule.h"
#include "vmm/syscalls.h"
#include "vmm/util.h"

#define INSNS_MAX 4096
#define CALLS_MAX 512
#define RULES_MAX 1024

/* Calls that are younger than Debian 12's libseccomp; their numbers are the
 * same on all architectures. */
static const struct {
	const char *name;
	int nr;
} young_calls[] = {
	{ "cachestat", 451 },
	{ "fchmodat2", 452 },
};

__attribute__((noreturn)) static void die(const char *what, int r)
{
	fprintf(stderr, "filters: %s: %s\n", what, strerror(-r));
	exit(1);
}

static int filters_resolve(const char *name)
{
	const struct arch_renamed *other = arch_renamed;
	int nr;

	while (other->name && strcmp(other->name, name) != 0)
		other++;
	if (other->name)
		name = other->instead;
	nr = seccomp_syscall_resolve_name(name);
	for (unsigned int i = 0; nr < 0 && i < ARRAY_SIZE(young_calls); i++)
		if (strcmp(young_calls[i].name, name) == 0)
			nr = young_calls[i].nr;
	return nr;
}

static void filters_allow(scmp_filter_ctx ctx, const struct syscall_rule *rule)
{
	struct scmp_arg_cmp cmp = {
		.arg = rule->arg,
		.op = SCMP_CMP_MASKED_EQ,
		.datum_a = rule->mask,
		.datum_b = rule->value,
	};
	int r, nr = filters_resolve(rule->name);

	if (nr < 0)
		die(rule->name, -ENOSYS);
	r = seccomp_rule_add_array(ctx, SCMP_ACT_ALLOW, nr, rule->mask ? 1 : 0,
				   rule->mask ? &cmp : NULL);
	/* It is in the list of another part already. */
	if (r && r != -EEXIST)
		die(rule->name, r);
}

struct filters_rules {
	const struct syscall_rule *rules[RULES_MAX];
	unsigned int nr;
};

static void filters_add(struct filters_rules *fr,
			const struct syscall_rule *rules, unsigned int on)
{
	for (; rules && *rules->name; rules++)
		if (rules->on & on && fr->nr < RULES_MAX)
			fr->rules[fr->nr++] = rules;
	if (fr->nr == RULES_MAX)
		die("rules", -E2BIG);
}

/* What a thread may do; class: the device whose loop it is, NULL: all, but for the
 * one that is called without (NULL: none). */
static void filters_collect(struct filters_rules *fr, unsigned int on,
			    const struct device_class *class,
			    const char *without)
{
	fr->nr = 0;
	filters_add(fr, syscalls_base, on);
	filters_add(fr, arch_syscalls, on);
	if (class)
		filters_add(fr, class->syscalls, on);
	for (unsigned int i = 0; !class && device_classes[i]; i++)
		if (!without || strcmp(device_classes[i]->name, without) != 0)
			filters_add(fr, device_classes[i]->syscalls, on);
}

static unsigned int filters_export(scmp_filter_ctx ctx,
				   struct sock_filter *insns)
{
	FILE *f = tmpfile();
	size_t n;
	int r;

	if (!f)
		die("temporary file", -errno);
	r = seccomp_export_bpf(ctx, fileno(f));
	if (r)
		die("libseccomp", r);
	rewind(f);
	n = fread(insns, sizeof(*insns), INSNS_MAX, f);
	fclose(f);
	if (!n || n == INSNS_MAX)
		die("filter", -E2BIG);
	return (unsigned int)n;
}

static void filters_print(const char *name, unsigned int on,
			  const struct device_class *class)
{
	static struct sock_filter insns[INSNS_MAX];
	static struct filters_rules fr;
	scmp_filter_ctx ctx = seccomp_init(SCMP_ACT_TRAP);
	unsigned int i, nr;

	if (!ctx ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_ACT_BADARCH, SCMP_ACT_TRAP) ||
	    seccomp_attr_set(ctx, SCMP_FLTATR_CTL_OPTIMIZE, 2))
		die("libseccomp", -EINVAL);
	/* Its flags cannot be seen; the C library then uses clone(). */
	if (seccomp_rule_add(ctx, SCMP_ACT_ERRNO(ENOSYS), SCMP_SYS(clone3), 0))
		die("clone3", -EINVAL);
	filters_collect(&fr, on, class, NULL);
#ifdef VMM_SANITIZED
	filters_add(&fr, syscalls_sanitizers, on);
#endif
	for (i = 0; i < fr.nr; i++)
		filters_allow(ctx, fr.rules[i]);
	nr = filters_export(ctx, insns);
	seccomp_release(ctx);
	printf("static const struct sock_filter %s_insns[] = {\n", name);
	for (i = 0; i < nr; i++)
		printf("\t{ 0x%02x, %u, %u, 0x%08x },\n", insns[i].code,
		       insns[i].jt, insns[i].jf, insns[i].k);
	printf("};\n");
}

static bool filters_has_loops(const struct device_class *class)
{
	const struct syscall_rule *rule = class->syscalls;

	while (rule && *rule->name && !(rule->on & ON_OWN))
		rule++;
	return rule && *rule->name;
}

static void filters_print_names(void)
{
	uint32_t arch = seccomp_arch_native();

	printf("static const char calls[][24] = {\n");
	for (int nr = 0; nr < CALLS_MAX; nr++) {
		char *name = seccomp_syscall_resolve_num_arch(arch, nr);

		if (name && strlen(name) < 24)
			printf("\t[%d] = \"%s\",\n", nr, name);
		free(name);
	}
	printf("};\n");
}

/* Of fr's rules, is this one the first of its call, and is any of them without
 * arguments? */
static bool filters_is_first(const struct filters_rules *fr, unsigned int i,
			     bool *always)
{
	*always = false;
	for (unsigned int other = 0; other < fr->nr; other++) {
		if (strcmp(fr->rules[other]->name, fr->rules[i]->name) != 0)
			continue;
		if (other < i)
			return false;
		*always |= !fr->rules[other]->mask;
	}
	return true;
}

static void filters_count(const char *name, unsigned int on,
			  const struct device_class *class)
{
	static struct filters_rules fr;
	unsigned int calls = 0, unconditional = 0;
	bool always;

	filters_collect(&fr, on, class, "fs");
	for (unsigned int i = 0; i < fr.nr; i++) {
		if (!filters_is_first(&fr, i, &always))
			continue;
		calls++;
		unconditional += always;
	}
	printf("%s %u %u\n", name, calls, unconditional);
}

static void filters_each(void (*fn)(const char *name, unsigned int on,
				    const struct device_class *class))
{
	const struct syscall_role *role;

	for (role = syscall_roles; *role->name; role++)
		fn(role->name, role->on, NULL);
	for (unsigned int i = 0; device_classes[i]; i++)
		if (filters_has_loops(device_classes[i]))
			fn(device_classes[i]->name, ON_OWN, device_classes[i]);
}

static void filters_print_row(const char *name, unsigned int on unused_param,
			      const struct device_class *class unused_param)
{
	printf("\t{ \"%s\", %s_insns, sizeof(%s_insns) / 8 },\n", name, name,
	       name);
}

/* ---- the lists as they are, for tests ---- */

static void filters_list_rules(const char *name,
			       const struct syscall_rule *rules)
{
	for (; rules && *rules->name; rules++)
		printf("rule %s %s %u %u %u %u\n", name, rules->name, rules->on,
		       rules->arg, rules->mask, rules->value);
}

/* "role NAME ON": a kind of threads; "loops NAME": those of a class; "rule LIST
 * NAME ON ARG MASK VALUE": as of struct syscall_rule, in order. */
static int filters_list(void)
{
	const struct device_class *class;
	const struct syscall_role *role;

	for (role = syscall_roles; *role->name; role++)
		printf("role %s %u\n", role->name, role->on);
	filters_list_rules("base", syscalls_base);
	filters_list_rules("arch", arch_syscalls);
	for (unsigned int i = 0; (class = device_classes[i]); i++) {
		if (filters_has_loops(class))
			printf("loops %s\n", class->name);
		filters_list_rules(class->name, class->syscalls);
	}
	return fflush(stdout) ? 1 : 0;
}

int main(int argc, char **argv)
{
	if (argc > 1 && strcmp(argv[1], "--count") == 0) {
		filters_each(filters_count);
		return fflush(stdout) ? 1 : 0;
	}
	if (argc > 1 && strcmp(argv[1], "--list") == 0)
		return filters_list();
	printf("/* Made by tools/filters.c. */\n"
	       "#include <linux/filter.h>\n"
	       "#include \"vmm/confine_table.h\"\n");
	filters_each(filters_print);
	filters_print_names();
	printf("static const struct confine_filter filters[] = {\n");
	filters_each(filters_print_row);
	printf("};\n"
	       "const struct confine_table confine_filters = {\n"
	       "\t0x%08x, filters, sizeof(filters) / sizeof(*filters),\n"
	       "\tcalls, sizeof(calls) / sizeof(*calls),\n};\n",
	       seccomp_arch_native());
	return fflush(stdout) ? 1 : 0;
}
