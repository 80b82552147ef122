/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include <assert.h>
#include <stddef.h>
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "vmm/api/routes.h"
#include "vmm/util.h"

/*
 * Input: a byte a step; what clients ask for and what guests do, in any order,
 * on a machine that does nothing and now and then refuses. Checked: the state
 * and the machine behind it agree, replies are well formed, no step is lost.
 */

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static struct {
	struct vm vm;
	bool exists, paused, refuse;
	bool ended;
	bool listens;
	/* devices that no driver has bound to yet, requests that wait */
	struct vm_plugged coming[CONFIG_MAX_DEVICES];
	unsigned int nr_coming;
	unsigned int nr_waiting;
} fake;

static int fake_answer(struct error *err)
{
	return fake.refuse ? error_set(err, EPERM, "the host refuses") : 0;
}

/* The first one that comes is there, or not. */
static void fake_came(struct vm *vm, const char *why)
{
	struct vm_plugged at = fake.coming[0];

	assert(fake.nr_coming);
	memmove(&fake.coming[0], &fake.coming[1],
		--fake.nr_coming * sizeof(at));
	vm->on_plugged(vm, &at, why);
}

static int fake_find_coming(const char *id)
{
	for (unsigned int i = 0; i < fake.nr_coming; i++)
		if (!strcmp(fake.coming[i].id, id))
			return (int)i;
	return -1;
}

static int fake_create(struct vm **out,
		       const struct vm_config *config unused_param,
		       struct loop *loop unused_param, struct error *err)
{
	assert(!fake.exists);
	if (fake_answer(err))
		return -EPERM;
	memset(&fake.vm, 0, sizeof(fake.vm));
	list_init(&fake.vm.board.devices);
	fake.vm.kvm.vm_fd = -1;
	fake.exists = true;
	fake.paused = false;
	*out = &fake.vm;
	return 0;
}

static void fake_stop(struct vm *vm)
{
	assert(fake.exists);
	while (fake.nr_coming)
		fake_came(vm, "the guest stopped");
}

static void fake_destroy(struct vm *vm)
{
	fake_stop(vm);
	fake.exists = false;
}

static int fake_verb(struct vm *vm unused_param, struct error *err)
{
	assert(fake.exists);
	return fake_answer(err);
}

static int fake_reset(struct vm *vm, struct error *err)
{
	fake.paused = false;
	fake_stop(vm);
	return fake_verb(vm, err);
}

static int fake_pause(struct vm *vm, struct error *err)
{
	assert(!fake.paused);
	fake.paused = !fake.refuse;
	while (fake.paused && fake.nr_coming)
		fake_came(vm, NULL);
	return fake_verb(vm, err);
}

static int fake_resume(struct vm *vm, struct error *err)
{
	assert(fake.paused);
	fake.paused = fake.refuse;
	return fake_verb(vm, err);
}

static void fake_void(struct vm *vm unused_param)
{
	assert(fake.exists);
}

static int fake_plug(struct vm *vm, const struct device_class *class,
		     const void *config, struct vm_plugged *out,
		     struct error *err)
{
	const struct device_config dc = { .class = class,
					  .config = (void *)(uintptr_t)config };

	if (fake_verb(vm, err))
		return -EPERM;
	strcpy(out->bdf, "0000:00:01.0");
	snprintf(out->id, sizeof(out->id), "%s", machine_device_id(&dc));
	out->pending = !fake.paused && fake.listens;
	if (out->pending)
		fake.coming[fake.nr_coming++] = *out;
	return 0;
}

static int fake_unplug(struct vm *vm, const char *id, bool force,
		       struct error *err)
{
	char copy[64];

	if (fake_verb(vm, err))
		return -EPERM;
	if (fake_find_coming(id) >= 0)
		return error_set(err, EBUSY, "it is still coming");
	snprintf(copy, sizeof(copy), "%s", id);
	if (force)
		vm->on_removed(vm, copy, "0000:00:01.0");
	return 0;
}

static int fake_resize_disk(struct vm *vm, const char *id unused_param,
			    uint64_t bytes unused_param, struct error *err)
{
	return fake_verb(vm, err);
}

static int fake_resize_vcpus(struct vm *vm, unsigned int nr unused_param,
			     struct error *err)
{
	return fake_verb(vm, err);
}

static int fake_resize_memory(struct vm *vm, uint64_t bytes, struct error *err)
{
	if (bytes % MIB)
		return error_set(err, EINVAL, "no multiple");
	return fake_verb(vm, err);
}

static const struct machine_ops fake_ops = {
	.create = fake_create,
	.destroy = fake_destroy,
	.boot = fake_verb,
	.stop = fake_stop,
	.reset = fake_reset,
	.pause = fake_pause,
	.resume = fake_resume,
	.nmi = fake_verb,
	.power_button = fake_void,
	.plug = fake_plug,
	.unplug = fake_unplug,
	.resize_disk = fake_resize_disk,
	.resize_vcpus = fake_resize_vcpus,
	.resize_memory = fake_resize_memory,
};

static void fuzz_on_end(struct machine *m unused_param,
			enum vm_event event unused_param)
{
	fake.ended = true;
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
};

static void fuzz_check_reply(struct api_reply *reply)
{
	struct error err;
	json_t *value;

	assert(reply->status == 204 ? !reply->body : !!reply->body);
	if (reply->body) {
		value = json_read_text(reply->body, reply->body_len, &err);
		assert(value);
		assert(json_is_array(value) == (reply->status != 200));
		json_decref(value);
	}
	free(reply->body);
}

static void fuzz_on_reply(void *opaque unused_param, uint64_t ticket,
			  struct api_reply *reply)
{
	assert(ticket && fake.nr_waiting);
	fake.nr_waiting--;
	fuzz_check_reply(reply);
}

static void fuzz_request(struct api *api, unsigned int n)
{
	const char *body = fuzz_requests[n].body;
	bool get = body && strcmp(body, "GET") == 0;
	const struct json_fds fds = { NULL, 0 };
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
	api_handle(api, &req, &fds, &reply);
	if (reply.ticket)
		fake.nr_waiting++;
	else
		fuzz_check_reply(&reply);
	http_request_fini(&req);
}

/* What the guest does on its own. */
static void fuzz_guest(struct machine *m, unsigned int what)
{
	struct vm *vm = m->vm;
	char id[64];

	if (!vm || m->state == MACHINE_SHUTDOWN)
		return;
	if (what == 0 || what == 1) {
		fake_stop(vm);
		vm->on_event(vm, what ? VM_EVENT_POWEROFF : VM_EVENT_RESET);
		return;
	}
	if (what == 2 || what == 3) {
		if (fake.nr_coming && !fake.paused)
			fake_came(vm, what == 2 ? NULL : "late");
		return;
	}
	if (what == 6) {
		vm->on_resize_done(
			vm, &(struct vm_resize){ .wanted = 1, .actual = 1 });
		return;
	}
	if (what == 7) {
		vm->on_resize_failed(vm,
				     &(struct vm_resize){ .memory = true,
							  .wanted = 64 * MIB,
							  .actual = 96 * MIB },
				     "late");
		return;
	}
	if (!m->config.nr_devices)
		return;
	snprintf(id, sizeof(id), "%s",
		 machine_device_id(&m->config.devices[0]));
	if (fake_find_coming(id) >= 0)
		return;
	if (what == 4)
		vm->on_removed(vm, id, "0000:00:01.0");
	else
		vm->on_remove_failed(vm, id, "late");
}

static void fuzz_check(const struct machine *m)
{
	bool booted = m->state == MACHINE_RUNNING || m->state == MACHINE_PAUSED;

	assert(fake.exists == (m->vm != NULL));
	assert(!booted || m->vm);
	assert(m->state != MACHINE_CREATED || !m->vm);
	assert(!booted || fake.paused == (m->state == MACHINE_PAUSED));
	assert((m->state == MACHINE_SHUTDOWN) == fake.ended);
	assert(m->state == MACHINE_EMPTY ||
	       m->config.cpus.boot <= m->config.cpus.max);
	assert(m->state == MACHINE_EMPTY ||
	       m->config.nr_devices <= CONFIG_MAX_DEVICES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine m = { .ops = &fake_ops, .on_end = fuzz_on_end };
	struct api api;

	memset(&fake, 0, sizeof(fake));
	machine_init(&m);
	api_init(&api, &m, "0");
	api.on_reply = fuzz_on_reply;
	for (size_t i = 0; i < MIN(size, (size_t)512); i++) {
		unsigned int step = data[i] & 0x7f;

		fake.refuse = data[i] & 0x80;
		if (step < ARRAY_SIZE(fuzz_requests))
			fuzz_request(&api, step);
		else if (step >= 0x70)
			fuzz_guest(&m, step & 7);
		else if (step >= 0x60)
			fake.listens = step & 1;
		fuzz_check(&m);
	}
	machine_fini(&m);
	api_fini(&api);
	assert(!fake.exists && !fake.nr_waiting);
	return 0;
}
