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

#define TOP_COLUMN 20 /* width of names */

/* ---- one screen ---- */

/* What is between two answers to vm.stats. */
struct top_span {
	const json_t *before, *now;
	double seconds;
};

static json_t *top_figures(const json_t *stats, const char *group,
			   const char *owner)
{
	return json_object_get(json_object_get(stats, group), owner);
}

/* The figure called name; with a '*' behind it, the sum of all that begin so. */
static uint64_t top_number(json_t *figures, const char *name)
{
	size_t len = strcspn(name, "*");
	uint64_t sum = 0;
	const char *key;
	json_t *v;

	json_object_foreach (figures, key, v)
		if (strncmp(key, name, name[len] ? len : len + 1) == 0)
			sum += (uint64_t)json_integer_value(v);
	return sum;
}

/* How much a figure grew in a second; 0 for an owner that is new, and for a
 * counter that was restarted. */
static double top_rate(const struct top_span *s, const char *group,
		       const char *owner, const char *name)
{
	json_t *figures = top_figures(s->before, group, owner);
	uint64_t before = top_number(figures, name);
	uint64_t now = top_number(top_figures(s->now, group, owner), name);

	return figures && now > before && s->seconds > 0
		       ? (double)(now - before) / s->seconds
		       : 0;
}

static void top_show_head(FILE *out, const json_t *info, const json_t *now)
{
	const char *state = json_string_value(json_object_get(info, "state"));
	json_t *size = json_object_get(info, "memory_actual_size");
	json_t *memory = json_object_get(now, "memory");
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
			table_bytes_text(top_number(memory, parts[i].name),
					 text, sizeof(text)));
	fputs("\n\n", out);
}

static void top_show_thread(FILE *out, const struct top_span *s,
			    const char *name)
{
	double percent_ns = 1e7; /* of a second */

	table_put_cell(out, name, TOP_COLUMN);
	fprintf(out, " %7.1f %7.1f",
		top_rate(s, "threads", name, "cpu_ns") / percent_ns,
		top_rate(s, "threads", name, "wait_ns") / percent_ns);
	if (top_number(top_figures(s->now, "exits", name), "*"))
		fprintf(out, " %11.0f", top_rate(s, "exits", name, "*"));
	fputc('\n', out);
}

static void top_show_threads(FILE *out, const struct top_span *s)
{
	json_t *threads = json_object_get(s->now, "threads"), *v;
	const char *name;

	fprintf(out, "%-*s %7s %7s %11s\n", TOP_COLUMN, "THREAD", "CPU %",
		"WAIT %", "EXITS/s");
	/* vCPUs first: they are the guest's, the others are our cost. */
	for (int others = 0; others < 2; others++)
		json_object_foreach (threads, name, v)
			if ((strncmp(name, "vcpu", 4) != 0) == others)
				top_show_thread(out, s, name);
}

/* What is shown of a kind of device, the first whose first rate it has: how much
 * four figures grew in a second, and the value of three. */
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

static void top_show_device(FILE *out, const struct top_span *s,
			    const struct top_kind *kind, const char *id,
			    json_t *device)
{
	char text[32];

	table_put_cell(out, id, TOP_COLUMN);
	for (unsigned int i = 0; i < ARRAY_SIZE(kind->rates); i++) {
		double rate = top_rate(s, "devices", id, kind->rates[i]) + 0.5;

		fprintf(out, " %8s",
			table_bytes_text((uint64_t)rate, text, sizeof(text)));
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(kind->levels); i++)
		fprintf(out, " %8llu",
			llu(top_number(device, kind->levels[i])));
	fputc('\n', out);
}

static void top_show_heads(FILE *out, const struct top_kind *kind)
{
	fprintf(out, "\n%-*s", TOP_COLUMN, kind->title);
	for (unsigned int i = 0; i < ARRAY_SIZE(kind->heads); i++)
		fprintf(out, " %8s", kind->heads[i]);
	fputc('\n', out);
}

/* Is it of that kind? A share has what a disk has, too. */
static bool top_is(const json_t *device, const struct top_kind *kind)
{
	const struct top_kind *k = top_kinds;

	while (k < kind && !json_object_get(device, k->rates[0]))
		k++;
	return k == kind && json_object_get(device, k->rates[0]);
}

static void top_show_kind(FILE *out, const struct top_span *s,
			  const struct top_kind *kind)
{
	bool any = false;
	const char *id;
	json_t *v;

	json_object_foreach (json_object_get(s->now, "devices"), id, v) {
		if (!top_is(v, kind))
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
	json_t *before = NULL;
	uint64_t before_ns = 0, now_ns;
	bool shown;
	int r;

	do {
		json_t *info, *now = NULL;

		r = top_get(ctl, "vm.info", &info, err);
		if (!r)
			r = top_get(ctl, "vm.stats", &now, err);
		now_ns = monotonic_ns();
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
	bool screen = !ctl->once && isatty(STDOUT_FILENO);
	int r;

	if (argc > 1) {
		error_set(err, EINVAL, "'%s': takes --once and nothing else",
			  error_value(argv[1]).text);
		return CTL_USAGE;
	}
	signal(SIGINT, top_on_signal);
	signal(SIGTERM, top_on_signal);
	/* The alternate screen, without a cursor; and back. */
	fputs(screen ? "\033[?1049h\033[?25l" : "", stdout);
	r = top_loop(ctl, screen, err);
	fputs(screen ? "\033[?25h\033[?1049l" : "", stdout);
	return r && !top_stopped ? CTL_FAILED : CTL_OK;
}
