/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/config.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "devices/registry.h"
#include "vmm/util.h"

/*
 * The VM's configuration: parameter tables of its parts, devices, the root
 * file system. Files live in a directory of the test's own.
 */

struct fixture {
	struct vm_config vc;
	struct error err;
	char dir[32];
	char kernel[64];
	char image[64];
};

static void make_file(char *path, size_t size, const char *dir,
		      const char *name)
{
	FILE *f;

	snprintf(path, size, "%s/%s", dir, name);
	f = fopen(path, "w");
	assert_non_null(f);
	fputs("x", f);
	fclose(f);
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	if (!fx)
		return -1;
	strcpy(fx->dir, "/tmp/test_config.XXXXXX");
	if (!mkdtemp(fx->dir))
		return -1;
	chmod(fx->dir, 0755);
	make_file(fx->kernel, sizeof(fx->kernel), fx->dir, "kernel");
	/* a name that the grammar of lists would tear apart */
	make_file(fx->image, sizeof(fx->image), fx->dir, "a,\"b\"=[.img");
	vm_config_init(&fx->vc);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	vm_config_free(&fx->vc);
	unlink(fx->kernel);
	unlink(fx->image);
	rmdir(fx->dir);
	free(fx);
	return 0;
}

static void assert_message(const struct fixture *fx, const char *part)
{
	if (!strstr(fx->err.msg, part))
		fail_msg("'%s' is not in: %s", part, fx->err.msg);
}

static const struct device_class *disk_class(void)
{
	for (unsigned int i = 0; device_classes[i]; i++) {
		const struct device_root *root = device_classes[i]->root;

		if (root && !root->is_dir)
			return device_classes[i];
	}
	fail_msg("no class has root file systems in images");
	return NULL;
}

/* A field of a device's config, by its key. */
static const void *device_field(const struct device_config *dc, const char *key)
{
	const struct param *p = param_find(dc->class->params, key);

	assert_non_null(p);
	return (const char *)dc->config + p->offset;
}

static const char *device_text(const struct device_config *dc, const char *key)
{
	return *(char *const *)device_field(dc, key);
}

static bool device_flag(const struct device_config *dc, const char *key)
{
	return *(const bool *)device_field(dc, key);
}

static void set_rootfs(struct fixture *fx, const char *path, bool readonly)
{
	free(fx->vc.rootfs.path);
	fx->vc.rootfs.path = strdup(path);
	fx->vc.rootfs.readonly = readonly;
}

static void assert_cmdline(struct fixture *fx, const char *want)
{
	char *got = vm_config_cmdline(&fx->vc, "ttyX0");

	assert_non_null(got);
	assert_string_equal(got, want);
	free(got);
}

static void test_defaults(void **state)
{
	struct fixture *fx = *state;

	assert_null(fx->vc.kernel);
	assert_null(fx->vc.initramfs);
	assert_null(fx->vc.cmdline);
	assert_int_equal(fx->vc.on_reset, RESET_REBOOT);
	assert_null(fx->vc.rootfs.path);
	assert_int_equal(fx->vc.cpus.boot, 1);
	assert_int_equal(fx->vc.cpus.max, 0);
	assert_int_equal(fx->vc.memory.size, 512 * MIB);
	assert_false(fx->vc.memory.shared);
	assert_true(fx->vc.memory.thp);
	assert_int_equal(fx->vc.serial.mode, SERIAL_TTY);
	assert_int_equal(fx->vc.nr_devices, 0);
	assert_int_equal(vm_config_ports(&fx->vc), CONFIG_MAX_PORTS);
}

/* Ports are for devices that somebody adds. */
static void test_ports(void **state)
{
	struct fixture *fx = *state;

	vm_config_drop_ports(&fx->vc);
	assert_int_equal(vm_config_ports(&fx->vc), 0);
	fx->vc.hotplug_ports = 4;
	vm_config_drop_ports(&fx->vc);
	assert_int_equal(vm_config_ports(&fx->vc), 4);
}

static void test_cpus(void **state)
{
	struct fixture *fx = *state;
	struct cpus_config *cpus = &fx->vc.cpus;
	char most[64], more[64], range[64];

	snprintf(most, sizeof(most), "boot=2,max=%llu", llu(arch_max_vcpus));
	snprintf(more, sizeof(more), "max=%llu", llu(arch_max_vcpus + 1));
	snprintf(range, sizeof(range),
		 "--cpus boot=0: must be between 1 and %llu",
		 llu(arch_max_vcpus));
	assert_int_equal(param_parse(&cpus_params, cpus, "4", NULL), 0);
	assert_int_equal(cpus->boot, 4);
	assert_int_equal(param_parse(&cpus_params, cpus, most, NULL), 0);
	assert_int_equal(cpus->boot, 2);
	assert_int_equal(cpus->max, arch_max_vcpus);
	assert_int_equal(
		param_parse(&cpus_params, cpus, "boot=4,max=2", &fx->err),
		-EINVAL);
	assert_message(fx, "--cpus");
	assert_message(fx, "max=2");
	assert_message(fx, "boot=4");
	assert_int_equal(param_parse(&cpus_params, cpus, "0", &fx->err),
			 -EINVAL);
	assert_message(fx, range);
	assert_int_equal(param_parse(&cpus_params, cpus, more + 4, &fx->err),
			 -EINVAL);
	assert_int_equal(param_parse(&cpus_params, cpus, more, &fx->err),
			 -EINVAL);
}

static void test_memory(void **state)
{
	static const struct {
		const char *text;
		const char *part; /* of the message; NULL: good */
	} cases[] = {
		{ "1G", NULL },
		{ "16M", NULL },
		{ "16388K,shared=on", NULL },
		{ "18M,hugepages=on", NULL },
		{ "size=2G,prefault=on,thp=off,mergeable=on", NULL },
		{ "15M", "--memory size=15M: must be between 16M and" },
		{ "0", "--memory size=0: must be between 16M and" },
		{ "17179869183G", "and 65536G" },
		{ "17179869184G", "and 65536G" },
		{ "16385K", "size=16385K: must be a multiple of 4K" },
		{ "33554433", "must be a multiple of 4K" },
		{ "513M,hugepages=on", "2M with hugepages=on; the next one is "
				       "514M" },
		{ "mergeable=on,shared=on", "mergeable=on" },
		{ "mergeable=on,hugepages=on", "leave out hugepages=on" },
		{ "512", "between 16M" },
		{ "512m", "such as 512M" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct fixture *fx = *state;
		int rc;

		param_defaults(&memory_params, &fx->vc.memory);
		rc = param_parse(&memory_params, &fx->vc.memory, cases[i].text,
				 &fx->err);
		assert_int_equal(rc, cases[i].part ? -EINVAL : 0);
		if (cases[i].part)
			assert_message(fx, cases[i].part);
	}
}

static void test_serial(void **state)
{
	struct fixture *fx = *state;
	struct serial_config *serial = &fx->vc.serial;

	assert_int_equal(param_parse(&serial_params, serial, "pty", NULL), 0);
	assert_int_equal(serial->mode, SERIAL_PTY);
	assert_int_equal(param_parse(&serial_params, serial, "file", &fx->err),
			 -EINVAL);
	assert_message(fx, "file=PATH");
	assert_int_equal(
		param_parse(&serial_params, serial, "null,file=x", &fx->err),
		-EINVAL);
	assert_message(fx, "mode=null");
	assert_int_equal(
		param_parse(&serial_params, serial, "file,file=x", NULL), 0);
	assert_int_equal(serial->mode, SERIAL_FILE);
	assert_string_equal(serial->file, "x");
}

static void test_devices_fill_up(void **state)
{
	struct fixture *fx = *state;
	const struct device_class *class = disk_class();

	for (unsigned int i = 0; i < CONFIG_MAX_DEVICES; i++)
		assert_non_null(vm_config_add_device(&fx->vc, class, &fx->err));
	assert_null(vm_config_add_device(&fx->vc, class, &fx->err));
	assert_int_equal(fx->vc.nr_devices, CONFIG_MAX_DEVICES);
	assert_message(fx, "too many devices");
	assert_message(fx, class->option);
	set_rootfs(fx, fx->image, false);
	assert_true(vm_config_add_rootfs(&fx->vc, &fx->err) < 0);
	assert_message(fx, "--rootfs");
}

static void test_rootfs_is_first(void **state)
{
	struct fixture *fx = *state;
	const struct device_class *class = disk_class();
	struct device_config *dc =
		vm_config_add_device(&fx->vc, class, &fx->err);

	assert_non_null(dc);
	assert_int_equal(
		param_parse(class->params, dc->config, "path=other", NULL), 0);
	assert_int_equal(vm_config_add_rootfs(&fx->vc, &fx->err), 0);
	assert_int_equal(fx->vc.nr_devices, 1);

	set_rootfs(fx, fx->image, false);
	assert_int_equal(vm_config_add_rootfs(&fx->vc, &fx->err), 0);
	assert_int_equal(fx->vc.nr_devices, 2);
	assert_string_equal(device_text(&fx->vc.devices[0], "path"), fx->image);
	assert_false(device_flag(&fx->vc.devices[0], "readonly"));
	assert_string_equal(device_text(&fx->vc.devices[1], "path"), "other");
}

static void test_rootfs_readonly(void **state)
{
	struct fixture *fx = *state;

	set_rootfs(fx, fx->image, true);
	assert_int_equal(vm_config_add_rootfs(&fx->vc, &fx->err), 0);
	assert_true(device_flag(&fx->vc.devices[0], "readonly"));
	assert_cmdline(fx, "root=/dev/vda ro console=ttyX0");
}

/* access(2) lets a real user root write anything: be nobody meanwhile. */
static void test_rootfs_not_writable(void **state)
{
	struct fixture *fx = *state;
	bool root = getuid() == 0;
	int rc;

	chmod(fx->image, 0444);
	if (root && setreuid(65534, (uid_t)-1) < 0)
		skip();
	set_rootfs(fx, fx->image, false);
	rc = vm_config_add_rootfs(&fx->vc, &fx->err);
	if (root && setreuid(0, (uid_t)-1) < 0)
		abort();
	assert_int_equal(rc, 0);
	assert_true(fx->vc.rootfs.readonly);
	assert_true(device_flag(&fx->vc.devices[0], "readonly"));
	assert_cmdline(fx, "root=/dev/vda ro console=ttyX0");
}

static void test_rootfs_refused(void **state)
{
	struct fixture *fx = *state;

	set_rootfs(fx, "/dev/null", false);
	assert_int_equal(vm_config_add_rootfs(&fx->vc, &fx->err), -EINVAL);
	assert_message(fx, "--rootfs /dev/null: is neither a file");
	set_rootfs(fx, "/nonexistent/x.img", false);
	assert_int_equal(vm_config_add_rootfs(&fx->vc, &fx->err), -ENOENT);
	assert_message(fx, "--rootfs /nonexistent/x.img: No such file");
	assert_message(fx, "give a disk image");
	assert_int_equal(fx->vc.nr_devices, 0);
}

/* A directory is shared. */
static void test_rootfs_directory(void **state)
{
	struct fixture *fx = *state;
	const struct device_class *fs = &fs_class;
	struct device_config *dc;
	unsigned int next = 0;

	set_rootfs(fx, fx->dir, true);
	assert_int_equal(vm_config_add_rootfs(&fx->vc, &fx->err), 0);
	assert_ptr_equal(fx->vc.devices[0].class, fs);
	assert_string_equal(device_text(&fx->vc.devices[0], "path"), fx->dir);
	assert_true(device_flag(&fx->vc.devices[0], "readonly"));
	assert_cmdline(fx, "root=rootfs rootfstype=virtiofs ro console=ttyX0");
	/* There is one of each tag. */
	dc = vm_config_add_device(&fx->vc, fs, &fx->err);
	assert_int_equal(
		param_parse(fs->params, dc->config, "tag=rootfs,path=/x", NULL),
		0);
	assert_int_equal(vm_config_assign_ids(&fx->vc, 0, &next, &fx->err),
			 -EEXIST);
	assert_message(fx, "--fs tag=rootfs: another device has it");
	assert_int_equal(param_parse(fs->params, dc->config, "tag=rootf", NULL),
			 0);
	assert_int_equal(vm_config_assign_ids(&fx->vc, 0, &next, &fx->err), 0);
	assert_string_equal(*device_config_id(dc), "_fs1");
}

static void test_check_files(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(vm_config_check(&fx->vc, &fx->err), -EINVAL);
	assert_message(fx, "--kernel");
	fx->vc.kernel = strdup("/nonexistent/kernel");
	assert_int_equal(vm_config_check(&fx->vc, &fx->err), -ENOENT);
	assert_message(fx, "--kernel /nonexistent/kernel: No such file");
	free(fx->vc.kernel);
	fx->vc.kernel = strdup(fx->dir);
	assert_int_equal(vm_config_check(&fx->vc, &fx->err), -EINVAL);
	assert_message(fx, "not a plain file");
	free(fx->vc.kernel);
	fx->vc.kernel = strdup(fx->kernel);
	assert_int_equal(vm_config_check(&fx->vc, &fx->err), 0);
	fx->vc.initramfs = strdup("/nonexistent/initramfs");
	assert_int_equal(vm_config_check(&fx->vc, &fx->err), -ENOENT);
	assert_message(fx, "--initramfs /nonexistent/initramfs");
}

static void test_cmdline(void **state)
{
	struct fixture *fx = *state;

	assert_cmdline(fx, "console=ttyX0");
	fx->vc.serial.mode = SERIAL_NULL;
	assert_cmdline(fx, "");
	fx->vc.serial.mode = SERIAL_OFF;
	assert_cmdline(fx, "");
	set_rootfs(fx, fx->image, false);
	assert_int_equal(vm_config_add_rootfs(&fx->vc, &fx->err), 0);
	assert_cmdline(fx, "root=/dev/vda rw");
	fx->vc.cmdline = strdup("quiet x=\"y,z\"");
	assert_cmdline(fx, "root=/dev/vda rw quiet x=\"y,z\"");
	fx->vc.cmdline[0] = '\0';
	fx->vc.serial.mode = SERIAL_TTY;
	assert_cmdline(fx, "root=/dev/vda rw");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),	    TEST(test_cpus),
		TEST(test_memory),	    TEST(test_serial),
		TEST(test_devices_fill_up), TEST(test_rootfs_is_first),
		TEST(test_rootfs_readonly), TEST(test_rootfs_not_writable),
		TEST(test_rootfs_refused),  TEST(test_rootfs_directory),
		TEST(test_check_files),	    TEST(test_cmdline),
		TEST(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
