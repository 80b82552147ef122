/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/cli.h"

#include <fcntl.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/util.h"

/* Whole command lines. --disk stands for all options of devices. */

struct fixture {
	struct run_config rc;
	struct error err;
	char file[32]; /* a kernel, or an image */
};

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	int fd;

	if (!fx)
		return -1;
	strcpy(fx->file, "/tmp/test_cli.XXXXXX");
	fd = mkstemp(fx->file);
	if (fd < 0)
		return -1;
	close(fd);
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	run_config_free(&fx->rc);
	unlink(fx->file);
	free(fx);
	return 0;
}

/* Parse the words, ended by NULL; a "FILE" among them is fx->file. */
static int parse_words(struct fixture *fx, const char *const *words)
{
	char *argv[64] = { strdup("vmm") };
	int argc = 1, rc;

	run_config_free(&fx->rc);
	for (; *words; words++)
		argv[argc++] =
			strdup(strcmp(*words, "FILE") == 0 ? fx->file : *words);
	fx->err.msg[0] = '\0';
	rc = cli_parse(&fx->rc, argc, argv, &fx->err);
	/* nothing may point into argv afterwards */
	while (argc > 0)
		free(argv[--argc]);
	return rc;
}

static void parse_ok_words(struct fixture *fx, const char *const *words)
{
	int rc = parse_words(fx, words);

	if (rc)
		print_error("%s\n", fx->err.msg);
	assert_int_equal(rc, 0);
}

static void parse_bad_words(struct fixture *fx, const char *const *words,
			    const char *part)
{
	assert_true(parse_words(fx, words) < 0);
	if (!strstr(fx->err.msg, part))
		fail_msg("'%s' is not in: %s", part, fx->err.msg);
	assert_null(strchr(fx->err.msg, '\n'));
}

#define WORDS(...) ((const char *const[]){ __VA_ARGS__, NULL })
#define parse_ok(fx, ...) parse_ok_words(fx, WORDS(__VA_ARGS__))
#define parse_bad(fx, part, ...) parse_bad_words(fx, WORDS(__VA_ARGS__), part)

static const char *device_path(const struct fixture *fx, unsigned int i)
{
	const struct device_config *dc = &fx->rc.vm.devices[i];
	const struct param *p = param_find(dc->class->params, "path");

	assert_non_null(p);
	return *(char *const *)(void *)((char *)dc->config + p->offset);
}

static void test_modes(void **state)
{
	struct fixture *fx = *state;

	parse_ok_words(fx, (const char *const[]){ NULL });
	assert_int_equal(fx->rc.mode, RUN_HELP);
	parse_ok(fx, "--help");
	assert_int_equal(fx->rc.mode, RUN_HELP);
	parse_ok(fx, "-h", "--nonsense");
	assert_int_equal(fx->rc.mode, RUN_HELP);
	parse_ok(fx, "--version");
	assert_int_equal(fx->rc.mode, RUN_VERSION);
	parse_ok(fx, "-V");
	assert_int_equal(fx->rc.mode, RUN_VERSION);
	parse_ok(fx, "--check-host", "-v");
	assert_int_equal(fx->rc.mode, RUN_CHECK_HOST);
	assert_int_equal(fx->rc.verbosity, 1);
	parse_ok(fx, "--kernel", "FILE");
	assert_int_equal(fx->rc.mode, RUN_VM);
}

static void test_every_option(void **state)
{
	struct fixture *fx = *state;
	const struct vm_config *vc = &fx->rc.vm;

	parse_ok(fx, "--kernel", "FILE", "--initramfs", "FILE", "--cmdline",
		 "a=b,c \"d\"", "--cpus", "boot=2,max=4", "--memory",
		 "1G,shared=on", "--serial", "null", "--on-reset", "exit",
		 "--hotplug-ports", "5", "--log-file", "/x/log", "-vv", "-v",
		 "--verbose", "--rootfs", "FILE", "--disk", "path=d0");
	assert_string_equal(vc->kernel, fx->file);
	assert_string_equal(vc->initramfs, fx->file);
	assert_string_equal(vc->cmdline, "a=b,c \"d\"");
	assert_string_equal(vc->rootfs.path, fx->file);
	assert_int_equal(vc->cpus.boot, 2);
	assert_int_equal(vc->cpus.max, 4);
	assert_int_equal(vc->memory.size, GIB);
	assert_true(vc->memory.shared);
	assert_int_equal(vc->serial.mode, SERIAL_NULL);
	assert_int_equal(vc->on_reset, RESET_EXIT);
	assert_int_equal(vc->hotplug_ports, 5);
	assert_string_equal(fx->rc.log_file, "/x/log");
	assert_int_equal(fx->rc.verbosity, 4);
	assert_int_equal(vc->nr_devices, 2);
	assert_string_equal(device_path(fx, 0), fx->file);
	assert_string_equal(device_path(fx, 1), "d0");
}

static void test_equals(void **state)
{
	struct fixture *fx = *state;
	char kernel[64];

	snprintf(kernel, sizeof(kernel), "--kernel=%s", fx->file);
	parse_ok(fx, kernel, "--cpus=3", "--memory=size=1G,thp=off",
		 "--cmdline=--kernel=x", "--disk=path=a", "path=b");
	assert_string_equal(fx->rc.vm.kernel, fx->file);
	assert_int_equal(fx->rc.vm.cpus.boot, 3);
	assert_int_equal(fx->rc.vm.memory.size, GIB);
	assert_false(fx->rc.vm.memory.thp);
	assert_string_equal(fx->rc.vm.cmdline, "--kernel=x");
	assert_int_equal(fx->rc.vm.nr_devices, 2);
	parse_ok(fx, kernel, "--cmdline=");
	assert_string_equal(fx->rc.vm.cmdline, "");
	parse_ok(fx, kernel, "--cmdline", "");
	assert_string_equal(fx->rc.vm.cmdline, "");
	/* a command line may look like an option, as long as it is none */
	parse_ok(fx, kernel, "--cmdline", "-- single");
	assert_string_equal(fx->rc.vm.cmdline, "-- single");
}

static void test_repetition(void **state)
{
	struct fixture *fx = *state;

	parse_ok(fx, "--kernel", "/nonexistent", "--memory", "1G", "--disk",
		 "path=a", "path=b,readonly=on", "--cpus", "2", "--disk",
		 "path=c", "--kernel", "FILE", "--memory", "shared=on");
	assert_string_equal(fx->rc.vm.kernel, fx->file);
	assert_int_equal(fx->rc.vm.memory.size, GIB);
	assert_true(fx->rc.vm.memory.shared);
	assert_int_equal(fx->rc.vm.nr_devices, 3);
	assert_string_equal(device_path(fx, 0), "a");
	assert_string_equal(device_path(fx, 1), "b");
	assert_string_equal(device_path(fx, 2), "c");
}

static void test_serial_modes(void **state)
{
	struct fixture *fx = *state;
	const struct serial_config *serial = &fx->rc.vm.serial;

	parse_ok(fx, "--kernel", "FILE", "--serial", "file=/tmp/x");
	assert_int_equal(serial->mode, SERIAL_FILE);
	assert_string_equal(serial->file, "/tmp/x");
	parse_ok(fx, "--kernel", "FILE", "--serial", "file=/tmp/x", "--serial",
		 "tty");
	assert_int_equal(serial->mode, SERIAL_TTY);
	assert_null(serial->file);
	parse_ok(fx, "--kernel", "FILE", "--serial", "off");
	assert_int_equal(serial->mode, SERIAL_OFF);
	parse_ok(fx, "--kernel", "FILE", "--serial", "pty");
	assert_int_equal(serial->mode, SERIAL_PTY);
	parse_bad(fx,
		  "--serial mode=foo: must be one of tty, null, off, file, "
		  "pty",
		  "--kernel", "FILE", "--serial", "foo");
	parse_bad(fx, "file=PATH", "--kernel", "FILE", "--serial", "file");
}

static void test_unknown_options(void **state)
{
	struct fixture *fx = *state;

	parse_bad(fx, "--kernal: unknown option; did you mean --kernel?",
		  "--kernal", "x");
	parse_bad(fx, "--mem=1G: unknown option; did you mean --memory?",
		  "--mem=1G");
	parse_bad(fx, "did you mean --kernel?", "-kernel", "x");
	parse_bad(fx, "--frobnicate: unknown option; --help lists all",
		  "--frobnicate");
	parse_bad(fx, "-x: unknown option", "-x");
	parse_bad(fx, "-vx: unknown option", "-vx");
	parse_bad(fx, "--: unknown option", "--");
	parse_bad(fx, "'-': is not an option", "-");
	parse_bad(fx, "'word': is not an option", "--kernel", "FILE", "word");
	parse_bad(fx, "'': is not an option", "");
	parse_bad(fx, "--x?y: unknown option", "--x\ny");
}

static void test_values_missing(void **state)
{
	struct fixture *fx = *state;

	parse_bad(fx, "--kernel: has no value; write --kernel PATH",
		  "--kernel");
	parse_bad(fx, "--kernel: has no value", "--kernel", "--disk", "path=x");
	parse_bad(fx, "--cmdline: has no value", "--cmdline", "--disk=path=x");
	parse_bad(fx, "--memory: has no value; write --memory SIZE",
		  "--memory");
	parse_bad(fx, "--memory: the value is empty", "--memory=");
	parse_bad(fx, "--kernel '': no file name", "--kernel", "");
	parse_bad(fx, "--version=3: takes no value; write --version",
		  "--version=3");
}

static void test_bad_values(void **state)
{
	struct fixture *fx = *state;

	parse_bad(fx, "--kernel: is missing; a machine needs one", "--memory",
		  "1G");
	parse_bad(fx, "--kernel: is missing", "--rootfs", "FILE");
	parse_bad(fx, "--kernel /nonexistent: No such file or directory; give",
		  "--kernel", "/nonexistent");
	parse_bad(fx, "--rootfs /dev/null: is neither", "--kernel", "FILE",
		  "--rootfs", "/dev/null");
	parse_bad(fx, "--rootfs /nonexistent: No such file", "--kernel", "FILE",
		  "--rootfs", "/nonexistent,readonly=on");
	parse_bad(fx, "--rootfs: path is missing", "--kernel", "FILE",
		  "--rootfs", "readonly=on");
	parse_bad(fx, "--on-reset halt: must be one of reboot, exit",
		  "--on-reset", "halt");
	parse_bad(fx, "--hotplug-ports 32: must be at most 31",
		  "--hotplug-ports", "32");
	parse_bad(fx,
		  "--memory size=12Q: not a size; use a number with K, M "
		  "or G, such as 512M",
		  "--memory", "size=12Q");
	parse_bad(fx, "--cpus boot=0: must be between 1 and ", "--cpus", "0");
	parse_bad(fx, "--disk: unknown key 'foo'; known keys: path", "--disk",
		  "path=x,foo=1");
	parse_bad(fx, "--disk queue_size=3: must be a power of two", "--disk",
		  "path=x,queue_size=3");
}

/* A descriptor has one owner, who closes it. */
static void test_jail(void **state)
{
	struct fixture *fx = *state;

	parse_ok(fx, "--kernel", "FILE");
	assert_false(fx->rc.jail.on);
	parse_ok(fx, "--kernel", "FILE", "--jail");
	assert_true(fx->rc.jail.on);
	parse_ok(fx, "--jail", "--kernel", "FILE");
	assert_true(fx->rc.jail.on);
	assert_non_null(fx->rc.vm.kernel);
	parse_ok(fx, "--jail", "-v", "--kernel", "FILE");
	assert_int_equal(fx->rc.verbosity, 1);
	parse_ok(fx, "--kernel", "FILE", "--jail=user=a,pid=on", "--jail",
		 "newnet=on,nofile=64,fsize=2G");
	assert_string_equal(fx->rc.jail.user, "a");
	assert_true(fx->rc.jail.pid);
	assert_true(fx->rc.jail.newnet);
	assert_int_equal(fx->rc.jail.nofile, 64);
	assert_int_equal(fx->rc.jail.fsize, 2 * GIB);
	parse_bad(fx, "--jail nofile=63", "--kernel", "FILE", "--jail",
		  "nofile=63");
	parse_bad(fx, "uid", "--kernel", "FILE", "--jail", "uid=0");
	/* Others need their value, whatever comes next. */
	parse_bad(fx, "--cpus: has no value", "--kernel", "FILE", "--cpus",
		  "--jail");
}

static void test_descriptors(void **state)
{
	struct fixture *fx = *state;
	int fd = fcntl(STDERR_FILENO, F_DUPFD, 3);
	char text[32], want[128];

	snprintf(text, sizeof(text), "fd=%d", fd);
	snprintf(want, sizeof(want), "--disk fd=%d: descriptor %d is in use",
		 fd, fd);
	parse_bad(fx, want, "--kernel", "FILE", "--disk", text, text);
	run_config_free(&fx->rc);
	/* It was closed once, by the first disk. */
	assert_int_equal(dup2(STDERR_FILENO, fd), fd);
	snprintf(want, sizeof(want), "--event-monitor fd=%d: descriptor", fd);
	parse_bad(fx, want, "--api-socket", text, "--event-monitor", text);
	run_config_free(&fx->rc);
	assert_int_equal(dup2(STDERR_FILENO, fd), fd);
	parse_bad(fx, want, "--kernel", "FILE", "--disk", text,
		  "--event-monitor", text);
	/* One of our own, which nobody passed on. */
	run_config_free(&fx->rc);
	assert_int_equal(dup3(STDERR_FILENO, fd, O_CLOEXEC), fd);
	parse_bad(fx, want, "--event-monitor", text);
	close(fd);
}

static void test_too_many_devices(void **state)
{
	struct fixture *fx = *state;
	const char *words[64] = { "--kernel", "FILE", "--disk" };
	unsigned int n = 3;

	while (n < 3 + CONFIG_MAX_DEVICES)
		words[n++] = "path=x";
	parse_ok_words(fx, words);
	assert_int_equal(fx->rc.vm.nr_devices, CONFIG_MAX_DEVICES);
	words[n++] = "path=x";
	parse_bad_words(fx, words, "--disk: too many devices");
}

static void count_option(const struct cli_option *opt, void *arg)
{
	unsigned int *count = arg;

	/* --help and the man page rely on all of these */
	assert_non_null(opt->name);
	assert_non_null(opt->group);
	assert_non_null(opt->help);
	assert_false(opt->param && opt->set);
	if (opt->set) {
		assert_string_equal(opt->set->option, opt->name);
		for (unsigned int i = 0; i < opt->set->nr_params; i++) {
			const struct param *p = &opt->set->params[i];

			assert_non_null(p->help);
			assert_true(p->type != PARAM_ENUM || p->choices);
		}
	}
	(*count)++;
}

static void test_help(void **state)
{
	unsigned int count = 0;
	char *text = NULL;
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	cli_help(out);
	fclose(out);
	assert_non_null(strstr(text, "  --memory SIZE[,KEY=VALUE...]\n"));
	assert_non_null(strstr(text, "      queue_size=N "));
	assert_non_null(strstr(text, "  -v, --verbose "));
	/* no line is wider than a terminal */
	for (char *line = strtok(text, "\n"); line; line = strtok(NULL, "\n"))
		assert_true(strlen(line) < 80);
	free(text);
	cli_options_visit(count_option, &count);
	assert_true(count >= 14);
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_modes),
		TEST(test_every_option),
		TEST(test_equals),
		TEST(test_repetition),
		TEST(test_serial_modes),
		TEST(test_unknown_options),
		TEST(test_values_missing),
		TEST(test_bad_values),
		TEST(test_descriptors),
		TEST(test_jail),
		TEST(test_too_many_devices),
		cmocka_unit_test(test_help),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
