/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "tools/vmmctl/follow.h"

#include <fcntl.h>
#include <jansson.h>
#include <string.h>
#include <sys/stat.h>
#include <time.h>
#include <unistd.h>

#include "tools/vmmctl/table.h"
#include "vmm/api/json.h"
#include "vmm/util.h"

/*
 * The stream of --event-monitor: JSON objects with an empty line behind each.
 * A pipe ends with its writer; a file is looked at again and again.
 */

#define FOLLOW_MAX (256 * 1024u) /* bytes of one event */
#define FOLLOW_WAIT_NS 100000000 /* between looks at a file */

/* ---- one event ---- */

static void follow_put_line(json_t *event, const char *source, const char *name,
			    FILE *out)
{
	long long secs = 0, nanos = 0;
	json_t *props = json_object_get(event, "properties"), *v;
	const char *key;

	json_unpack(event, "{s:{s:I,s:I}}", "timestamp", "secs", &secs, "nanos",
		    &nanos);
	fprintf(out, "%6lld.%06lld  ", secs, nanos / 1000);
	table_put_text(out, source);
	fputc(' ', out);
	table_put_text(out, name);
	json_object_foreach (props, key, v) {
		fputc(' ', out);
		table_put_text(out, key);
		fputc('=', out);
		table_put_text(out, json_string_value(v));
	}
}

int follow_put_event(const char *text, size_t len, bool json, FILE *out)
{
	json_t *event = json_read_text(text, len, NULL);
	const char *source, *name;
	int r;

	if (json_unpack(event, "{s:s,s:s}", "source", &source, "event",
			&name)) {
		json_decref(event);
		return -EINVAL;
	}
	r = strcmp(source, "vmm") == 0 && strcmp(name, "shutdown") == 0;
	if (json)
		json_dumpf(event, out, JSON_COMPACT | JSON_ENSURE_ASCII);
	else
		follow_put_line(event, source, name, out);
	fputc('\n', out);
	fflush(out);
	json_decref(event);
	return r;
}

/* ---- the stream ---- */

struct follow {
	int fd;
	bool json;
	size_t len;
	char buf[FOLLOW_MAX];
};

/* Show the whole events in the buffer. 1 after the last one. */
static int follow_take(struct follow *f)
{
	char *end;

	while ((end = memmem(f->buf, f->len, "\n\n", 2)) != NULL) {
		size_t len = (size_t)(end - f->buf);
		int r = follow_put_event(f->buf, len, f->json, stdout);

		if (r < 0)
			fputs("vmmctl: events: left out what is no event\n",
			      stderr);
		f->len -= len + 2;
		memmove(f->buf, end + 2, f->len);
		if (r == 1)
			return 1;
	}
	/* Longer than any event. */
	if (f->len == sizeof(f->buf))
		f->len = 0;
	return 0;
}

/* There is no more for now. A file may grow, or begin anew when the monitor was
 * started again. False: a pipe has ended. */
static bool follow_wait(struct follow *f)
{
	const struct timespec wait = { 0, FOLLOW_WAIT_NS };
	struct stat st;

	if (fstat(f->fd, &st) || !S_ISREG(st.st_mode))
		return false;
	if (st.st_size < lseek(f->fd, 0, SEEK_CUR)) {
		lseek(f->fd, 0, SEEK_SET);
		f->len = 0;
	}
	nanosleep(&wait, NULL);
	return true;
}

static int follow_stream(struct follow *f, struct error *err)
{
	ssize_t n;

	while (!follow_take(f)) {
		n = read(f->fd, f->buf + f->len, sizeof(f->buf) - f->len);
		if (n < 0)
			return error_set(err, errno, "%s", strerror(errno));
		if (n == 0 && !follow_wait(f))
			return 0;
		f->len += (size_t)n;
	}
	return 0;
}

int follow_run(const struct ctl *ctl, int argc, char **argv, struct error *err)
{
	static struct follow f;
	int r;

	if (argc != 2) {
		error_set(err, EINVAL,
			  "takes FILE, as given to --event-monitor; or -");
		return CTL_USAGE;
	}
	f.json = ctl->json;
	f.fd = strcmp(argv[1], "-") == 0 ? STDIN_FILENO
					 : open(argv[1], O_RDONLY | O_CLOEXEC);
	r = f.fd < 0 ? error_set(err, errno, "%s", strerror(errno))
		     : follow_stream(&f, err);
	if (r)
		error_prefix(err, r, "%s", error_value(argv[1]).text);
	close_fd(&f.fd);
	return r ? CTL_FAILED : CTL_OK;
}
