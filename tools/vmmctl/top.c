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
#include "vmm/loop.h"
#include "vmm/util.h"

/* ---- one screen ---- */

/* What is between two answers to vm.stats. */
struct top_span {
	const json_t *before, *now;
	double seconds;
};

static uint64_t top_number(const json_t *stats, const char *group,
			   const char *owner, const char *name)
{
	json_t *obj = json_object_get(stats, group);

	if (owner)
		obj = json_object_get(obj, owner);
	return (uint64_t)json_integer_value(json_object_get(obj, name));
}

/* A restarted counter did not grow. */
static double top_growth(const struct top_span *s, uint64_t before,
			 uint64_t now)
{
	return now > before && s->seconds > 0
		       ? (double)(now - before) / s->seconds
		       : 0;
}

/* How much a figure grew in a second; 0 for an owner that is new. */
static double top_rate(const struct top_span *s, const char *group,
		       const char *owner, const char *name)
{
	if (!json_object_get(json_object_get(s->before, group), owner))
		return 0;
	return top_growth(s, top_number(s->before, group, owner, name),
			  top_number(s->now, group, owner, name));
}

static void top_show_head(FILE *out, const json_t *info, const json_t *now)
{
	const char *state = json_string_value(json_object_get(info, "state"));
	json_t *size = json_object_get(info, "memory_actual_size");
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

	fputs("machine ", out);
	table_put_text(out, state ? state : "none");
	fprintf(out, ", memory %s:",
		table_bytes_text((uint64_t)json_integer_value(size), text,
				 sizeof(text)));
	for (unsigned int i = 0; i < ARRAY_SIZE(parts); i++)
		fprintf(out, "%s %s %s", i ? "," : "", parts[i].text,
			table_bytes_text(
				top_number(now, "memory", NULL, parts[i].name),
				text, sizeof(text)));
	fputs("\n\n", out);
}

static uint64_t top_exits(const json_t *stats, const char *vcpu)
{
	json_t *kinds = json_object_get(json_object_get(stats, "exits"), vcpu);
	uint64_t sum = 0;
	const char *kind;
	json_t *v;

	json_object_foreach (kinds, kind, v)
		sum += (uint64_t)json_integer_value(v);
	return sum;
}

static void top_show_name(FILE *out, const char *name)
{
	table_put_text(out, name);
	fprintf(out, "%*s", MAX(20 - (int)strlen(name), 0), "");
}

static void top_show_thread(FILE *out, const struct top_span *s,
			    const char *name)
{
	uint64_t e0 = top_exits(s->before, name), e1 = top_exits(s->now, name);
	double percent_ns = 1e7; /* of a second */

	top_show_name(out, name);
	fprintf(out, " %7.1f %7.1f",
		top_rate(s, "threads", name, "cpu_ns") / percent_ns,
		top_rate(s, "threads", name, "wait_ns") / percent_ns);
	if (e1)
		fprintf(out, " %11.0f", top_growth(s, e0, e1));
	fputc('\n', out);
}

static void top_show_threads(FILE *out, const struct top_span *s)
{
	json_t *threads = json_object_get(s->now, "threads"), *v;
	const char *name;

	fprintf(out, "%-20s %7s %7s %11s\n", "THREAD", "CPU %", "WAIT %",
		"EXITS/s");
	/* vCPUs first: they are the guest's, the others are our cost. */
	for (int others = 0; others < 2; others++)
		json_object_foreach (threads, name, v)
			if ((strncmp(name, "vcpu", 4) != 0) == others)
				top_show_thread(out, s, name);
}

/*
 * What is shown of a kind of device, the first of whose counters it has the
 * first one: how much four grew in a second, and the value of three, of which
 * one with a '*' behind it is the sum of all that begin so.
 */
static const struct top_kind {
	const char *title;
	const char *heads[7], *rates[4], *levels[3];
} top_kinds[] = {
	{ "SHARE",
	  { "REQS/s", "OPENS/s", "READ B/s", "WRITE B/s", "INODES", "FILES",
	    "ERRORS" },
	  { "requests", "opens", "read_bytes", "write_bytes" },
	  { "inodes", "open_files", "errors" } },
	{ "DISK",
	  { "READS/s", "B/s", "WRITES/s", "B/s", "READ us", "WRITE us",
	    "ERRORS" },
	  { "read_ops", "read_bytes", "write_ops", "write_bytes" },
	  { "read_latency_avg", "write_latency_avg", "errors" } },
	{ "NETWORK",
	  { "RX/s", "RX B/s", "TX/s", "TX B/s", "RX DROPS", "TX DROPS",
	    "ERRORS" },
	  { "rx_frames", "rx_bytes", "tx_frames", "tx_bytes" },
	  { "rx_drop*", "tx_drop*", "errors" } },
	{ "VSOCK",
	  { "RX/s", "RX B/s", "TX/s", "TX B/s", "CONNS", "REFUSED", "RESETS" },
	  { "rx_packets", "rx_bytes", "tx_packets", "tx_bytes" },
	  { "connections", "refused", "resets_*" } },
};

static const struct top_kind *top_kind_of(const json_t *device)
{
	for (unsigned int i = 0; i < ARRAY_SIZE(top_kinds); i++)
		if (json_object_get(device, top_kinds[i].rates[0]))
			return &top_kinds[i];
	return NULL;
}

static uint64_t top_level(const json_t *device, const char *name)
{
	size_t len = strcspn(name, "*");
	uint64_t sum = 0;
	const char *key;
	json_t *v;

	if (!name[len])
		return (uint64_t)json_integer_value(
			json_object_get(device, name));
	json_object_foreach ((json_t *)(uintptr_t)device, key, v)
		if (strncmp(key, name, len) == 0)
			sum += (uint64_t)json_integer_value(v);
	return sum;
}

static void top_show_device(FILE *out, const struct top_span *s,
			    const struct top_kind *kind, const char *id,
			    const json_t *device)
{
	char text[32];

	top_show_name(out, id);
	for (unsigned int i = 0; i < ARRAY_SIZE(kind->rates); i++) {
		double rate = top_rate(s, "devices", id, kind->rates[i]);

		fprintf(out, " %8s",
			table_bytes_text((uint64_t)(rate + 0.5), text,
					 sizeof(text)));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(kind->levels); i++)
		fprintf(out, " %8llu",
			(unsigned long long)top_level(device, kind->levels[i]));
	fputc('\n', out);
}

static void top_show_heads(FILE *out, const struct top_kind *kind)
{
	fprintf(out, "\n%-20s", kind->title);
	for (unsigned int i = 0; i < ARRAY_SIZE(kind->heads); i++)
		fprintf(out, " %8s", kind->heads[i]);
	fputc('\n', out);
}

static void top_show_kind(FILE *out, const struct top_span *s,
			  const struct top_kind *kind)
{
	bool any = false;
	const char *id;
	json_t *v;

	json_object_foreach (json_object_get(s->now, "devices"), id, v) {
		if (top_kind_of(v) != kind)
			continue;
		if (!any)
			top_show_heads(out, kind);
		any = true;
		top_show_device(out, s, kind, id, v);
	}
}

void top_show(FILE *out, const json_t *info, const json_t *before,
	      const json_t *now, uint64_t elapsed_ns)
{
	const struct top_span s = { before, now, (double)elapsed_ns / 1e9 };

	top_show_head(out, info, now);
	top_show_threads(out, &s);
	for (unsigned int i = 0; i < ARRAY_SIZE(top_kinds); i++)
		top_show_kind(out, &s, &top_kinds[i]);
}

/* ---- asking ---- */

static volatile sig_atomic_t top_stopped;

static void top_on_signal(int sig unused_param)
{
	top_stopped = 1;
}

/* *out is NULL when the monitor refuses: there is no machine. */
static int top_get(const struct ctl *ctl, const char *verb, json_t **out,
		   struct error *err)
{
	const struct client_request req = { .socket = ctl->socket,
					    .get = true,
					    .verb = verb };
	struct client_reply reply;
	int r = client_ask(&req, &reply, err);

	*out = NULL;
	if (!r && reply.status == 200)
		*out = json_read_text(reply.body, reply.len, err);
	free(reply.text);
	return r;
}

static int top_loop(const struct ctl *ctl, bool screen, struct error *err)
{
	const struct timespec second = { 1, 0 };
	json_t *info, *before = NULL, *now;
	uint64_t before_ns = 0, now_ns;
	bool shown;
	int r;

	do {
		now = NULL;
		r = top_get(ctl, "vm.info", &info, err);
		if (!r)
			r = top_get(ctl, "vm.stats", &now, err);
		now_ns = loop_now_ns();
		if (!r && !now)
			r = error_set(err, EPROTO,
				      "the monitor has no vm.stats");
		shown = !r && before;
		if (shown) {
			/* Home, clear below: no flicker as with a cleared
			 * screen. */
			fputs(screen ? "\033[H\033[J" : "", stdout);
			top_show(stdout, info, before, now, now_ns - before_ns);
			fputs(screen ? "\nCtrl-C ends\n" : "", stdout);
			fflush(stdout);
		}
		json_decref(info);
		json_decref(before);
		before = now;
		before_ns = now_ns;
		/* A signal ends the wait early. */
	} while (!r && !(shown && ctl->once) && !nanosleep(&second, NULL) &&
		 !top_stopped);
	json_decref(before);
	return r;
}

int top_run(const struct ctl *ctl, int argc, unused_param char **argv,
	    struct error *err)
{
	const struct sigaction stop = { .sa_handler = top_on_signal };
	bool screen = !ctl->once && isatty(STDOUT_FILENO);
	int r;

	if (argc > 1) {
		error_set(err, EINVAL, "'%s': takes --once and nothing else",
			  error_value(argv[1]).text);
		return CTL_USAGE;
	}
	sigaction(SIGINT, &stop, NULL);
	sigaction(SIGTERM, &stop, NULL);
	/* The alternate screen, without a cursor; and back. */
	fputs(screen ? "\033[?1049h\033[?25l" : "", stdout);
	r = top_loop(ctl, screen, err);
	fputs(screen ? "\033[?25h\033[?1049l" : "", stdout);
	return r && !top_stopped ? CTL_FAILED : CTL_OK;
}
