/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* What a machine asks its opener for, and what becomes of it; the opener is a
 * double. */
#include "vmm/bounds.h"

#include <errno.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "devices/registry.h"
#include "vmm/opener_protocol.h"
#include "vmm/param.h"
#include "vmm/util.h"

#define RW (OPENER_READ | OPENER_WRITE)

static struct {
	char places[512]; /* "PATH FLAGS\n" each */
	const char *missing; /* a path that there is not */
	int missing_is, bound_is;
	unsigned int nr_bounds;
} opener;

int __wrap_opener_place(const char *path, unsigned int flags);
int __wrap_opener_bound(void);

int __wrap_opener_place(const char *path, unsigned int flags)
{
	size_t len = strlen(opener.places);

	snprintf(opener.places + len, sizeof(opener.places) - len, "%s %u\n",
		 path, flags);
	return opener.missing && strcmp(path, opener.missing) == 0
		       ? opener.missing_is
		       : 0;
}

int __wrap_opener_bound(void)
{
	opener.nr_bounds++;
	return opener.bound_is;
}

/* ---- */

static struct vm_config vc;
static struct error err;

static void add_device(const struct device_class *c, const char *text)
{
	struct device_config *dc = vm_config_add_device(&vc, c, &err);

	assert_non_null(dc);
	assert_int_equal(param_parse(c->params, dc->config, text, &err), 0);
}

static void add_rule(const char *text)
{
	struct rule_config *rule = vm_config_add_rule(&vc, &err);

	assert_non_null(rule);
	assert_int_equal(param_parse(&rule_params, rule, text, &err), 0);
}

static int setup(void **state unused_param)
{
	memset(&opener, 0, sizeof(opener));
	err = (struct error){ "" };
	vm_config_init(&vc);
	vc.kernel = strdup("/k");
	vc.initramfs = strdup("/i");
	vc.landlock = true;
	add_device(&blk_class, "path=/rw");
	add_device(&blk_class, "path=/ro,readonly=on");
	add_device(&vsock_class, "cid=3,socket=/run/v");
	add_device(&fs_class, "tag=t,path=/tree");
	add_device(&net_class, "tap=x0");
	return 0;
}

static int teardown(void **state unused_param)
{
	vm_config_free(&vc);
	return 0;
}

/* As a machine's creation does it. */
static int apply(void)
{
	int r = bounds_check(&vc, &err);

	if (!r)
		r = bounds_look_up(&vc, &err);
	return r ? r : bounds_apply(&vc, &err);
}

static void refused(const char *text)
{
	assert_true(apply() < 0);
	if (!strstr(err.msg, text))
		fail_msg("%s: %s", text, err.msg);
}

static void test_places(void **state unused_param)
{
	char wanted[256];

	add_rule("path=/srv,access=r");
	add_rule("path=/out,access=w");
	add_rule("path=/both,access=rw");
	snprintf(wanted, sizeof(wanted),
		 "/k %u\n/i %u\n/rw %u\n/ro %u\n/run/v %u\n/tree %u\n"
		 "/srv %u\n/out %u\n/both %u\n",
		 OPENER_READ, OPENER_READ, RW, OPENER_READ, RW | OPENER_BESIDE,
		 OPENER_READ, OPENER_READ, OPENER_WRITE, RW);
	assert_int_equal(apply(), 0);
	assert_string_equal(opener.places, wanted);
	assert_int_equal(opener.nr_bounds, 1);
}

static void test_not_asked_for(void **state unused_param)
{
	vc.landlock = false;
	assert_int_equal(apply(), 0);
	assert_string_equal(opener.places, "");
	assert_int_equal(opener.nr_bounds, 0);
	/* A rule alone would be less than it looks. */
	add_rule("path=/srv,access=r");
	refused("landlock_rules");
}

/* Never a silent less. */
static void test_cannot_be_had(void **state unused_param)
{
	static const int none[] = { -ENOSYS, -EOPNOTSUPP };

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
		opener.missing = "/k";
		opener.missing_is = none[i];
		refused("this host's kernel has no Landlock");
		opener.missing = NULL;
		opener.bound_is = none[i];
		refused("this host's kernel has no Landlock");
		opener.bound_is = 0;
	}
	opener.bound_is = -EPERM;
	refused("--seccomp");
	opener.bound_is = -E2BIG;
	refused("too often");
	opener.bound_is = -ENOLINK;
	refused("landlock_enable: ");
}

/* Nothing is bounded by half of it. */
static void test_missing_file(void **state unused_param)
{
	opener.missing = "/ro";
	opener.missing_is = -ENOENT;
	refused("/ro: No such file");
	assert_int_equal(opener.nr_bounds, 0);
}

/* The opener's own limit, whoever asks. */
static void test_too_many_places(void **state unused_param)
{
	opener.missing = "/tree";
	opener.missing_is = -E2BIG;
	refused("/tree: is one place too many, at most 128");
	assert_int_equal(opener.nr_bounds, 0);
}

static void test_too_many_rules(void **state unused_param)
{
	for (unsigned int i = 0; i < CONFIG_MAX_RULES; i++)
		add_rule("path=/srv,access=r");
	assert_null(vm_config_add_rule(&vc, &err));
	assert_non_null(strstr(err.msg, "at most 32"));
}

#define UNIT(t) cmocka_unit_test_setup_teardown(t, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		UNIT(test_places),	    UNIT(test_not_asked_for),
		UNIT(test_cannot_be_had),   UNIT(test_missing_file),
		UNIT(test_too_many_places), UNIT(test_too_many_rules),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
