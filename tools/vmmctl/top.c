/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/top.h"

#include <signal.h>
#include <stdlib.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/vmmctl/client.h"
#include "tools/vmmctl/table.h"
#include "vmm/api/json.h"
#include "vmm/util.h"

#define TOP_NS_PER_S 1000000000ull

/* ---- one screen ---- */

static uint64_t top_number(const json_t *group, const char *owner,
			   const char *name)
{
	json_t *member = json_object_get(group, owner);

	return (uint64_t)json_integer_value(json_object_get(member, name));
}

/* How much a figure grew in a second. A new or restarted counter is 0. */
static double top_rate(const json_t *before, const json_t *now,
		       const char *owner, const char *name, uint64_t elapsed_ns)
{
	uint64_t a = top_number(before, owner, name);
	uint64_t b = top_number(now, owner, name);

	if (!json_object_get(before, owner) || b < a || !elapsed_ns)
		return 0;
	return (double)(b - a) * (double)TOP_NS_PER_S / (double)elapsed_ns;
}

static void top_show_head(FILE *out, const json_t *info, const json_t *now)
{
	json_t *memory = json_object_get(now, "memory");
	const char *state = json_string_value(json_object_get(info, "state"));
	static const struct {
		const char *text, *name;
	} parts[] = {
		{ "resident", "guest_rss_bytes" },
		{ "huge", "guest_huge_bytes" },
		{ "file", "guest_file_bytes" },
		{ "vmm", "vmm_private_bytes" },
		{ "page tables", "page_table_bytes" },
	};
	char text[32];
	uint64_t size = (uint64_t)json_integer_value(
		json_object_get(info, "memory_actual_size"));

	fputs("machine ", out);
	table_put_text(out, state ? state : "none");
	fprintf(out,
		", memory %s:", table_bytes_text(size, text, sizeof(text)));
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++) {
		uint64_t v = (uint64_t)json_integer_value(
			json_object_get(memory, parts[i].name));

		fprintf(out, "%s %s %s", i ? "," : "", parts[i].text,
			table_bytes_text(v, text, sizeof(text)));
	}
	fputs("\n\n", out);
}

static uint64_t top_exits(const json_t *stats, const char *vcpu)
{
	json_t *kinds = json_object_get(json_object_get(stats, "exits"), vcpu);
	uint64_t sum = 0;
	const char *kind;
	json_t *v;

	json_object_foreach(kinds, kind, v)
		sum += (uint64_t)json_integer_value(v);
	return sum;
}

static void top_show_name(FILE *out, const char *name)
{
	table_put_text(out, name);
	fprintf(out, "%*s", MAX(20 - (int)strlen(name), 0), "");
}

static void top_show_thread(FILE *out, const char *name, const json_t *before,
			    const json_t *now, uint64_t elapsed_ns)
{
	json_t *t0 = json_object_get(before, "threads");
	json_t *t1 = json_object_get(now, "threads");
	double ns = (double)TOP_NS_PER_S / 100;
	uint64_t e0 = top_exits(before, name), e1 = top_exits(now, name);

	top_show_name(out, name);
	fprintf(out, " %7.1f %7.1f",
		top_rate(t0, t1, name, "cpu_ns", elapsed_ns) / ns,
		top_rate(t0, t1, name, "wait_ns", elapsed_ns) / ns);
	if (e1 && elapsed_ns)
		fprintf(out, " %11.0f",
			(double)(e1 - MIN(e0, e1)) * (double)TOP_NS_PER_S /
				(double)elapsed_ns);
	fputc('\n', out);
}

static void top_show_threads(FILE *out, const json_t *before, const json_t *now,
			     uint64_t elapsed_ns)
{
	json_t *threads = json_object_get(now, "threads"), *v;
	const char *name;

	fprintf(out, "%-20s %7s %7s %11s\n", "THREAD", "CPU %", "WAIT %",
		"EXITS/s");
	/* vCPUs first: they are the guest's, the others are our cost. */
	for (int others = 0; others < 2; others++)
		json_object_foreach(threads, name,
				    v) if ((strncmp(name, "vcpu", 4) != 0) ==
					   others)
			top_show_thread(out, name, before, now, elapsed_ns);
	fputc('\n', out);
}

/* Disks count what is read and written, networks what comes and goes. */
static const struct top_column {
	const char *disk, *net;
} top_columns[] = {
	{ "read_ops", "rx_frames" },
	{ "read_bytes", "rx_bytes" },
	{ "write_ops", "tx_frames" },
	{ "write_bytes", "tx_bytes" },
};

static void top_show_device(FILE *out, const char *id, const json_t *d0,
			    const json_t *d1, uint64_t elapsed_ns)
{
	bool net = json_object_get(json_object_get(d1, id), "rx_bytes");
	char text[32];

	top_show_name(out, id);
	for (unsigned int i = 0; i < ARRAY_SIZE(top_columns); i++) {
		const char *name = net ? top_columns[i].net
				       : top_columns[i].disk;
		double rate = top_rate(d0, d1, id, name, elapsed_ns);

		fprintf(out, " %9s",
			table_bytes_text((uint64_t)(rate + 0.5), text,
					 sizeof(text)));
	}
	fprintf(out, " %7llu %7llu %7llu\n",
		(unsigned long long)top_number(d1, id, "read_latency_avg"),
		(unsigned long long)top_number(d1, id, "write_latency_avg"),
		(unsigned long long)top_number(d1, id, "errors"));
}

void top_show(FILE *out, const json_t *info, const json_t *before,
	      const json_t *now, uint64_t elapsed_ns)
{
	json_t *d0 = json_object_get(before, "devices");
	json_t *d1 = json_object_get(now, "devices"), *v;
	const char *id;

	top_show_head(out, info, now);
	top_show_threads(out, before, now, elapsed_ns);
	fprintf(out, "%-20s %9s %9s %9s %9s %7s %7s %7s\n", "DEVICE", "IN/s",
		"IN B/s", "OUT/s", "OUT B/s", "IN us", "OUT us", "ERRORS");
	json_object_foreach(d1, id, v)
		top_show_device(out, id, d0, d1, elapsed_ns);
}

/* ---- asking ---- */

static volatile sig_atomic_t top_stopped;

static void top_on_signal(int sig unused_param)
{
	top_stopped = 1;
}

static uint64_t top_now_ns(void)
{
	struct timespec ts;

	clock_gettime(CLOCK_MONOTONIC, &ts);
	return (uint64_t)ts.tv_sec * TOP_NS_PER_S + (uint64_t)ts.tv_nsec;
}

/* *out is NULL when the monitor refuses: there is no machine. */
static int top_get(struct client *c, const char *verb, json_t **out,
		   struct error *err)
{
	const struct client_request req = { .get = true, .verb = verb };
	struct client_reply reply;
	int r = client_ask(c, &req, &reply, err);

	*out = NULL;
	if (r)
		return r;
	if (reply.status == 200)
		*out = json_read_text(reply.body, reply.len, err);
	free(reply.body);
	return 0;
}

struct top {
	struct client client;
	json_t *before;
	uint64_t before_ns;
	bool screen; /* stdout is a terminal to draw on */
};

static int top_step(struct top *t, bool show, struct error *err)
{
	json_t *info, *now;
	uint64_t now_ns;
	int r;

	r = top_get(&t->client, "vm.info", &info, err);
	if (r)
		return r;
	r = top_get(&t->client, "vm.stats", &now, err);
	now_ns = top_now_ns();
	if (!r && !now)
		r = error_set(err, EPROTO, "the monitor has no vm.stats");
	if (!r && show) {
		/* Home, clear below: no flicker as with a cleared screen. */
		fputs(t->screen ? "\033[H\033[J" : "", stdout);
		top_show(stdout, info, t->before, now, now_ns - t->before_ns);
		fputs(t->screen ? "\nCtrl-C ends\n" : "", stdout);
		fflush(stdout);
	}
	json_decref(info);
	json_decref(t->before);
	t->before = r ? NULL : now;
	t->before_ns = now_ns;
	return r;
}

static int top_loop(struct top *t, bool once, struct error *err)
{
	const struct timespec second = { 1, 0 };
	int r = top_step(t, false, err);

	while (!r && !top_stopped) {
		/* A signal ends it early. */
		nanosleep(&second, NULL);
		if (top_stopped)
			break;
		r = top_step(t, true, err);
		if (once)
			break;
	}
	json_decref(t->before);
	return r;
}

int top_run(const struct ctl *ctl, int argc, unused_param char **argv,
	    struct error *err)
{
	const struct sigaction stop = { .sa_handler = top_on_signal };
	struct top t = { .screen = !ctl->once && isatty(STDOUT_FILENO) };
	int r;

	if (argc > 1) {
		error_set(err, EINVAL, "'%s': takes --once and nothing else",
			  error_value(argv[1]).text);
		return CTL_USAGE;
	}
	r = client_open(&t.client, ctl->socket, err);
	if (r)
		return CTL_FAILED;
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	/* The alternate screen, without a cursor; and back. */
	fputs(t.screen ? "\033[?1049h\033[?25l" : "", stdout);
	r = top_loop(&t, ctl->once, err);
	fputs(t.screen ? "\033[?25h\033[?1049l" : "", stdout);
	client_close(&t.client);
	return r && !top_stopped ? CTL_FAILED : CTL_OK;
}
