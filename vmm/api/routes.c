/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/api/routes.h"

#include <errno.h>
#include <malloc.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "vmm/api/json_peer.h"
#include "vmm/jail_outside.h"
#include "vmm/log.h"
#include "vmm/stats.h"
#include "vmm/util.h"

struct api_call {
	struct api *api;
	struct machine *machine;
	const struct api_route *route;
	/* of vm.add-OPTION and vm.set-OPTION; NULL: none */
	const struct device_class *class;
	json_t *body; /* NULL: there is none */
	const struct json_fds *fds;
	struct api_reply *reply;
	struct error *err;
};

enum api_kind {
	API_GET,
	API_PUT,
	API_PUT_BODY,
};

struct api_route {
	enum api_kind kind;
	const char *path; /* behind API_PREFIX */
	const char *failure; /* what could not be done, for a person */
	/* One of these. 0, or -errno as in vmm/machine.h, or -EBADMSG: not such
	 * a body. */
	int (*run)(struct api_call *c);
	int (*verb)(struct machine *m, struct error *err);
	const char *missing; /* this monitor has no such thing */
};

#define API_PREFIX "/api/v1/"
/* Behind that, and then the option of a class: */
#define API_ADD "vm.add-"
#define API_SET "vm.set-"
#define API_LIMIT "rate_limiter_config"
#define API_LARGE_BODY (64 * 1024u) /* bytes */

/* ---- replies ---- */

static void api_reply_json(struct api_reply *reply, unsigned int status,
			   json_t *value)
{
	reply->head.status = status;
	reply->body = value ? json_write_text(value) : NULL;
	reply->head.body_len = reply->body ? strlen(reply->body) : 0;
	json_decref(value);
}

/*
 * A message as all clients can read it: in Cloud Hypervisor's, up to version
 * 51, a text that JSON has to escape makes the whole answer unreadable. What is
 * an option on the command line is a field here.
 */
static json_t *api_text(const char *text)
{
	char plain[sizeof(struct error)], *p = plain;

	if (strncmp(text, "--", 2) == 0)
		text += 2;
	for (; *text && p < plain + sizeof(plain) - 1; text++) {
		if (*text == '"')
			*p++ = '\'';
		else if (*text >= 0x20 && *text < 0x7f && *text != '\\')
			*p++ = *text;
		else if ((*text & 0xc0) != 0x80) /* once a character */
			*p++ = '?';
	}
	*p = '\0';
	return json_string(plain);
}

/* Texts for a person, outermost first; NULL ones are left out. */
static void api_reply_chain(struct api_reply *reply, unsigned int status,
			    const char *a, const char *b, const char *c)
{
	const char *texts[] = { a, b, c };
	json_t *chain = json_array();

	for (unsigned int i = 0; i < ARRAY_SIZE(texts); i++)
		if (texts[i])
			json_array_append_new(chain, api_text(texts[i]));
	api_reply_json(reply, status, chain);
}

void api_reply_error(struct api_reply *reply, unsigned int status,
		     const char *text)
{
	memset(reply, 0, sizeof(*reply));
	api_reply_json(reply, status, json_pack("{s:s}", "error", text));
}

static void api_reply_failure(struct api_reply *reply,
			      const struct api_route *route, int code,
			      const char *why)
{
	static const struct {
		int code;
		unsigned int status;
	} known[] = {
		{ EINVAL, 400 },
		{ ENOENT, 404 },
		{ EEXIST, 409 },
		{ ENOTSUP, 501 },
	};
	unsigned int status = 500;

	if (code == -EBADMSG) {
		api_reply_chain(reply, 400, "Failed to deserialize JSON", why,
				NULL);
		return;
	}
	for (unsigned int i = 0; i < ARRAY_SIZE(known); i++)
		if (code == -known[i].code)
			status = known[i].status;
	api_reply_chain(reply, status, "Error from API", route->failure, why);
}

/* Where a device is. */
static void api_reply_place(struct api_reply *reply,
			    const struct hotplug_place *at)
{
	api_reply_json(reply, 200,
		       json_pack("{s:s,s:s}", "id", at->id, "bdf", at->bdf));
}

/* ---- fields of small bodies ---- */

/* A number at key; *has: it is there. */
static int api_read_number(struct api_call *c, const char *key, bool *has,
			   uint64_t *out)
{
	json_t *value;
	int r = json_get(c->body, key, PEER_UINT, "", &value, c->err);

	*has = value != NULL;
	*out = (uint64_t)json_integer_value(value);
	return r;
}

/* The id, which has to be there. */
static int api_read_id(struct api_call *c, const char **id)
{
	json_t *value;
	int r = json_get(c->body, "id", PEER_STRING, "", &value, c->err);

	if (!r && !value)
		r = error_set(c->err, EBADMSG, "id: is missing");
	*id = json_string_value(value);
	return r;
}

/* ---- the process ---- */

static int route_ping(struct api_call *c)
{
	char build[64];

	snprintf(build, sizeof(build), "v%s", c->api->version);
	api_reply_json(c->reply, 200,
		       json_pack("{s:s,s:s,s:I,s:[]}", "build_version", build,
				 "version", c->api->version, "pid",
				 (json_int_t)jail_pid(), "features"));
	return 0;
}

static int route_vmm_shutdown(struct api_call *c)
{
	/* What there is is torn down at the end. */
	c->api->quit = true;
	c->reply->head.status = 200;
	return 0;
}

/* ---- the machine ---- */

static int route_create(struct api_call *c)
{
	struct vm_config vc;
	int r;

	vm_config_init(&vc);
	r = json_read_config(&vc, c->body, c->fds, c->err);
	if (!r)
		r = machine_create(c->machine, &vc, c->err);
	vm_config_free(&vc);
	return r;
}

static int route_info(struct api_call *c)
{
	struct machine *m = c->machine;

	if (m->state == MACHINE_EMPTY)
		return error_set(c->err, ENOENT, "VM is not created");
	api_reply_json(c->reply, 200,
		       json_pack("{s:o,s:s,s:I}", "config",
				 json_write_config(&m->config), "state",
				 machine_state_name(m), "memory_actual_size",
				 (json_int_t)m->config.memory.size));
	return 0;
}

static int route_resize(struct api_call *c)
{
	struct machine_size size = { 0 };
	uint64_t balloon = 0;
	bool has;
	int r;

	r = api_read_number(c, "desired_vcpus", &size.has_vcpus, &size.vcpus);
	if (!r)
		r = api_read_number(c, "desired_ram", &size.has_ram, &size.ram);
	if (!r)
		r = api_read_number(c, "desired_balloon", &has, &balloon);
	if (r)
		return r;
	if (balloon)
		return error_set(
			c->err, ENOTSUP,
			"desired_balloon: there is no balloon; use desired_ram");
	return machine_resize(c->machine, &size, c->err);
}

/* ---- devices ---- */

static int route_add(struct api_call *c)
{
	struct device_config dc;
	struct hotplug_place at = { .id = "" };
	struct json_fds fds = *c->fds;
	int r = device_config_init(&dc, c->class, c->err);

	fds.for_one = true;
	if (!r)
		r = json_read_device(&dc, c->body, "", &fds, c->err);
	if (!r)
		r = machine_add_device(c->machine, &dc, &at, c->err);
	if (!r && *at.id)
		api_reply_place(c->reply, &at);
	device_config_free(&dc);
	return r;
}

static int route_remove(struct api_call *c)
{
	const char *id;
	json_t *force;
	int r = api_read_id(c, &id);

	if (!r)
		r = json_get(c->body, "force", PEER_BOOL, "", &force, c->err);
	return r ? r
		 : machine_remove_device(c->machine, id, json_is_true(force),
					 c->err);
}

/* Change the device id, of class c->class unless that is NULL, to what stands in
 * body. */
static int api_set(struct api_call *c, const char *id, const json_t *body)
{
	struct machine *m = c->machine;
	int i = machine_find_device(m, id, c->err);
	const struct device_config *dc = &m->config.devices[i < 0 ? 0 : i];
	struct device_config changed;
	int r;

	if (i < 0)
		return i;
	if (!dc->class->set_params || (c->class && c->class != dc->class))
		return error_set(c->err, EINVAL,
				 "id %s: is a %s, which has none of that",
				 error_value(id).text, dc->class->option);
	r = device_config_copy(&changed, dc, c->err);
	if (r)
		return r;
	r = json_read_changes(dc->class->set_params, changed.config, body,
			      c->err);
	if (!r)
		r = param_check(dc->class->params, changed.config, c->err);
	if (!r)
		r = machine_set_device(m, id, &changed, c->err);
	device_config_free(&changed);
	return r;
}

static int route_set(struct api_call *c)
{
	const char *id;
	int r = api_read_id(c, &id);

	return r ? r : api_set(c, id, c->body);
}

/*
 * The part of the body that is about the limits of the device id. They are
 * "rate_limiter_config", and "rx" and "tx" of one that has a limit for each
 * direction; for one that has not, all three are the same.
 */
static int api_pick_limits(struct api_call *c, const char *id,
			   const struct param_set *set, json_t *picked)
{
	static const char *const keys[] = { "rx", "tx", API_LIMIT };

	if (!set || !json_has_key(set, API_LIMIT))
		return error_set(c->err, EINVAL, "id %s: has no rate limit",
				 error_value(id).text);
	for (unsigned int k = 0; k < ARRAY_SIZE(keys); k++) {
		json_t *value = json_object_get(c->body, keys[k]), *old;
		const char *key = json_has_key(set, keys[k]) ? keys[k]
							     : API_LIMIT;

		if (!value || json_is_null(value))
			continue;
		old = json_object_get(picked, key);
		if (old && !json_equal(old, value))
			return error_set(
				c->err, EINVAL,
				"id %s: has one limit for both directions; give one",
				error_value(id).text);
		json_object_set(picked, key, value);
	}
	return json_object_size(picked)
		       ? 0
		       : error_set(c->err, EBADMSG,
				   "give rx, tx or " API_LIMIT);
}

static int route_set_rate_limit(struct api_call *c)
{
	const struct machine *m = c->machine;
	json_t *picked = json_object();
	const char *id;
	int i, r = api_read_id(c, &id);

	i = r ? r : machine_find_device(m, id, c->err);
	r = i < 0 ? i
		  : api_pick_limits(c, id,
				    m->config.devices[i].class->set_params,
				    picked);
	if (!r)
		r = api_set(c, id, picked);
	json_decref(picked);
	return r;
}

static int route_resize_disk(struct api_call *c)
{
	const char *id = NULL;
	uint64_t size = 0;
	bool has;
	int r = api_read_id(c, &id);

	if (!r)
		r = api_read_number(c, "desired_size", &has, &size);
	if (r)
		return r;
	if (!has)
		return error_set(c->err, EBADMSG, "desired_size: is missing");
	return machine_resize_disk(c->machine, id, size, c->err);
}

/* ---- figures ---- */

static int route_counters(struct api_call *c)
{
	if (!c->machine->vm)
		return error_set(c->err, EIO, "VM is not running");
	api_reply_json(c->reply, 200, stats_counters(c->machine->vm));
	return 0;
}

static int route_stats(struct api_call *c)
{
	api_reply_json(c->reply, 200, stats_json(c->machine->vm));
	return 0;
}

static int route_metrics(struct api_call *c)
{
	c->reply->head.status = 200;
	c->reply->head.type = "text/plain; version=0.0.4";
	c->reply->body = stats_prometheus(c->machine->vm);
	c->reply->head.body_len = c->reply->body ? strlen(c->reply->body) : 0;
	return 0;
}

/* ---- the table ---- */

#define ADD_DEVICE "The device could not be added to the VM"

static const struct api_route api_routes[] = {
	{ API_GET, "vmm.ping", "The VMM could not be reached",
	  .run = route_ping },
	{ API_PUT, "vmm.shutdown", "The VMM could not shutdown",
	  .run = route_vmm_shutdown },
	{ API_GET, "vmm.metrics", "The metrics are not available",
	  .run = route_metrics },

	{ API_PUT_BODY, "vm.create", "The VM could not be created",
	  .run = route_create },
	{ API_PUT, "vm.boot", "The VM could not boot", .verb = machine_boot },
	{ API_GET, "vm.info", "The VM info is not available",
	  .run = route_info },
	{ API_PUT, "vm.pause", "The VM could not be paused",
	  .verb = machine_pause },
	{ API_PUT, "vm.resume", "The VM could not resume",
	  .verb = machine_resume },
	{ API_PUT, "vm.reboot", "The VM could not reboot",
	  .verb = machine_reboot },
	{ API_PUT, "vm.shutdown", "The VM could not shutdown",
	  .verb = machine_shutdown },
	{ API_PUT, "vm.delete", "The VM could not be deleted",
	  .verb = machine_delete },
	{ API_PUT, "vm.power-button", "Error triggering power button",
	  .verb = machine_power_button },
	{ API_PUT, "vm.nmi", "Error triggering NMI", .verb = machine_nmi },
	{ API_PUT_BODY, "vm.resize", "The VM could not be resized",
	  .run = route_resize },
	{ API_GET, "vm.counters", "The VM info is not available",
	  .run = route_counters },
	{ API_GET, "vm.stats", "The VM stats are not available",
	  .run = route_stats },

	{ API_PUT_BODY, "vm.remove-device",
	  "The device could not be removed from the VM", .run = route_remove },
	{ API_PUT_BODY, "vm.resize-disk", "The disk could not be resized",
	  .run = route_resize_disk },
	{ API_PUT_BODY, "vm.set-rate-limit", "The rate limit could not be set",
	  .run = route_set_rate_limit },

	{ API_PUT_BODY, "vm.add-disk", "The disk could not be added to the VM",
	  .run = route_add },
	{ API_PUT_BODY, "vm.add-net",
	  "The network device could not be added to the VM", .run = route_add },
	{ API_PUT_BODY, "vm.add-fs", "The fs could not be added to the VM",
	  .run = route_add },
	{ API_PUT_BODY, "vm.add-vsock",
	  "The vsock device could not be added to the VM", .run = route_add },
	{ API_PUT_BODY, "vm.add-device", ADD_DEVICE, .missing = "VFIO" },
	{ API_PUT_BODY, "vm.add-user-device", ADD_DEVICE,
	  .missing = "vfio-user" },
	{ API_PUT_BODY, "vm.add-vdpa",
	  "The vDPA device could not be added to the VM", .missing = "vDPA" },
	{ API_PUT_BODY, "vm.add-pmem",
	  "The pmem device could not be added to the VM", .missing = "pmem" },
	{ API_PUT_BODY, "vm.add-generic-vhost-user", ADD_DEVICE,
	  .missing = "vhost-user" },
	{ API_PUT_BODY, "vm.snapshot", "The VM could not be snapshotted",
	  .missing = "Saving a machine's state" },
	{ API_PUT_BODY, "vm.restore", "The VM could not be restored",
	  .missing = "Restoring a machine's state" },
	{ API_PUT_BODY, "vm.resize-zone",
	  "The memory zone could not be resized",
	  .missing = "Resizing a memory zone" },
	{ API_PUT_BODY, "vm.coredump", "The VM could not be coredumped",
	  .missing = "A core dump of the guest" },
	{ API_PUT_BODY, "vm.send-migration", "The VM could not be migrated",
	  .missing = "Migration" },
	{ API_PUT_BODY, "vm.receive-migration", "The VM could not be migrated",
	  .missing = "Migration" },
};

/* A class that the table does not know. */
static const struct api_route api_add_route = {
	.kind = API_PUT_BODY,
	.failure = ADD_DEVICE,
	.run = route_add,
};

static const struct api_route api_set_route = {
	.kind = API_PUT_BODY,
	.failure = "The device could not be changed",
	.run = route_set,
};

/* The class whose option stands behind prefix; NULL: there is none. */
static const struct device_class *api_find_class(const char *path,
						 const char *prefix)
{
	if (strncmp(path, prefix, strlen(prefix)) != 0)
		return NULL;
	path += strlen(prefix);
	for (unsigned int i = 0; device_classes[i]; i++)
		if (strcmp(device_classes[i]->option, path) == 0)
			return device_classes[i];
	return NULL;
}

/* What is meant; c->route stays NULL when there is no such thing. */
static void api_find(struct api_call *c, const char *target)
{
	if (strncmp(target, API_PREFIX, strlen(API_PREFIX)) != 0)
		return;
	target += strlen(API_PREFIX);
	c->class = api_find_class(target, API_SET);
	if (c->class && c->class->set_params)
		c->route = &api_set_route;
	else
		c->class = api_find_class(target, API_ADD);
	if (c->class && !c->route)
		c->route = &api_add_route;
	for (unsigned int i = 0; i < ARRAY_SIZE(api_routes); i++)
		if (strcmp(api_routes[i].path, target) == 0)
			c->route = &api_routes[i];
}

static int api_run(struct api_call *c, const struct http_request *req)
{
	if (req->body) {
		c->body = json_read_text(req->body, req->body_len, c->err);
		if (!c->body)
			return -EBADMSG;
		if (!json_is_object(c->body))
			return error_set(c->err, EBADMSG,
					 "the body must be an object");
	}
	if (c->class && c->route->missing)
		return route_add(c);
	if (c->route->missing)
		return error_set(c->err, ENOTSUP,
				 "%s is not supported by this monitor",
				 c->route->missing);
	return c->route->run ? c->route->run(c)
			     : c->route->verb(c->machine, c->err);
}

bool api_must_wait(const struct api *api, const struct http_request *req)
{
	struct api_call c = { .route = NULL };

	if (!machine_is_busy(api->machine))
		return false;
	api_find(&c, req->target);
	return c.route && c.route->kind != API_GET &&
	       c.route->run != route_vmm_shutdown;
}

void api_handle(struct api *api, const struct http_request *req,
		const struct json_fds *fds, struct api_reply *reply)
{
	struct error err = { "" };
	struct api_call c = { .api = api,
			      .machine = api->machine,
			      .fds = fds,
			      .reply = reply,
			      .err = &err };
	bool get = req->verb == HTTP_VERB_GET;
	int r;

	memset(reply, 0, sizeof(*reply));
	api_find(&c, req->target);
	if (req->verb == HTTP_VERB_OTHER ||
	    (c.route && c.route->run == route_create && !get && !req->body)) {
		/* Like the peer: it says nothing of these. */
		reply->head.status = 400;
	} else if (!c.route) {
		api_reply_chain(reply, 404, "Not Found", NULL, NULL);
	} else if ((c.route->kind == API_GET) != get ||
		   (c.route->kind == API_PUT_BODY) != (req->body != NULL)) {
		api_reply_chain(reply, 400, "Bad Request", NULL, NULL);
	} else {
		r = api_run(&c, req);
		if (r == MACHINE_LATER) {
			reply->ticket = api->machine->last_ticket;
			reply->route = c.route;
		} else if (r) {
			api_reply_failure(reply, c.route, r, err.msg);
		} else if (!reply->head.status) {
			reply->head.status = 204;
		}
	}
	json_decref(c.body);
	/* A tree of values is many times as large as its text: give the memory
	 * of a large one back. */
	if (req->body_len > API_LARGE_BODY)
		malloc_trim(0);
	log_debug("%s: %u", req->target, reply->head.status);
}

/* ---- replies that come later ---- */

void api_reply_done(struct api_reply *reply, int r, const struct error *err,
		    const struct hotplug_place *at)
{
	reply->ticket = 0;
	reply->head.status = 204;
	if (r)
		api_reply_failure(reply, reply->route, r, err->msg);
	else if (at)
		api_reply_place(reply, at);
}

void api_reply_ending(struct api_reply *reply)
{
	memset(reply, 0, sizeof(*reply));
	api_reply_chain(reply, 500, "Error from API", "The monitor is ending",
			NULL);
}
