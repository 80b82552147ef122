/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/api/json.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

/* Bodies to configurations and back. */

#define KERNEL "\"payload\":{\"kernel\":\"/k\"}"
/* vm.create as a Go client of container shims sends it. */
#define GO_CREATE                                                          \
	"{\"console\":{\"iommu\":false,\"mode\":\"Off\"},"                 \
	"\"cpus\":{\"boot_vcpus\":1,\"kvm_hyperv\":false,\"max_vcpus\":4," \
	"\"nested\":true,\"topology\":{\"cores_per_die\":4,"               \
	"\"dies_per_package\":1,\"packages\":1,\"threads_per_core\":1}},"  \
	"\"disks\":[{\"backing_files\":false,\"direct\":false,"            \
	"\"image_type\":\"Raw\",\"iommu\":false,\"num_queues\":1,"         \
	"\"path\":\"/img\",\"queue_size\":128,\"readonly\":true,"          \
	"\"sparse\":true,\"vhost_user\":false}],"                          \
	"\"iommu\":false,\"landlock_enable\":false,"                       \
	"\"memory\":{\"hotplug_method\":\"Acpi\",\"hugepages\":false,"     \
	"\"mergeable\":false,\"prefault\":false,\"shared\":true,"          \
	"\"size\":2147483648,\"thp\":true},"                               \
	"\"payload\":{\"cmdline\":\"a=\\u003cb\\u003e \\u0026\","          \
	"\"kernel\":\"/k\"},"                                              \
	"\"platform\":{\"num_pci_segments\":2,\"sev_snp\":false,"          \
	"\"tdx\":false},\"pvpanic\":false,"                                \
	"\"rng\":{\"iommu\":false,\"src\":\"/dev/urandom\"},"              \
	"\"serial\":{\"iommu\":false,\"mode\":\"Tty\"},\"watchdog\":false}\n"

struct fixture {
	struct vm_config vc;
	struct error err;
	int fds[2];
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));

	if (!fx)
		return -1;
	vm_config_init(&fx->vc);
	fx->fds[0] = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fx->fds[1] = open("/dev/zero", O_RDONLY | O_CLOEXEC);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	vm_config_free(&fx->vc);
	close(fx->fds[0]);
	close(fx->fds[1]);
	free(fx);
	return 0;
}

static int read_config(struct fixture *fx, const char *text)
{
	const struct json_fds fds = { .fds = fx->fds, .nr = 2 };
	json_t *root = json_read_text(text, strlen(text), &fx->err);
	int r;

	if (!root)
		return -EBADMSG;
	vm_config_free(&fx->vc);
	vm_config_init(&fx->vc);
	r = json_read_config(&fx->vc, root, &fds, &fx->err);
	json_decref(root);
	return r;
}

/* Refused with code, and a message that starts with the field. */
static void check_bad(struct fixture *fx, const char *text, int code,
		      const char *field)
{
	int r = read_config(fx, text);

	if (r != code)
		fail_msg("%s: %d, not %d", text, r, code);
	if (strncmp(fx->err.msg, field, strlen(field)) != 0)
		fail_msg("'%s' does not start: %s", field, fx->err.msg);
}

/* What vm.info would show at path, as text; free it. */
static char *echo(struct fixture *fx)
{
	json_t *out = json_write_config(&fx->vc);
	char *text = json_write_text(out);

	json_decref(out);
	assert_non_null(text);
	return text;
}

static void check_echo(struct fixture *fx, const char *part)
{
	char *text = echo(fx);

	if (!strstr(text, part))
		fail_msg("'%s' is not in: %s", part, text);
	free(text);
}

static void test_go_client(void **state)
{
	struct fixture *fx = *state;
	const struct vm_config *vc = &fx->vc;

	assert_int_equal(read_config(fx, GO_CREATE), 0);
	assert_string_equal(vc->kernel, "/k");
	assert_string_equal(vc->cmdline, "a=<b> &");
	assert_int_equal(vc->cpus.boot, 1);
	assert_int_equal(vc->cpus.max, 4);
	assert_int_equal(vc->memory.size, 2147483648);
	assert_true(vc->memory.shared);
	assert_int_equal(vc->serial.mode, SERIAL_TTY);
	assert_int_equal(vc->nr_devices, 1);
}

/* Every key that came is shown again with the same value. */
static void check_same(const json_t *sent, const json_t *shown,
		       const char *path)
{
	const char *key;
	json_t *value, *other;
	char name[128];

	json_object_foreach ((json_t *)(uintptr_t)sent, key, value) {
		snprintf(name, sizeof(name), "%s.%s", path, key);
		other = json_object_get(shown, key);
		if (!other)
			fail_msg("%s is not shown", name);
		if (json_is_object(value))
			check_same(value, other, name);
		else if (json_is_array(value) && json_array_size(value))
			check_same(json_array_get(value, 0),
				   json_array_get(other, 0), name);
		else if (!json_equal(value, other))
			fail_msg("%s is not what was sent", name);
	}
}

static void test_round_trip(void **state)
{
	struct fixture *fx = *state;
	json_t *sent = json_loads(GO_CREATE, 0, NULL), *shown;

	assert_int_equal(read_config(fx, GO_CREATE), 0);
	shown = json_write_config(&fx->vc);
	check_same(sent, shown, "");
	json_decref(sent);
	json_decref(shown);
}

static void test_defaults(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(read_config(fx, "{" KERNEL "}"), 0);
	assert_int_equal(fx->vc.serial.mode, SERIAL_NULL);
	check_echo(fx, "\"max_phys_bits\":46");
	check_echo(fx, "\"boot_vcpus\":1");
	check_echo(fx, "\"max_vcpus\":1");
	check_echo(fx, "\"size\":536870912");
	check_echo(fx, "\"console\":{\"mode\":\"Off\"}");
	check_echo(fx, "\"serial\":{\"mode\":\"Null\"}");
}

/* None is a number, too. */
static void test_ports(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(read_config(fx, "{" KERNEL "}"), 0);
	assert_int_equal(vm_config_ports(&fx->vc), 31);
	assert_int_equal(read_config(fx, "{" KERNEL ",\"hotplug_ports\":0}"),
			 0);
	assert_int_equal(vm_config_ports(&fx->vc), 0);
	check_echo(fx, "\"hotplug_ports\":0");
	check_bad(fx, "{" KERNEL ",\"hotplug_ports\":32}", -EINVAL,
		  "hotplug_ports 32: must be at most 31");
}

static void test_nulls_and_strangers(void **state)
{
	struct fixture *fx = *state;
	char *text;

	assert_int_equal(read_config(fx,
				     "{\"payload\":{\"kernel\":\"/k\","
				     "\"initramfs\":null,\"firmware\":null,"
				     "\"host_data\":null},\"cpus\":null,"
				     "\"memory\":{\"size\":33554432,"
				     "\"hotplug_size\":null,\"zones\":[]},"
				     "\"devices\":[],\"fs\":[],\"net\":null,"
				     "\"balloon\":null,\"tpm\":{},"
				     "\"disks\":[{\"path\":\"/i\",\"id\":null,"
				     "\"rate_limiter_config\":null,"
				     "\"image_type\":\"Unknown\"}],"
				     "\"stranger\":{\"a\":[1,2,{}]}}"),
			 0);
	text = echo(fx);
	assert_null(strstr(text, "null"));
	assert_null(strstr(text, "stranger"));
	assert_null(strstr(text, "rate_limiter_config"));
	assert_non_null(strstr(text, "\"devices\":[]"));
	free(text);
}

static void test_limits(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(read_config(fx,
				     "{" KERNEL ",\"disks\":[{\"path\":\"/i\","
				     "\"rate_limiter_config\":{\"bandwidth\":"
				     "{\"size\":1000,\"refill_time\":100},"
				     "\"ops\":null}}]}"),
			 0);
	check_echo(fx, "\"rate_limiter_config\":{\"bandwidth\":{\"size\":1000,"
		       "\"one_time_burst\":0,\"refill_time\":100}}");
}

/* As both runtimes of Kata send and read them, and our own keys. */
static void test_shares(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(
		read_config(fx, "{" KERNEL ",\"fs\":[{\"tag\":\"kataShared\","
				"\"socket\":\"/s\",\"num_queues\":1,"
				"\"queue_size\":1024,\"pci_segment\":1,"
				"\"id\":null}]}"),
		0);
	check_echo(fx, "\"socket\":\"/s\",\"tag\":\"kataShared\"");
	check_echo(fx, "\"pci_segment\":1");
	check_echo(fx, "\"num_queues\":1,\"queue_size\":1024");
	/* What is shown can be sent again. */
	for (unsigned int i = 0; i < 2; i++) {
		char *text;

		if (!i)
			assert_int_equal(
				read_config(fx,
					    "{" KERNEL
					    ",\"fs\":[{\"tag\":\"a\","
					    "\"path\":\"/d\",\"cache\":"
					    "\"always\",\"xattr\":\"map\","
					    "\"uidmap\":\"0:100000:5;9:1:1\","
					    "\"readonly\":true}]}"),
				0);
		check_echo(fx, "\"path\":\"/d\"");
		check_echo(fx, "\"socket\":\"\"");
		check_echo(fx, "\"cache\":\"always\"");
		check_echo(fx, "\"uidmap\":\"0:100000:5;9:1:1\"");
		check_echo(fx, "\"num_queues\":0,\"queue_size\":1024");
		text = echo(fx);
		assert_null(strstr(text, "gidmap"));
		assert_int_equal(read_config(fx, text), 0);
		free(text);
	}
	check_bad(fx,
		  "{" KERNEL ",\"fs\":[{\"tag\":\"a\",\"path\":\"/d\","
		  "\"gidmap\":\"0:0:0\"}]}",
		  -EINVAL, "fs[0].gidmap \"0:0:0\": range 1 has no ids");
	check_bad(fx, "{" KERNEL ",\"fs\":[{\"tag\":\"a\",\"gidmap\":5}]}",
		  -EBADMSG, "fs[0].gidmap: must be a string");
	check_bad(fx,
		  "{" KERNEL ",\"fs\":[{\"tag\":\"a\",\"path\":\"/d\","
		  "\"socket\":\"/s\"}]}",
		  -EINVAL, "fs[0]: give one of path=DIRECTORY");
	check_bad(fx,
		  "{" KERNEL ",\"fs\":[{\"tag\":\"a\",\"socket\":\"/s\","
		  "\"readonly\":true}]}",
		  -EINVAL, "fs[0]: readonly: is up to the program at socket");
}

static void test_wrong_types(void **state)
{
	static const char *const bad[][2] = {
		{ "[]", "the body" },
		{ "{}", "payload" },
		{ "{\"payload\":null}", "payload" },
		{ "{\"payload\":3}", "payload" },
		{ "{\"payload\":{\"kernel\":[]}}", "payload.kernel" },
		{ "{\"payload\":{\"kernel\":\"\"}}", "payload.kernel" },
		{ "{" KERNEL ",\"cpus\":[]}", "cpus" },
		{ "{" KERNEL ",\"cpus\":{\"boot_vcpus\":\"1\"}}",
		  "cpus.boot_vcpus" },
		{ "{" KERNEL ",\"cpus\":{\"boot_vcpus\":1.5}}",
		  "cpus.boot_vcpus" },
		{ "{" KERNEL ",\"cpus\":{\"boot_vcpus\":-1}}",
		  "cpus.boot_vcpus" },
		{ "{" KERNEL ",\"cpus\":{\"topology\":3}}", "cpus.topology" },
		{ "{" KERNEL ",\"memory\":{\"shared\":1}}", "memory.shared" },
		{ "{" KERNEL ",\"serial\":{\"mode\":7}}", "serial.mode" },
		{ "{" KERNEL ",\"disks\":{}}", "disks" },
		{ "{" KERNEL ",\"disks\":[7]}", "disks[0]" },
		{ "{" KERNEL ",\"disks\":[{\"path\":\"/i\"},"
		  "{\"path\":\"/i\",\"readonly\":\"on\"}]}",
		  "disks[1].readonly" },
		{ "{" KERNEL ",\"disks\":[{\"path\":\"/i\","
		  "\"rate_limiter_config\":{\"bandwidth\":5}}]}",
		  "disks[0].rate_limiter_config.bandwidth" },
		{ "{" KERNEL ",\"rng\":{\"src\":5}}", "rng.src" },
		{ "{" KERNEL ",\"watchdog\":\"yes\"}", "watchdog" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		check_bad(*state, bad[i][0], -EBADMSG, bad[i][1]);
}

static void test_refused_values(void **state)
{
	static const char *const bad[][2] = {
		{ "{" KERNEL ",\"cpus\":{\"boot_vcpus\":0}}",
		  "cpus.boot_vcpus" },
		{ "{" KERNEL ",\"cpus\":{\"boot_vcpus\":2,\"max_vcpus\":1}}",
		  "cpus" },
		{ "{" KERNEL ",\"memory\":{\"size\":9223372036854775807}}",
		  "memory.size" },
		{ "{" KERNEL ",\"memory\":{\"size\":33554433}}", "memory" },
		{ "{" KERNEL ",\"serial\":{\"mode\":\"Socket\"}}",
		  "serial.mode" },
		{ "{" KERNEL ",\"disks\":[{}]}", "disks[0]" },
		{ "{" KERNEL ",\"disks\":[{\"path\":\"/i\","
		  "\"queue_size\":3}]}",
		  "disks[0].queue_size" },
		{ "{" KERNEL ",\"disks\":[{\"path\":\"/i\","
		  "\"image_type\":\"Qcow2\"}]}",
		  "disks[0].image_type" },
		{ "{" KERNEL ",\"disks\":[{\"path\":\"/i\",\"iommu\":true}]}",
		  "disks[0].iommu" },
		{ "{" KERNEL
		  ",\"disks\":[{\"path\":\"/i\",\"pci_segment\":1}]}",
		  "disks[0].pci_segment 1: " },
		{ "{" KERNEL ",\"disks\":[{\"fd\":2}]}", "disks[0].fd" },
		{ "{\"payload\":{\"kernel_fd\":2}}", "payload.kernel_fd" },
		{ "{\"payload\":{\"kernel_fd\":0,\"kernel\":\"/k\"}}",
		  "payload.kernel_fd" },
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++)
		check_bad(*state, bad[i][0], -EINVAL, bad[i][1]);
}

/* Sections that mean something we have not: named. */
static void test_unsupported(void **state)
{
	static const char *const bad[][2] = {
		{ "\"devices\":[{\"path\":\"/x\"}]", "devices" },
		{ "\"pmem\":[{}]", "pmem" },
		{ "\"vdpa\":[{}]", "vdpa" },
		{ "\"user_devices\":[{}]", "user_devices" },
		{ "\"numa\":[{}]", "numa" },
		{ "\"tpm\":{\"socket\":\"/s\"}", "tpm" },
		{ "\"balloon\":{\"size\":0}", "balloon" },
		{ "\"iommu\":true", "iommu" },
		{ "\"watchdog\":true", "watchdog" },
		{ "\"memory\":{\"zones\":[{}]}", "memory.zones" },
		{ "\"platform\":{\"tdx\":true}", "platform.tdx" },
		{ "\"console\":{\"mode\":\"Tty\"}", "console.mode" },
		{ "\"console\":{\"mode\":\"Off|Null\"}", "console.mode" },
		{ "\"console\":{\"mode\":\"\"}", "console.mode" },
		{ "\"cpus\":{\"kvm_hyperv\":true}", "cpus.kvm_hyperv" },
	};
	char text[256];

	for (unsigned int i = 0; i < ARRAY_SIZE(bad); i++) {
		snprintf(text, sizeof(text), "{" KERNEL ",%s}", bad[i][0]);
		check_bad(*state, text, -EINVAL, bad[i][1]);
	}
	check_bad(*state, "{\"payload\":{\"firmware\":\"/f\"}}", -EINVAL,
		  "payload.firmware");
}

static void test_bad_text(void **state)
{
	struct fixture *fx = *state;
	char deep[8192];

	check_bad(fx, "", -EBADMSG, "");
	check_bad(fx, "{", -EBADMSG, "");
	check_bad(fx, "{} {}", -EBADMSG, "");
	check_bad(fx, "{\"x\":{},\"a\":[{\"b\":\"c\",\"d\" :1e999}]}", -EBADMSG,
		  "a.d: ");
	check_bad(fx, "{\"a\":1,\"a\":2}", -EBADMSG, "a: duplicate object key");
	check_bad(fx, "{\"a\":99999999999999999999}", -EBADMSG, "a: too big");
	check_bad(fx, "{\"a\":\"\xff\"}", -EBADMSG, "a: unable to decode");
	check_bad(fx, "{\"a\":\"\\u0000\"}", -EBADMSG, "a: \\u0000");
	memset(deep, '[', sizeof(deep));
	deep[sizeof(deep) - 1] = '\0';
	check_bad(fx, deep, -EBADMSG, "maximum parsing depth");
}

static void test_descriptors(void **state)
{
	struct fixture *fx = *state;
	struct stat a, b;

	assert_int_equal(fstat(fx->fds[1], &b), 0);
	assert_int_equal(read_config(fx, "{\"payload\":{\"kernel_fd\":1},"
					 "\"disks\":[{\"fd\":0}]}"),
			 0);
	assert_true(fx->vc.kernel_fd > 2);
	assert_int_equal(fstat(fx->vc.kernel_fd, &a), 0);
	assert_true(a.st_rdev == b.st_rdev);
	assert_null(fx->vc.kernel);
	/* The number means nothing to others. */
	check_echo(fx, "\"disks\":[{\"readonly\"");
}

/* Each descriptor has one owner. */
static void test_descriptor_twice(void **state)
{
	check_bad(*state, "{" KERNEL ",\"disks\":[{\"fd\":0},{\"fd\":0}]}",
		  -EINVAL, "disks[1].fd 0: is used already");
	check_bad(*state,
		  "{\"payload\":{\"kernel_fd\":1},"
		  "\"disks\":[{\"fd\":1}]}",
		  -EINVAL, "disks[0].fd 1: is used already");
}

/* A device that takes a list of descriptors. */
struct port_config {
	struct fd_list fds;
};

static const struct param port_params[] = {
	PARAM("fd", FDS, struct port_config, fds, "descriptors"),
};

static const struct param_set port_set = {
	.option = "port",
	PARAM_TABLE(port_params, struct port_config),
};

static const struct device_class port_class = {
	.option = "port",
	.params = &port_set,
};

/* How many descriptors the device of this text has, whose request brought two;
 * or -errno. */
static int read_port(struct fixture *fx, const char *text, bool for_one)
{
	const struct json_fds fds = { .fds = fx->fds,
				      .nr = 2,
				      .for_one = for_one };
	json_t *obj = json_read_text(text, strlen(text), &fx->err);
	const struct port_config *pc;
	struct device_config dc;
	int r;

	assert_int_equal(device_config_init(&dc, &port_class, &fx->err), 0);
	pc = dc.config;
	r = json_read_device(&dc, obj, "", &fds, &fx->err);
	json_decref(obj);
	if (!r) {
		r = (int)pc->fds.nr;
		for (int i = 0; i < r; i++)
			assert_true(fcntl(pc->fds.fds[i], F_GETFD) ==
				    FD_CLOEXEC);
	}
	device_config_free(&dc);
	return r;
}

/* All are for the one device, unless it says which; what another monitor's
 * clients say of descriptors of their own does not count. */
static void test_descriptors_for_one(void **state)
{
	struct fixture *fx = *state;
	int reopened;

	assert_int_equal(read_port(fx, "{\"fds\":[7]}", false), 0);
	assert_true(fx->fds[0] >= 0);
	assert_int_equal(read_port(fx, "{\"fds\":[7,8,9]}", true), 2);
	assert_int_equal(fx->fds[0], -1);
	assert_int_equal(fx->fds[1], -1);
	reopened = open("/dev/null", O_RDONLY | O_CLOEXEC);
	fx->fds[1] = reopened;
	assert_int_equal(read_port(fx, "{\"fd\":[1]}", true), 1);
	assert_true(fcntl(reopened, F_GETFD) < 0);
	assert_int_equal(read_port(fx, "{\"fd\":[0]}", true), -EINVAL);
	assert_int_equal(read_port(fx, "{\"fd\":[2]}", true), -EINVAL);
	assert_int_equal(read_port(fx, "{\"fd\":[\"1\"]}", true), -EBADMSG);
}

static void test_ascii(void **state)
{
	struct fixture *fx = *state;
	char *text;

	assert_int_equal(read_config(fx, "{\"payload\":{\"kernel\":\"/k\","
					 "\"cmdline\":\"\xc3\xa4\\ud83d"
					 "\\ude00\"}}"),
			 0);
	text = echo(fx);
	for (const char *s = text; *s; s++)
		assert_true(*s > 0x1f && *s < 0x7f);
	assert_non_null(strstr(text, "\\u00E4\\uD83D\\uDE00"));
	free(text);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_go_client),
		TEST(test_round_trip),
		TEST(test_defaults),
		TEST(test_nulls_and_strangers),
		TEST(test_limits),
		TEST(test_shares),
		TEST(test_wrong_types),
		TEST(test_refused_values),
		TEST(test_unsupported),
		TEST(test_bad_text),
		TEST(test_descriptors),
		TEST(test_ascii),
		TEST(test_descriptor_twice),
		TEST(test_descriptors_for_one),
		TEST(test_ports),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
