/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "tools/vmmctl/follow.h"
#include "tools/vmmctl/table.h"
#include "tools/vmmctl/verbs.h"
#include "vmm/api/json.h"
#include "vmm/param_text.h"
#include "vmm/util.h"

/* ---- help ---- */

static void ctl_help_verb(const struct verb *v)
{
	char left[192], args[160];

	verbs_args_text(v, args, sizeof(args));
	snprintf(left, sizeof(left), "%s %s", v->name, args);
	param_help_entry(stdout, 2, left, v->help);
	for (unsigned int i = 0; v->set && !v->id && i < v->set->nr_params;
	     i++) {
		const struct param *p = &v->set->params[i];

		param_value_text(p, args, sizeof(args));
		snprintf(left, sizeof(left), "--%s %s", p->name,
			 p->type == PARAM_BOOL ? "" : args);
		param_help_entry(stdout, 6, left, p->help);
	}
}

static void ctl_help(void)
{
	puts("Usage: vmmctl [--api-socket PATH] [--json] VERB [WORD]...\n"
	     "\n"
	     "Asks a vmm that was started with --api-socket.\n"
	     "\n"
	     "Options:\n"
	     "  --api-socket PATH       the monitor's control socket; without it\n"
	     "                          $VMM_API_SOCKET\n"
	     "  --json                  show answers as they came\n"
	     "  -h, --help              show this text, and exit\n"
	     "  -V, --version           show the version, and exit\n"
	     "\n"
	     "Verbs:");
	for (const struct verb *v = verbs_all(); v->name; v++)
		ctl_help_verb(v);
	puts("\nvmm --help lists the keys of devices and of create, vmmctl(1) those of set-*.");
}

/* ---- answers ---- */

static void ctl_put_reason(size_t i, const char *text)
{
	fprintf(stderr, "  %zu: ", i);
	table_put_text(stderr, text);
	fputc('\n', stderr);
}

/* A refusal is a list of reasons, the outermost first; one of the connection
 * itself is an object. */
static int ctl_show_refusal(const struct ctl *ctl, const struct verb *v,
			    const struct client_reply *reply)
{
	json_t *chain = json_read_text(reply->body, reply->len, NULL), *text;
	const char *one = json_string_value(json_object_get(chain, "error"));
	size_t i;

	fprintf(stderr, "vmmctl: %s: the monitor refused (%u)\n", v->name,
		reply->status);
	if (ctl->json)
		table_put_lines(stdout, reply->body);
	json_array_foreach (chain, i, text)
		ctl_put_reason(i, json_string_value(text));
	if (!json_is_array(chain))
		ctl_put_reason(0, one ? one : "it gave no reason");
	json_decref(chain);
	return CTL_FAILED;
}

static int ctl_show(const struct ctl *ctl, const struct verb *v,
		    const struct client_reply *reply)
{
	json_t *value = NULL;

	if (reply->status != 200 && reply->status != 204)
		return ctl_show_refusal(ctl, v, reply);
	if (reply->len && !ctl->json && v->show)
		value = json_read_text(reply->body, reply->len, NULL);
	if (value)
		v->show(value, stdout);
	else
		table_put_lines(stdout, reply->body);
	json_decref(value);
	return CTL_OK;
}

/* ---- requests ---- */

static int ctl_request(const struct ctl *ctl, const struct verb *v, int argc,
		       char **argv, struct error *err)
{
	struct client_request req = { .socket = ctl->socket,
				      .get = v->get,
				      .verb = v->path };
	struct client_reply reply = { 0 };
	char *text = NULL;
	struct body b;
	int status = CTL_FAILED;

	if (body_init(&b, err))
		return CTL_FAILED;
	if (verbs_body(v, &b, argc, argv, err)) {
		body_fini(&b);
		return CTL_USAGE;
	}
	/* A verb that takes no words has no body. */
	if (v->machine || v->class || v->set)
		req.body = text = json_write_text(b.json);
	req.fds = b.fds;
	req.nr_fds = b.nr_fds;
	if (!client_ask(&req, &reply, err))
		status = ctl_show(ctl, v, &reply);
	free(reply.text);
	free(text);
	body_fini(&b);
	return status;
}

static int ctl_run(const struct ctl *ctl, int argc, char **argv)
{
	struct error err = { "" };
	struct nearest near;
	const struct verb *v = verbs_find(argv[0], &near);
	int status;

	if (!v) {
		fprintf(stderr, "vmmctl: %s: there is no such verb; ",
			error_value(argv[0]).text);
		if (near.best)
			fprintf(stderr, "did you mean %s?\n", near.best);
		else
			fputs("--help lists all\n", stderr);
		return CTL_USAGE;
	}
	if (!ctl->socket && v->run != follow_run) {
		fputs("vmmctl: no control socket was named; give --api-socket "
		      "PATH or set VMM_API_SOCKET\n",
		      stderr);
		return CTL_USAGE;
	}
	status = v->run ? v->run(ctl, argc, argv, &err)
			: ctl_request(ctl, v, argc, argv, &err);
	if (*err.msg) {
		fprintf(stderr, "vmmctl: %s: ", v->name);
		table_put_lines(stderr, err.msg);
	}
	return status;
}

/* ---- words ---- */

/* Take our own options out of the words, before the verb or behind it.
 * Returns how many are left, -1 with a message, or 0 when all is done. */
static int ctl_take_options(struct ctl *ctl, int argc, char **argv)
{
	int left = 0;

	for (int i = 1; i < argc; i++) {
		const char *word = argv[i];

		if (strncmp(word, "--api-socket=", 13) == 0) {
			ctl->socket = word + 13;
		} else if (strcmp(word, "--api-socket") == 0) {
			ctl->socket = argv[++i];
			if (!ctl->socket) {
				fputs("vmmctl: --api-socket: has no value; "
				      "write --api-socket PATH\n",
				      stderr);
				return -1;
			}
		} else if (strcmp(word, "--json") == 0) {
			ctl->json = true;
		} else if (strcmp(word, "--once") == 0) {
			ctl->once = true;
		} else if (strcmp(word, "--help") == 0 ||
			   strcmp(word, "-h") == 0) {
			ctl_help();
			return 0;
		} else if (strcmp(word, "--version") == 0 ||
			   strcmp(word, "-V") == 0) {
			puts("vmmctl " VMM_VERSION);
			return 0;
		} else {
			argv[left++] = argv[i];
		}
	}
	argv[left] = NULL;
	if (left)
		return left;
	fputs("vmmctl: which verb? --help lists all\n", stderr);
	return -1;
}

int main(int argc, char **argv)
{
	struct ctl ctl = { .socket = getenv("VMM_API_SOCKET") };
	int left, status;

	if (ctl.socket && !*ctl.socket)
		ctl.socket = NULL;
	left = ctl_take_options(&ctl, argc, argv);
	if (left < 0)
		return CTL_USAGE;
	status = left ? ctl_run(&ctl, left, argv) : CTL_OK;
	if (fflush(stdout) || ferror(stdout)) {
		perror("vmmctl: stdout");
		return CTL_FAILED;
	}
	return status;
}
