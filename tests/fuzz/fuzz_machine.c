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
} fake;

static int fake_answer(struct error *err)
{
	return fake.refuse ? error_set(err, EPERM, "the host refuses") : 0;
}

static int fake_create(struct vm **out,
		       const struct vm_config *config unused_param,
		       struct loop *loop unused_param, struct error *err)
{
	assert(!fake.exists);
	if (fake_answer(err))
		return -EPERM;
	memset(&fake.vm, 0, sizeof(fake.vm));
	list_init(&fake.vm.devices);
	fake.vm.vm_fd = -1;
	fake.exists = true;
	fake.paused = false;
	*out = &fake.vm;
	return 0;
}

static void fake_destroy(struct vm *vm unused_param)
{
	assert(fake.exists);
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
	return fake_verb(vm, err);
}

static int fake_pause(struct vm *vm, struct error *err)
{
	assert(!fake.paused);
	fake.paused = !fake.refuse;
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

static int fake_plug(struct vm *vm,
		     const struct device_class *class unused_param,
		     const void *config unused_param, struct vm_plugged *out,
		     struct error *err)
{
	strcpy(out->bdf, "0000:00:01.0");
	return fake_verb(vm, err);
}

static int fake_unplug(struct vm *vm, const char *id, bool force,
		       struct error *err)
{
	char copy[64];

	if (fake_verb(vm, err))
		return -EPERM;
	snprintf(copy, sizeof(copy), "%s", id);
	if (force)
		vm->on_removed(vm, copy, "0000:00:01.0");
	return 0;
}

static const struct machine_ops fake_ops = {
	.create = fake_create,
	.destroy = fake_destroy,
	.boot = fake_verb,
	.stop = fake_void,
	.reset = fake_reset,
	.pause = fake_pause,
	.resume = fake_resume,
	.nmi = fake_verb,
	.power_button = fake_void,
	.plug = fake_plug,
	.unplug = fake_unplug,
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

static void fuzz_request(struct api *api, unsigned int n)
{
	const char *body = fuzz_requests[n].body;
	bool get = body && strcmp(body, "GET") == 0;
	const struct json_fds fds = { NULL, 0 };
	struct http_request req = { .verb = get ? HTTP_VERB_GET
						: HTTP_VERB_PUT };
	struct api_reply reply;
	struct error err;
	char target[64];
	json_t *value;

	snprintf(target, sizeof(target), "/api/v1/%s", fuzz_requests[n].path);
	req.target = strdup(target);
	if (body && !get) {
		req.body = strdup(body);
		req.body_len = strlen(body);
	}
	api_handle(api, &req, &fds, &reply);
	assert(reply.status == 204 ? !reply.body : !!reply.body);
	if (reply.body) {
		value = json_read_text(reply.body, reply.body_len, &err);
		assert(value);
		assert(json_is_array(value) == (reply.status != 200));
		json_decref(value);
	}
	free(reply.body);
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
		vm->on_event(vm, what ? VM_EVENT_POWEROFF : VM_EVENT_RESET);
		return;
	}
	if (!m->config.nr_devices)
		return;
	snprintf(id, sizeof(id), "%s",
		 machine_device_id(&m->config.devices[0]));
	if (what == 2)
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
	       m->config.nr_devices <= CONFIG_MAX_DEVICES);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct machine m = { .ops = &fake_ops, .on_end = fuzz_on_end };
	struct api api = { .machine = &m, .version = "0" };

	memset(&fake, 0, sizeof(fake));
	machine_init(&m);
	for (size_t i = 0; i < MIN(size, (size_t)512); i++) {
		unsigned int step = data[i] & 0x7f;

		fake.refuse = data[i] & 0x80;
		if (step < ARRAY_SIZE(fuzz_requests))
			fuzz_request(&api, step);
		else if (step >= 0x70)
			fuzz_guest(&m, step & 3);
		fuzz_check(&m);
	}
	machine_fini(&m);
	api_fini(&api);
	assert(!fake.exists);
	return 0;
}
