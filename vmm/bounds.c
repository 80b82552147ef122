/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/bounds.h"

#include <errno.h>

#include "vmm/opener.h"

/* The places so far, and the first of them that there is not. */
struct bounds {
	int r;
	struct error_value path;
};

static void bounds_add(void *arg, const char *path, unsigned int flags)
{
	struct bounds *b = arg;

	if (b->r || !path)
		return;
	b->r = opener_place(path, flags);
	if (b->r)
		b->path = error_value(path);
}

/* What the configuration names, but for shared directories that others open. */
static void bounds_add_config(struct bounds *b, const struct vm_config *vc)
{
	static const unsigned int rules[] = {
		[RULE_READ] = OPENER_READ,
		[RULE_WRITE] = OPENER_WRITE,
		[RULE_READ_WRITE] = OPENER_READ | OPENER_WRITE,
	};

	bounds_add(b, vc->kernel, OPENER_READ);
	bounds_add(b, vc->initramfs, OPENER_READ);
	bounds_add(b, vc->serial.file, OPENER_READ | OPENER_WRITE);
	for (unsigned int i = 0; i < vc->nr_devices; i++) {
		const struct device_config *dc = &vc->devices[i];

		if (dc->class->places)
			dc->class->places(dc->config, bounds_add, b);
	}
	for (unsigned int i = 0; i < vc->nr_rules; i++)
		bounds_add(b, vc->rules[i].path, rules[vc->rules[i].access]);
}

static int bounds_refused(int r, struct error *err)
{
	switch (r) {
	case -ENOSYS:
	case -EOPNOTSUPP:
		return error_set(
			err, r,
			"landlock_enable: this host's kernel has no Landlock, or it is turned off (lsm=); leave it out, and bound what may be opened by --allow");
	case -EPERM:
		return error_set(
			err, r,
			"landlock_enable: without filters threads of the monitor could open what they like; start without --seccomp false and log");
	case -E2BIG:
		return error_set(
			err, r,
			"landlock_enable: this process is bounded too often; start another one");
	default:
		return error_set(err, r, "landlock_enable: %s", error_text(-r));
	}
}

int bounds_check(const struct vm_config *vc, struct error *err)
{
	if (vc->landlock || !vc->nr_rules)
		return 0;
	return error_set(
		err, EINVAL,
		"landlock_rules: mean nothing without landlock_enable; give that, too");
}

int bounds_look_up(const struct vm_config *vc, struct error *err)
{
	struct bounds b = { .r = 0 };

	if (!vc->landlock)
		return 0;
	bounds_add_config(&b, vc);
	if (b.r == -E2BIG)
		return error_set(
			err, EINVAL,
			"landlock_rules: %s: is one place too many, at most %u; give directories above them",
			b.path.text, OPENER_PLACES_MAX);
	if (b.r && b.r != -ENOSYS && b.r != -EOPNOTSUPP)
		return error_set(err, EINVAL, "landlock_rules: %s: %s",
				 b.path.text, error_text(-b.r));
	return b.r ? bounds_refused(b.r, err) : 0;
}

int bounds_apply(const struct vm_config *vc, struct error *err)
{
	int r = vc->landlock ? opener_bound() : 0;

	return r ? bounds_refused(r, err) : 0;
}
