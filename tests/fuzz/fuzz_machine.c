/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "tests/lib/fake_life.h"
#include "vmm/api/routes.h"
#include "vmm/util.h"

/*
 * Input: a byte a step; what clients ask for and what guests do, in any order,
 * on a machine that does nothing and now and then refuses. Checked: the state
 * and the machine behind it agree, replies are well formed, no step is lost.
 */

#define FUZZ_STEPS 512u

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static bool fuzz_ended; /* the guest, for good */
/* Replies that are to come. */
static struct api_reply fuzz_waiting[FUZZ_STEPS];
static unsigned int fuzz_nr_waiting;

static void fuzz_on_end(struct machine *m unused_param,
			enum vm_event event unused_param)
{
	fuzz_ended = true;
}

static const struct {
	const char *path;
	const char *body;
} fuzz_requests[] = {
	{ "vm.create", "{\"payload\":{\"kernel\":\"/proc/self/exe\"},"
		       "\"cpus\":{\"boot_vcpus\":1,\"max_vcpus\":4}}" },
	{ "vm.create", "{\"payload\":{\"kernel\":\"/proc/self/exe\"},"
		       "\"disks\":[{\"path\":\"/a\",\"id\":\"a\"},"
		       "{\"path\":\"/b\"}]}" },
	{ "vm.create", "{\"payload\":{\"kernel\":\"/nonexistent\"}}" },
	{ "vm.boot", NULL },
	{ "vm.pause", NULL },
	{ "vm.resume", NULL },
	{ "vm.reboot", NULL },
	{ "vm.shutdown", NULL },
	{ "vm.resize-disk", "{\"id\":\"a\",\"desired_size\":4096}" },
	{ "vm.delete", NULL },
	{ "vm.nmi", NULL },
	{ "vm.power-button", NULL },
	{ "vm.add-disk", "{\"path\":\"/x\"}" },
	{ "vm.add-disk", "{\"path\":\"/x\",\"id\":\"a\"}" },
	{ "vm.add-disk", "{\"path\":\"/x\",\"id\":\"_disk1\"}" },
	{ "vm.add-disk", "{\"path\":3}" },
	{ "vm.add-net", "{}" },
	{ "vm.remove-device", "{\"id\":\"a\"}" },
	{ "vm.remove-device", "{\"id\":\"a\",\"force\":true}" },
	{ "vm.remove-device", "{\"id\":\"_disk0\"}" },
	{ "vm.remove-device", "{\"id\":\"_disk0\",\"force\":true}" },
	{ "vm.resize", "{\"desired_vcpus\":1}" },
	{ "vm.resize", "{\"desired_vcpus\":4,\"desired_ram\":67108864}" },
	{ "vm.resize", "{\"desired_ram\":536870912}" },
	{ "vm.resize", "{\"desired_ram\":1}" },
	{ "vm.info", "GET" },
	{ "vm.counters", "GET" },
	{ "vm.set-rate-limit", "{\"id\":\"a\",\"rx\":{\"ops\":{\"size\":5}}}" },
	{ "vm.set-rate-limit", "{\"id\":\"_disk0\",\"tx\":{},\"rx\":5}" },
	{ "vm.add-net", "{\"mac\":\"02:00:00:00:00:01\",\"id\":\"n\"}" },
	{ "vm.add-vsock", "{\"cid\":3,\"socket\":\"/s\"}" },
	{ "vm.set-net", "{\"id\":\"n\",\"vlan\":7,\"link\":\"down\"}" },
	{ "vm.remove-device", "{\"id\":\"n\",\"force\":true}" },
};

static void fuzz_check_reply(struct api_reply *reply)
{
	struct error err;
	json_t *value;

	assert(reply->head.status == 204 ? !reply->body : !!reply->body);
	if (reply->body) {
		value = json_read_text(reply->body, reply->head.body_len, &err);
		assert(value);
		assert(json_is_array(value) == (reply->head.status != 200));
		json_decref(value);
	}
	free(reply->body);
}

/* Who added what was on its way waits for the same ticket. */
static void fuzz_on_done(void *opaque unused_param, uint64_t ticket, int r,
			 struct error *err, const struct hotplug_place *at)
{
	unsigned int told = 0;

	assert(ticket);
	for (unsigned int i = fuzz_nr_waiting; i--;) {
		if (fuzz_waiting[i].ticket != ticket)
			continue;
		api_reply_done(&fuzz_waiting[i], r, err, at);
		fuzz_check_reply(&fuzz_waiting[i]);
		fuzz_waiting[i] = fuzz_waiting[--fuzz_nr_waiting];
		told++;
	}
	assert(told);
}

static void fuzz_request(struct api *api, unsigned int n)
{
	const char *body = fuzz_requests[n].body;
	bool get = body && strcmp(body, "GET") == 0;
	const struct json_fds fds = { .nr = 0 };
	struct http_request req = { .verb = get ? HTTP_VERB_GET
						: HTTP_VERB_PUT };
	struct api_reply reply;
	char target[64];

	snprintf(target, sizeof(target), "/api/v1/%s", fuzz_requests[n].path);
	req.target = strdup(target);
	if (body && !get) {
		req.body = strdup(body);
		req.body_len = strlen(body);
	}
	/* The server would have it wait. */
	if (!api_must_wait(api, &req)) {
		api_handle(api, &req, &fds, &reply);
		if (reply.ticket)
			fuzz_waiting[fuzz_nr_waiting++] = reply;
		else
			fuzz_check_reply(&reply);
	}
	http_request_fini(&req);
}

/* What the guest does on its own. */
static void fuzz_guest(struct machine *m, unsigned int what)
{
	struct vm *vm = m->vm;
	char id[64];
	struct hotplug_place was = { .bdf = "0000:00:01.0" };

	if (!vm || m->state == MACHINE_SHUTDOWN)
		return;
	if (what == 0 || what == 1) {
		fake_life.busy = FAKE_IDLE;
		fake_life_stop();
		vm->listener->stopped(vm->opaque, what ? VM_EVENT_POWEROFF
						       : VM_EVENT_RESET);
		return;
	}
	if (what == 2 || what == 3) {
		if (fake_life.nr_coming)
			fake_life_came(what == 2 ? NULL : "late");
		return;
	}
	if (what == 6) {
		vm->listener->hotplug.resized(
			vm->opaque,
			&(struct hotplug_size){ .wanted = 1, .actual = 1 },
			NULL);
		return;
	}
	if (what == 7) {
		vm->listener->hotplug.resized(
			vm->opaque,
			&(struct hotplug_size){ .memory = true,
						.wanted = 64 * MIB,
						.actual = 96 * MIB },
			"late");
		return;
	}
	if (!m->config.nr_devices)
		return;
	snprintf(id, sizeof(id), "%s",
		 *device_config_id(&m->config.devices[0]));
	snprintf(was.id, sizeof(was.id), "%s", id);
	if (fake_life_is_coming(id))
		return;
	vm->listener->hotplug.plugged(vm->opaque, false, &was,
				      what == 4 ? NULL : "late", 0);
}

static void fuzz_check(const struct machine *m)
{
	bool booted = m->state == MACHINE_RUNNING || m->state == MACHINE_PAUSED;

	/* A guest that ended goes with its machine. */
	fuzz_ended = fuzz_ended && m->vm;
	assert(fake_life.exists == (m->vm != NULL));
	assert(!booted || m->vm);
	assert(m->state != MACHINE_CREATED || !m->vm || machine_is_busy(m));
	assert(machine_is_busy(m) == (fake_life.busy != FAKE_IDLE));
	assert(!booted || machine_is_busy(m) ||
	       (fake_life.vm.board.run == BOARD_PAUSED) ==
		       (m->state == MACHINE_PAUSED));
	assert((m->state == MACHINE_SHUTDOWN) == fuzz_ended);
	assert(m->state == MACHINE_EMPTY ||
	       m->config.cpus.boot <= m->config.cpus.max);
	assert(m->state == MACHINE_EMPTY ||
	       m->config.nr_devices <= CONFIG_MAX_DEVICES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine m = { .on_end = fuzz_on_end, .on_done = fuzz_on_done };
	struct api api = { .machine = &m, .version = "0" };

	memset(&fake_life, 0, sizeof(fake_life));
	fuzz_ended = false;
	fuzz_nr_waiting = 0;
	for (size_t i = 0; i < MIN(size, (size_t)FUZZ_STEPS); i++) {
		unsigned int step = data[i] & 0x7f;

		fake_life.refuse = data[i] & 0x80;
		if (step < ARRAY_SIZE(fuzz_requests))
			fuzz_request(&api, step);
		else if (step >= 0x70)
			fuzz_guest(&m, step & 7);
		else if (step >= 0x60)
			fake_life_turn();
		fuzz_check(&m);
	}
	/* Every operation ends, and with the guest every other wait. */
	fake_life_turn();
	fuzz_guest(&m, 1);
	fuzz_check(&m);
	assert(!fuzz_nr_waiting);
	machine_fini(&m);
	assert(!fake_life.exists);
	return 0;
}
