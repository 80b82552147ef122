/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/param.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/nearest.h"
#include "vmm/param_net.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/* A struct with one parameter of every type. */
enum color {
	COLOR_RED,
	COLOR_GREEN,
	COLOR_BLUE,
};

struct thing {
	char *path;
	char *label;
	bool lit;
	bool loud;
	uint64_t count;
	uint64_t slots;
	uint64_t size;
	int color;
	int fd;
	uint64_t id;
	uint64_t private_note; /* no parameter: must survive */
};

static const struct param_choice color_choices[] = {
	{ "red", "Red" },
	{ "green", "Green" },
	{ "blue", "Blue" },
	{ NULL, NULL },
};

#define AT(field) .offset = offsetof(struct thing, field)

static const struct param thing_table[] = {
	{ .name = "path", .type = PARAM_PATH, AT(path), .help = "a file" },
	{ .name = "label",
	  .type = PARAM_STRING,
	  AT(label),
	  .max = 8,
	  .help = "a name" },
	{ .name = "lit", .type = PARAM_BOOL, AT(lit), .help = "shines" },
	{ .name = "loud",
	  .type = PARAM_BOOL,
	  AT(loud),
	  .def = true,
	  .help = "sounds" },
	{ .name = "count",
	  .type = PARAM_UINT,
	  AT(count),
	  .def = 3,
	  .min = 1,
	  .max = 100,
	  .unit = "ms",
	  .help = "how often" },
	{ .name = "slots",
	  .type = PARAM_UINT,
	  AT(slots),
	  .def = 128,
	  .min = 2,
	  .max = 32768,
	  .pow2 = true,
	  .help = "how many" },
	{ .name = "size",
	  .type = PARAM_SIZE,
	  AT(size),
	  .def = 512 * MIB,
	  .help = "how much" },
	{ .name = "color",
	  .type = PARAM_ENUM,
	  AT(color),
	  .def = COLOR_GREEN,
	  .choices = color_choices,
	  .help = "which color" },
	{ .name = "fd",
	  .type = PARAM_FD,
	  AT(fd),
	  .min = 3,
	  .help = "an open file" },
	{ .name = "id", .type = PARAM_UINT, AT(id), .help = "any number" },
};

static int thing_check(const void *config, struct error *err)
{
	const struct thing *t = config;

	if (t->lit && t->color == COLOR_RED)
		return error_set(err, EINVAL, "color=red: cannot be lit");
	return 0;
}

static const struct param_set thing_params = {
	.option = "thing",
	.help = "a thing",
	.params = thing_table,
	.nr_params = ARRAY_SIZE(thing_table),
	.size = sizeof(struct thing),
	.shorthand = "path",
	.check = thing_check,
};

static const struct param_set bare_params = {
	.option = "thing",
	.params = thing_table,
	.nr_params = ARRAY_SIZE(thing_table),
	.size = sizeof(struct thing),
};

static int setup(void **state)
{
	struct thing *t = calloc(1, sizeof(*t));

	if (!t)
		return -1;
	param_defaults(&thing_params, t);
	t->private_note = 77;
	*state = t;
	return 0;
}

static int teardown(void **state)
{
	param_free(&thing_params, *state);
	free(*state);
	return 0;
}

/* As this process was started with them. */
static void fresh_fds(void)
{
	dup2(STDERR_FILENO, 9);
	dup2(STDERR_FILENO, 10);
}

static void parse_ok(struct thing *t, const char *text)
{
	struct error err = { "" };
	int rc;

	fresh_fds();
	rc = param_parse(&thing_params, t, text, &err);
	if (rc)
		print_error("%s: %s\n", text, err.msg);
	assert_int_equal(rc, 0);
}

/* text is refused, and the message holds all the parts. */
static void parse_bad_set(const struct param_set *set, struct thing *t,
			  const char *text, const char *const *parts)
{
	struct error err = { "" };
	struct thing *copy = param_copy(set, t);

	assert_int_equal(param_parse(set, copy, text, &err), -EINVAL);
	for (; *parts; parts++) {
		if (!strstr(err.msg, *parts))
			fail_msg("'%s' is not in: %s", *parts, err.msg);
	}
	assert_null(strchr(err.msg, '\n'));
	/* nobody need want the message */
	assert_int_equal(param_parse(set, copy, text, NULL), -EINVAL);
	param_free(set, copy);
	free(copy);
}

#define parse_bad(t, text, ...)               \
	parse_bad_set(&thing_params, t, text, \
		      (const char *const[]){ __VA_ARGS__, NULL })

static void test_defaults(void **state)
{
	struct thing *t = *state;

	assert_null(t->path);
	assert_null(t->label);
	assert_false(t->lit);
	assert_true(t->loud);
	assert_int_equal(t->count, 3);
	assert_int_equal(t->slots, 128);
	assert_int_equal(t->size, 512 * MIB);
	assert_int_equal(t->color, COLOR_GREEN);
	assert_int_equal(t->fd, -1);
}

static void test_every_type(void **state)
{
	struct thing *t = *state;

	parse_ok(t, "path=/a/b,label=x,lit=on,loud=off,count=7,slots=4,size=1G,"
		    "color=blue,fd=9");
	assert_string_equal(t->path, "/a/b");
	assert_string_equal(t->label, "x");
	assert_true(t->lit);
	assert_false(t->loud);
	assert_int_equal(t->count, 7);
	assert_int_equal(t->slots, 4);
	assert_int_equal(t->size, GIB);
	assert_int_equal(t->color, COLOR_BLUE);
	assert_int_equal(t->fd, 9);
	assert_int_equal(t->private_note, 77);
}

static void test_quotes(void **state)
{
	struct thing *t = *state;

	parse_ok(t, "path=\"/a,b=c[\",count=5");
	assert_string_equal(t->path, "/a,b=c[");
	assert_int_equal(t->count, 5);
	parse_ok(t, "path=/a\",\"b");
	assert_string_equal(t->path, "/a,b");
	parse_ok(t, "path=\"/a\"\"b\"");
	assert_string_equal(t->path, "/a\"b");
	parse_ok(t, "\"path=x,y\"");
	assert_string_equal(t->path, "path=x,y");
	parse_ok(t, "label=\"\",path=p");
	assert_null(t->label);
	parse_bad(t, "path=\"/a", "--thing", "close the quotes");
	parse_bad(t, "path=a\"", "close the quotes");
}

static void test_brackets(void **state)
{
	struct thing *t = *state;

	parse_ok(t, "path=[a,[b,c]],count=5");
	assert_string_equal(t->path, "[a,[b,c]]");
	assert_int_equal(t->count, 5);
	parse_ok(t, "path=[\"x],\",y]");
	assert_string_equal(t->path, "[\"x],\",y]");
	parse_ok(t, "path=[a=b]");
	assert_string_equal(t->path, "[a=b]");
	parse_bad(t, "path=[a", "--thing", "add ']'");
	parse_bad(t, "path=a]", "']' without '['", "double quotes");
	parse_bad(t, "path=[\"a]", "close the quotes");
}

static void test_shorthand(void **state)
{
	struct thing *t = *state;

	parse_ok(t, "/a/b,count=2");
	assert_string_equal(t->path, "/a/b");
	assert_int_equal(t->count, 2);
	parse_ok(t, "path=a=b");
	assert_string_equal(t->path, "a=b");
	parse_bad(t, "count=2,/a/b", "'/a/b' is not key=value");
	parse_bad(t, "/a=b", "unknown key '/a'", "path=PATH");
	/* a forgotten value is not taken for a file of that name */
	parse_bad(t, "lit", "'lit' has no value", "lit=on|off");
	parse_bad(t, "lit,path=x", "'lit' has no value");
	parse_ok(t, "path=lit");
	parse_bad_set(&bare_params, t, "zzz",
		      (const char *const[]){ "--thing", "'zzz'",
					     "known keys: path, label", NULL });
	parse_bad_set(&bare_params, t, "lit",
		      (const char *const[]){ "--thing", "'lit' has no value",
					     "lit=on|off", NULL });
}

static void test_unset_and_last_wins(void **state)
{
	struct thing *t = *state;

	parse_ok(t, "count=4,count=5,path=a,path=b");
	assert_int_equal(t->count, 5);
	assert_string_equal(t->path, "b");
	parse_ok(t, "count=,path=,loud=off");
	assert_int_equal(t->count, 3);
	assert_null(t->path);
	assert_false(t->loud);
	/* a second text adds to the first one */
	parse_ok(t, "label=z");
	assert_false(t->loud);
	assert_string_equal(t->label, "z");
	/* a bad value hides behind nothing */
	parse_bad(t, "count=x,count=5", "count=x");
}

static void test_toggles(void **state)
{
	static const char *const on[] = { "on", "ON", "true", "True", "TRUE" };
	static const char *const off[] = { "off", "Off", "false", "FALSE" };
	struct thing *t = *state;
	char text[32];

	for (unsigned int i = 0; i < ARRAY_SIZE(on); i++) {
		parse_ok(t, "lit=off");
		snprintf(text, sizeof(text), "lit=%s", on[i]);
		parse_ok(t, text);
		assert_true(t->lit);
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(off); i++) {
		parse_ok(t, "lit=on");
		snprintf(text, sizeof(text), "lit=%s", off[i]);
		parse_ok(t, text);
		assert_false(t->lit);
	}
	parse_bad(t, "lit=1", "--thing lit=1", "on or off");
	parse_bad(t, "lit=yes", "--thing lit=yes", "on or off");
}

/* What text sets, or in which way it does not: -EINVAL no number, -ERANGE one
 * that 64 bits do not hold. */
static int number_of(enum param_type type, const char *text, uint64_t *out)
{
	const struct param p = { .name = "n", .type = type };
	struct error err = { "" };
	int r = param_assign(&p, out, text, &err);

	return r && strstr(err.msg, "too large") ? -ERANGE : r;
}

static void test_sizes(void **state)
{
	static const struct {
		const char *text;
		uint64_t bytes;
		int rc;
	} cases[] = {
		{ "0", 0, 0 },
		{ "4096", 4096, 0 },
		{ "4K", 4096, 0 },
		{ "512M", 512 * MIB, 0 },
		{ "16G", 16 * GIB, 0 },
		{ "18446744073709551615", UINT64_MAX, 0 },
		{ "17179869183G", 17179869183 * GIB, 0 },
		{ "18446744073709551616", 0, -ERANGE },
		{ "17179869184G", 0, -ERANGE },
		{ "99999999999999999999999K", 0, -ERANGE },
		{ "99999999999999999999999Q", 0, -EINVAL },
		{ "512k", 0, -EINVAL },
		{ "512m", 0, -EINVAL },
		{ "1T", 0, -EINVAL },
		{ "1MB", 0, -EINVAL },
		{ "M", 0, -EINVAL },
		{ "", 0, -EINVAL },
		{ " 1", 0, -EINVAL },
		{ "1 ", 0, -EINVAL },
		{ "+1", 0, -EINVAL },
		{ "-1", 0, -EINVAL },
		{ "0x10", 0, -EINVAL },
		{ "1.5G", 0, -EINVAL },
	};
	struct thing *t = *state;

	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		uint64_t v = 12345;

		assert_int_equal(number_of(PARAM_SIZE, cases[i].text, &v),
				 cases[i].rc);
		assert_int_equal(v, cases[i].rc ? 12345 : cases[i].bytes);
	}
	parse_bad(t, "size=12Q", "--thing size=12Q", "not a size", "512M");
	parse_bad(t, "size=12k", "--thing size=12k", "not a size", "K, M or G");
	parse_bad(t, "size=17179869184G", "--thing size=17179869184G",
		  "too large");
}

static void test_numbers(void **state)
{
	struct thing *t = *state;
	uint64_t v = 5;

	assert_int_equal(number_of(PARAM_UINT, "18446744073709551615", &v), 0);
	assert_true(v == UINT64_MAX);
	assert_int_equal(number_of(PARAM_UINT, "18446744073709551616", &v),
			 -ERANGE);
	assert_int_equal(number_of(PARAM_UINT, "1K", &v), -EINVAL);
	assert_int_equal(number_of(PARAM_UINT, "", &v), -EINVAL);
	assert_true(v == UINT64_MAX);

	parse_ok(t, "count=1");
	parse_ok(t, "count=100");
	parse_bad(t, "count=0", "--thing count=0", "between 1 and 100 ms");
	parse_bad(t, "count=101", "--thing count=101", "between 1 and 100 ms");
	parse_bad(t, "count=x", "not a number", "between 1 and 100");
	parse_bad(t, "count=99999999999999999999", "between 1 and 100");
	parse_ok(t, "id=18446744073709551615");
	parse_bad(t, "id=18446744073709551616", "too large");
	parse_bad(t, "id=-1", "--thing id=-1", "not a number");
}

static void test_power_of_two(void **state)
{
	struct thing *t = *state;

	parse_ok(t, "slots=2");
	parse_ok(t, "slots=32768");
	parse_bad(t, "slots=3",
		  "--thing slots=3: must be a power of two "
		  "between 2 and 32768");
	parse_bad(t, "slots=1", "power of two");
	parse_bad(t, "slots=0", "power of two");
	parse_bad(t, "slots=65536", "power of two");
	parse_bad(t, "slots=x", "power of two");
}

static void test_other_values(void **state)
{
	struct thing *t = *state;

	parse_bad(t, "color=pink", "--thing color=pink",
		  "one of red, green, blue");
	parse_bad(t, "color=Red", "one of red, green, blue");
	parse_ok(t, "label=12345678");
	parse_bad(t, "label=123456789", "--thing label=", "at most 8 bytes");
	parse_bad(t, "fd=-1", "--thing fd=-1", "not a file descriptor");
	parse_bad(t, "fd=2147483648", "not a file descriptor");
	parse_bad(t, "fd=99999999999999999999999", "too large");
	parse_bad(t, "fd=2", "--thing fd=2", "standard", "from 3 on");
	parse_bad(t, "fd=2147483647", "no such descriptor is open");
	parse_ok(t, "fd=9");
	assert_int_equal(t->fd, 9);
	parse_ok(t, "fd=");
	assert_int_equal(t->fd, -1);
}

static void test_unknown_keys(void **state)
{
	struct thing *t = *state;
	char longer[4096];

	parse_bad(t, "foo=1", "--thing: unknown key 'foo'",
		  "known keys: path, label, lit, loud, count, slots, size, "
		  "color, fd, id");
	parse_bad(t, "cuont=1", "unknown key 'cuont'", "did you mean 'count'?",
		  "known keys: ");
	parse_bad(t, "=1", "unknown key ''", "known keys: ");
	parse_bad(t, "Count=1", "unknown key 'Count'");
	parse_bad(t, "a\nb=1", "unknown key 'a?b'");
	/* a huge text does not push the reason out of the message */
	memset(longer, 'x', sizeof(longer));
	memcpy(longer + sizeof(longer) - 3, "=1", 3);
	parse_bad(t, longer, "unknown key 'xxx", "known keys: path");
	memcpy(longer, "count=", 6);
	parse_bad(t, longer, "--thing count=xxx", "...: not a number");
}

static void test_empty_items(void **state)
{
	struct thing *t = *state;

	parse_bad(t, "", "--thing", "empty", "PATH");
	parse_bad(t, ",", "an item is empty");
	parse_bad(t, "path=a,", "an item is empty");
	parse_bad(t, "path=a,,count=2", "an item is empty");
}

static void test_check(void **state)
{
	static const struct param table[] = {
		{ .name = "path",
		  .type = PARAM_PATH,
		  AT(path),
		  .required = true,
		  .help = "" },
		{ .name = "count",
		  .type = PARAM_UINT,
		  AT(count),
		  .min = 3,
		  .required = true,
		  .help = "" },
	};
	static const struct param_set set = {
		.option = "thing",
		.params = table,
		.nr_params = ARRAY_SIZE(table),
		.size = sizeof(struct thing),
	};
	struct thing *t = *state;

	parse_bad(t, "lit=on,color=red", "--thing: color=red: cannot be lit");
	t->count = 0;
	parse_bad_set(&set, t, "count=5",
		      (const char *const[]){ "--thing: path is missing",
					     "path=PATH", NULL });
	parse_bad_set(
		&set, t, "path=x",
		(const char *const[]){ "--thing: count is missing", NULL });
	assert_int_equal(param_parse(&set, t, "path=x,count=3", NULL), 0);
	/* what was required stays so */
	parse_bad_set(&set, t, "path=",
		      (const char *const[]){ "path is missing", NULL });
}

static void test_assign(void **state)
{
	const struct param *path = param_find(&thing_params, "path");
	const struct param *slots = param_find(&thing_params, "slots");
	struct thing *t = *state;
	struct error err;

	assert_null(param_find(&thing_params, "pat"));
	assert_int_equal(param_assign(path, t, "a,\"b\"=[", &err), 0);
	assert_string_equal(t->path, "a,\"b\"=[");
	assert_int_equal(param_assign(path, t, "", &err), -EINVAL);
	assert_string_equal(t->path, "a,\"b\"=[");
	assert_int_equal(param_assign(slots, t, "6", &err), -EINVAL);
	assert_string_equal(err.msg,
			    "must be a power of two between 2 and 32768");
	param_free(&thing_params, t);
	assert_null(t->path);
	assert_int_equal(t->slots, 128);
}

static void test_words(void **state)
{
	char *text = NULL, buf[128];
	size_t len;
	FILE *out = open_memstream(&text, &len);

	(void)state;
	assert_non_null(out);
	param_help(&thing_params, out);
	fclose(out);
	assert_non_null(strstr(text, "      path=PATH           a file\n"));
	assert_non_null(strstr(text, "      lit=on|off          shines "
				     "(default off)\n"));
	assert_non_null(strstr(text, "how often (default 3 ms)\n"));
	assert_non_null(strstr(text, "how much (default 512M)\n"));
	assert_non_null(strstr(text, "color=red|green|blue\n"));
	free(text);
	param_set_text(&thing_params, buf, sizeof(buf));
	assert_string_equal(buf, "PATH[,KEY=VALUE...]");
	param_set_text(&bare_params, buf, sizeof(buf));
	assert_string_equal(buf, "KEY=VALUE[,...]");
	strcpy(buf, "");
	param_add_number(buf, sizeof(buf), param_find(&thing_params, "size"),
			 1536);
	assert_string_equal(buf, "1536");
	param_add_number(buf, sizeof(buf), param_find(&thing_params, "size"),
			 3 * GIB);
	assert_string_equal(buf, "15363G");
}

static void test_nearest(void **state)
{
	static const char *const words[] = { "kernel", "rootfs", "memory",
					     "fd",     "id",	 "readonly" };
	static const struct {
		const char *word;
		const char *best;
	} cases[] = {
		{ "kernal", "kernel" },
		{ "mem", "memory" },
		{ "raedonly", "readonly" },
		{ "roofs", "rootfs" },
		{ "xyz", NULL },
		{ "df", "fd" },
		{ "", NULL },
		{ "memory", "memory" },
		{ "kernelkernelkernelkernelkernelkernel", NULL },
	};

	(void)state;
	for (unsigned int i = 0; i < ARRAY_SIZE(cases); i++) {
		struct nearest n;

		nearest_init(&n, cases[i].word);
		for (unsigned int j = 0; j < ARRAY_SIZE(words); j++)
			nearest_offer(&n, words[j]);
		if (cases[i].best)
			assert_string_equal(n.best, cases[i].best);
		else
			assert_null(n.best);
	}
}

/* ---- what networks are told ---- */

struct port {
	struct fd_list fds;
	uint8_t mac[6];
	uint32_t ip;
	char *word;
};

static int port_check_word(const char *text, struct error *err)
{
	return strcmp(text, "maybe") ? 0
				     : error_set(err, EINVAL, "yes, or no?");
}

/* What is not given is said. */
static void port_complete(void *config)
{
	struct port *port = config;

	if (!port->ip)
		port->ip = 0x0100007f;
}

static const struct param port_table[] = {
	PARAM("fd", FDS, struct port, fds, "open files", .min = 3),
	PARAM("mac", MAC, struct port, mac, "an address"),
	PARAM("ip", IPV4, struct port, ip, "another"),
	PARAM("word", WORDS, struct port, word, "a word",
	      .check_text = port_check_word, .look = "yes|no"),
};

static const struct param_set port_params = {
	.option = "port",
	PARAM_TABLE(port_table, struct port),
	.complete = port_complete,
};

/* What text is refused for, and nothing of it stays. */
static void port_bad(const char *text, const char *why)
{
	struct port port, before;
	struct error err = { "" };

	memset(&port, 0, sizeof(port));
	param_defaults(&port_params, &port);
	before = port;
	fresh_fds();
	assert_int_equal(param_parse(&port_params, &port, text, &err), -EINVAL);
	assert_memory_equal(&port, &before, sizeof(before));
	if (!strstr(err.msg, why))
		fail_msg("%s: '%s' lacks '%s'", text, err.msg, why);
}

static void test_descriptors(void **state)
{
	struct port port;
	char text[8 * FD_LIST_MAX] = "fd=[9";

	(void)state;
	fresh_fds();
	param_defaults(&port_params, &port);
	assert_int_equal(port.fds.nr, 0);
	assert_int_equal(param_parse(&port_params, &port, "fd=9", NULL), 0);
	assert_int_equal(port.fds.nr, 1);
	fresh_fds();
	assert_int_equal(
		param_parse(&port_params, &port, "fd=[10,9],word=x", NULL), 0);
	assert_int_equal(port.fds.nr, 2);
	assert_int_equal(port.fds.fds[0], 10);
	assert_int_equal(port.fds.fds[1], 9);
	assert_int_equal(param_parse(&port_params, &port, "fd=", NULL), 0);
	assert_int_equal(port.fds.nr, 0);
	param_free(&port_params, &port);
	port_bad("fd=[]", "[3,4]");
	port_bad("fd=[9", "add ']'");
	port_bad("fd=[9,]", "[3,4]");
	port_bad("fd=[9]x", "[3,4]");
	port_bad("fd=9x", "[3,4]");
	port_bad("fd=[9,10,9]", "descriptor 9 is in use already");
	port_bad("fd=[9,2]", "standard");
	port_bad("fd=[9,77]", "no such descriptor");
	port_bad("fd=99999999999999999999", "[3,4]");
	/* All of them open, and one more than there is room for. */
	for (int i = 0; i <= (int)FD_LIST_MAX; i++)
		sprintf(text + strlen(text), ",%d", dup2(9, 100 + i));
	strcat(text, "]");
	port_bad(text, "at most 126");
	for (int i = 0; i <= (int)FD_LIST_MAX; i++)
		close(100 + i);
}

static void test_addresses(void **state)
{
	static const uint8_t mac[] = { 0x52, 0x54, 0, 0xab, 0xCD, 0xff };
	static const uint8_t ip[] = { 10, 0, 255, 1 };
	struct port port;

	(void)state;
	param_defaults(&port_params, &port);
	assert_int_equal(port.ip, 0);
	assert_int_equal(
		param_parse(&port_params, &port, "mac=52:54:00:ab:CD:fF", NULL),
		0);
	assert_memory_equal(port.mac, mac, sizeof(mac));
	assert_string_equal(param_mac_text(port.mac).text, "52:54:00:ab:cd:ff");
	assert_string_equal(param_ipv4_text(port.ip).text, "127.0.0.1");
	assert_int_equal(
		param_parse(&port_params, &port, "ip=10.0.255.1", NULL), 0);
	assert_memory_equal(&port.ip, ip, sizeof(ip));
	assert_string_equal(param_ipv4_text(port.ip).text, "10.0.255.1");
	assert_int_equal(param_parse(&port_params, &port, "mac=,ip=", NULL), 0);
	assert_string_equal(param_mac_text(port.mac).text, "00:00:00:00:00:00");
	param_free(&port_params, &port);
	port_bad("mac=52:54:00:12:34", "not a MAC address");
	port_bad("mac=52:54:00:12:34:567", "not a MAC address");
	port_bad("mac=52-54-00-12-34-56", "not a MAC address");
	port_bad("mac=5:254:00:12:34:56", "not a MAC address");
	port_bad("mac=52:54:00:12:34:5g", "not a MAC address");
	port_bad("mac=53:54:00:12:34:56", "even first byte");
	port_bad("mac=00:00:00:00:00:00", "of a station");
	port_bad("ip=10.0.0", "not an IPv4 address");
	port_bad("ip=10.0.0.256", "not an IPv4 address");
	port_bad("ip=::1", "not an IPv4 address");
	port_bad("word=maybe", "--port word=maybe: yes, or no?");
}

static void test_looks(void **state)
{
	char text[32];

	(void)state;
	param_value_text(&port_table[0], text, sizeof(text));
	assert_string_equal(text, "N|[N,N...]");
	param_value_text(&port_table[1], text, sizeof(text));
	assert_string_equal(text, "MAC");
	param_value_text(&port_table[2], text, sizeof(text));
	assert_string_equal(text, "IP");
	param_value_text(&port_table[3], text, sizeof(text));
	assert_string_equal(text, "yes|no");
}

#define TEST(fn) cmocka_unit_test_setup_teardown(fn, setup, teardown)

/* A path may have to be shorter than the host's longest. */
static void test_short_path(void **state unused_param)
{
	const struct param p = { .name = "path", .type = PARAM_PATH, .max = 4 };
	char *path = NULL;
	struct error err;

	assert_int_equal(param_assign(&p, &path, "/abc", &err), 0);
	assert_int_equal(param_assign(&p, &path, "/abcd", &err), -EINVAL);
	assert_non_null(strstr(err.msg, "at most 4 bytes"));
	assert_string_equal(path, "/abc");
	free(path);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_defaults),
		TEST(test_every_type),
		TEST(test_quotes),
		TEST(test_brackets),
		TEST(test_shorthand),
		TEST(test_unset_and_last_wins),
		TEST(test_toggles),
		TEST(test_sizes),
		TEST(test_numbers),
		TEST(test_power_of_two),
		TEST(test_other_values),
		TEST(test_unknown_keys),
		TEST(test_empty_items),
		TEST(test_check),
		TEST(test_assign),
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_nearest),
		cmocka_unit_test(test_descriptors),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_looks),
		cmocka_unit_test(test_short_path),
	};

	/* The descriptors that tests name. */
	fresh_fds();
	return cmocka_run_group_tests(tests, NULL, NULL);
}
