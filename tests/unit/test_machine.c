/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/machine.h"

#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "devices/registry.h"
#include "devices/virtio/blk_params.h"
#include "tests/lib/fake_life.h"
#include "vmm/util.h"

/* The states and verbs on a machine that does nothing. */

struct fixture {
	struct machine m;
	struct error err;
	char kernel[32];
	enum vm_event end;
	/* of the last verb that took time */
	uint64_t ticket;
	int result;
	unsigned int nr_done;
	struct hotplug_place at; /* bdf "": it was not about a device */
};

static void on_end(struct machine *m, enum vm_event event)
{
	((struct fixture *)m->opaque)->end = event;
}

static void on_done(void *opaque, uint64_t ticket, int r, struct error *err,
		    const struct hotplug_place *at)
{
	struct fixture *fx = opaque;

	fx->ticket = ticket;
	fx->nr_done++;
	fx->result = r;
	fx->at = at ? *at : (struct hotplug_place){ .bdf = "" };
	assert_true(!r || *err->msg);
}

/* The result of a verb, when all is done that takes time. */
static int wait_for(struct fixture *fx, int r)
{
	if (r != MACHINE_LATER)
		return r;
	fx->ticket = 0;
	fake_life_turn();
	assert_int_equal(fx->ticket, fx->m.last_ticket);
	assert_false(machine_is_busy(&fx->m));
	return fx->result;
}

static int setup(void **state)
{
	struct fixture *fx = calloc(1, sizeof(*fx));
	int fd;

	if (!fx)
		return -1;
	memset(&fake_life, 0, sizeof(fake_life));
	strcpy(fx->kernel, "/tmp/test_machine.XXXXXX");
	fd = mkstemp(fx->kernel);
	if (fd < 0)
		return -1;
	close(fd);
	fx->m.on_end = on_end;
	fx->m.opaque = fx;
	fx->m.on_done = on_done;
	fx->m.watcher = fx;
	*state = fx;
	return 0;
}

static int teardown(void **state)
{
	struct fixture *fx = *state;

	machine_fini(&fx->m);
	assert_false(fake_life.exists);
	unlink(fx->kernel);
	free(fx);
	return 0;
}

static const struct device_class *disk_class(void)
{
	const struct device_class *class = &blk_class;

	assert_non_null(class);
	return class;
}

static struct device_config disk_config(const char *id)
{
	const struct param_set *set = disk_class()->params;
	struct device_config dc;

	assert_int_equal(device_config_init(&dc, disk_class(), NULL), 0);
	if (id)
		assert_int_equal(param_assign(param_find(set, "id"), dc.config,
					      id, NULL),
				 0);
	return dc;
}

static int create(struct fixture *fx)
{
	struct vm_config vc;
	int r;

	vm_config_init(&vc);
	vc.kernel = strdup(fx->kernel);
	vc.cpus.max = 2;
	r = machine_create(&fx->m, &vc, &fx->err);
	vm_config_free(&vc);
	return r;
}

static void boot(struct fixture *fx)
{
	assert_int_equal(create(fx), 0);
	assert_int_equal(wait_for(fx, machine_boot(&fx->m, &fx->err)), 0);
	assert_int_equal(fx->m.state, MACHINE_RUNNING);
}

static int add(struct fixture *fx, const char *id)
{
	struct device_config dc = disk_config(id);
	struct hotplug_place at;
	int r = machine_add_device(&fx->m, &dc, &at, &fx->err);

	assert_true((r >= 0) == !dc.config);
	device_config_free(&dc);
	return r;
}

static void test_states(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = &fx->m;
	struct error *err = &fx->err;

	assert_null(machine_state_name(m));
	assert_int_equal(wait_for(fx, machine_boot(m, err)), -EIO);
	assert_int_equal(wait_for(fx, machine_delete(m, err)), 0);
	boot(fx);
	assert_int_equal(create(fx), -EIO);
	assert_int_equal(wait_for(fx, machine_boot(m, err)), -EIO);
	assert_int_equal(machine_resume(m, err), -EIO);
	assert_int_equal(wait_for(fx, machine_pause(m, err)), 0);
	assert_string_equal(machine_state_name(m), "Paused");
	assert_int_equal(wait_for(fx, machine_pause(m, err)), -EIO);
	assert_int_equal(machine_resume(m, err), 0);
	assert_int_equal(machine_nmi(m, err), arch_has_nmi ? 0 : -EOPNOTSUPP);
	assert_int_equal(machine_power_button(m, err), 0);
	assert_int_equal(wait_for(fx, machine_pause(m, err)), 0);
	assert_int_equal(wait_for(fx, machine_reboot(m, err)), 0);
	assert_string_equal(machine_state_name(m), "Running");
	assert_int_equal(wait_for(fx, machine_shutdown(m, err)), 0);
	assert_string_equal(machine_state_name(m), "Created");
	assert_int_equal(wait_for(fx, machine_pause(m, err)), -EIO);
	assert_int_equal(machine_nmi(m, err), -EIO);
	assert_int_equal(wait_for(fx, machine_boot(m, err)), 0);
	assert_int_equal(wait_for(fx, machine_delete(m, err)), 0);
	assert_int_equal(m->state, MACHINE_EMPTY);
}

/* What the host refuses leaves the state as it was. */
static void test_refusals(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = &fx->m;

	assert_int_equal(create(fx), 0);
	fake_life.refuse = true;
	assert_int_equal(wait_for(fx, machine_boot(m, &fx->err)), -EIO);
	fake_life.refuse = false;
	assert_int_equal(m->state, MACHINE_CREATED);
	assert_int_equal(wait_for(fx, machine_boot(m, &fx->err)), 0);
	fake_life.refuse = true;
	assert_int_equal(wait_for(fx, machine_pause(m, &fx->err)), -EIO);
	fake_life.refuse = false;
	assert_int_equal(m->state, MACHINE_RUNNING);
	assert_int_equal(wait_for(fx, machine_pause(m, &fx->err)), 0);
	assert_int_equal(m->state, MACHINE_PAUSED);
}

struct turn {
	struct loop_timer timer;
	struct loop *loop;
	bool turned;
};

static void on_turn(struct loop_timer *lt)
{
	struct turn *turn = container_of(lt, struct turn, timer);

	turn->turned = true;
	loop_quit(turn->loop);
}

/* What the host lets go of when the machine is gone long since does not end the
 * process. */
static void test_held_and_deleted(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = &fx->m;
	struct turn turn = { .timer.on_expire = on_turn };
	struct error err;

	m->loop = loop_create("main", &err);
	assert_non_null(m->loop);
	turn.loop = m->loop;
	boot(fx);
	fake_life.holds = true;
	assert_int_equal(wait_for(fx, machine_delete(m, &fx->err)), 0);
	assert_int_equal(m->state, MACHINE_EMPTY);
	assert_int_equal(m->nr_ending, 1);
	fake_life_let_go();
	assert_int_equal(m->nr_ending, 0);
	loop_timer_set(m->loop, &turn.timer, 0);
	loop_run(m->loop);
	assert_true(turn.turned);
	loop_destroy(m->loop);
	m->loop = NULL;
}

static void test_guest_ends(void **state)
{
	struct fixture *fx = *state;

	boot(fx);
	fake_life.vm.listener->stopped(fake_life.vm.opaque, VM_EVENT_RESET);
	assert_int_equal(fx->end, VM_EVENT_NONE);
	assert_true(machine_is_busy(&fx->m));
	assert_int_equal(machine_pause(&fx->m, &fx->err), -EIO);
	fake_life_turn();
	assert_false(machine_is_busy(&fx->m));
	assert_int_equal(fx->m.state, MACHINE_RUNNING);
	fake_life.vm.listener->stopped(fake_life.vm.opaque, VM_EVENT_POWEROFF);
	assert_int_equal(fx->end, VM_EVENT_POWEROFF);
	assert_string_equal(machine_state_name(&fx->m), "Shutdown");
	assert_int_equal(machine_pause(&fx->m, &fx->err), -EIO);
	assert_int_equal(machine_boot(&fx->m, &fx->err), -EIO);
	assert_int_equal(wait_for(fx, machine_delete(&fx->m, &fx->err)), 0);
}

/* What the guest does by itself at the moment of a verb. */
static void test_guest_at_once(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = &fx->m;

	boot(fx);
	fake_life_raise(VM_EVENT_RESET);
	assert_int_equal(wait_for(fx, machine_pause(m, &fx->err)), 0);
	assert_int_equal(m->state, MACHINE_PAUSED);
	assert_int_equal(fake_life.vm.board.event, VM_EVENT_NONE);
	assert_int_equal(machine_resume(m, &fx->err), 0);
	fake_life_raise(VM_EVENT_RESET);
	assert_int_equal(wait_for(fx, machine_reboot(m, &fx->err)), 0);
	fake_life_raise(VM_EVENT_POWEROFF);
	assert_int_equal(wait_for(fx, machine_pause(m, &fx->err)), -EIO);
	assert_int_equal(m->state, MACHINE_RUNNING);
	assert_int_equal(machine_shutdown(m, &fx->err), -EIO);
	fake_life_raise(VM_EVENT_RESET);
	assert_int_equal(wait_for(fx, machine_delete(m, &fx->err)), 0);
}

/* While something is under way, all else is refused; a guest that ends takes
 * precedence. */
static void test_busy(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = &fx->m;

	boot(fx);
	assert_int_equal(machine_pause(m, &fx->err), MACHINE_LATER);
	assert_int_equal(machine_pause(m, &fx->err), -EIO);
	assert_non_null(strstr(fx->err.msg, "being paused"));
	assert_int_equal(machine_resume(m, &fx->err), -EIO);
	assert_int_equal(machine_reboot(m, &fx->err), -EIO);
	assert_int_equal(machine_delete(m, &fx->err), -EIO);
	assert_int_equal(add(fx, "a"), -EIO);
	fake_life.busy = FAKE_IDLE; /* given up, for */
	fake_life.vm.listener->stopped(fake_life.vm.opaque, VM_EVENT_STOP);
	assert_int_equal(fx->ticket, m->last_ticket);
	assert_int_equal(fx->result, -EIO);
	assert_int_equal(fx->end, VM_EVENT_STOP);
	assert_false(machine_is_busy(m));
}

/* A reboot that cannot be is the end; a device that the host holds is none for
 * a shutdown. */
static void test_late(void **state)
{
	struct fixture *fx = *state;
	struct machine *m = &fx->m;

	boot(fx);
	fake_life.refuse = true;
	assert_int_equal(wait_for(fx, machine_shutdown(m, &fx->err)), 0);
	assert_int_equal(m->state, MACHINE_CREATED);
	fake_life.refuse = false;
	assert_int_equal(wait_for(fx, machine_boot(m, &fx->err)), 0);
	fake_life.refuse = true;
	assert_int_equal(wait_for(fx, machine_reboot(m, &fx->err)), -EIO);
	assert_int_equal(m->state, MACHINE_SHUTDOWN);
	assert_int_equal(fx->end, VM_EVENT_FAULT);
	fake_life.refuse = false;
}

static void test_ids(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(add(fx, "a"), -ENOENT);
	assert_int_equal(create(fx), 0);
	assert_int_equal(add(fx, "_disk0"), 0);
	assert_int_equal(add(fx, NULL), 0);
	assert_string_equal(*device_config_id(&fx->m.config.devices[1]),
			    "_disk1");
	assert_int_equal(add(fx, "_disk1"), -EEXIST);
	assert_int_equal(add(fx, "__x"), -EINVAL);
	assert_int_equal(add(fx, "a\033b"), -EINVAL);
	/* U+0085, as a terminal may take it, and what is no text at all. */
	assert_int_equal(add(fx, "a\302\205b"), -EINVAL);
	assert_int_equal(add(fx, "a\377b"), -EINVAL);
	assert_int_equal(fx->m.config.nr_devices, 2);
	assert_int_equal(machine_remove_device(&fx->m, "x", false, &fx->err),
			 -ENOENT);
	assert_int_equal(
		machine_remove_device(&fx->m, "_disk0", false, &fx->err), 0);
	assert_int_equal(fx->m.config.nr_devices, 1);
	assert_int_equal(add(fx, "_disk0"), 0);
}

static void test_too_many(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(create(fx), 0);
	for (unsigned int i = 0; i < CONFIG_MAX_DEVICES; i++)
		assert_int_equal(add(fx, NULL), 0);
	assert_int_equal(add(fx, NULL), -EIO);
	assert_non_null(strstr(fx->err.msg, "31"));
}

static void test_plug(void **state)
{
	struct fixture *fx = *state;

	boot(fx);
	assert_int_equal(add(fx, "a"), MACHINE_LATER);
	fake_life_came(NULL);
	assert_int_equal(fx->ticket, fx->m.last_ticket);
	assert_int_equal(fx->result, 0);
	assert_string_equal(fx->at.bdf, "0000:00:05.0");
	fake_life.refuse = true;
	assert_int_equal(add(fx, "b"), -EIO);
	fake_life.refuse = false;
	assert_int_equal(fx->m.config.nr_devices, 1);
	assert_int_equal(add(fx, "b"), MACHINE_LATER);
	assert_int_equal(fx->m.config.nr_devices, 2);
	fake_life_came("late");
	assert_int_equal(fx->ticket, fx->m.last_ticket);
	assert_int_equal(fx->result, -EIO);
	assert_int_equal(fx->m.config.nr_devices, 1);
	/* The id is taken until the guest lets go. */
	assert_int_equal(machine_remove_device(&fx->m, "a", false, &fx->err),
			 0);
	assert_int_equal(add(fx, "a"), -EEXIST);
	fake_life.vm.listener->hotplug.plugged(
		fake_life.vm.opaque, false,
		&(struct hotplug_place){ .id = "a" }, "late", 0);
	assert_int_equal(fx->m.config.nr_devices, 1);
	assert_int_equal(
		wait_for(fx, machine_resize_disk(&fx->m, "a", 4096, &fx->err)),
		0);
	assert_int_equal(wait_for(fx, machine_remove_device(&fx->m, "a", true,
							    &fx->err)),
			 0);
	assert_int_equal(fx->m.config.nr_devices, 0);
	assert_int_equal(add(fx, "a"), MACHINE_LATER);
}

/* Disks of one serial number are one, and of those of another class there is
 * one at most. */
static bool same_serial(const void *a, const void *b)
{
	const struct blk_config *x = a, *y = b;

	return x->serial && y->serial && !strcmp(x->serial, y->serial);
}

static int add_serial(struct fixture *fx, const struct device_class *class,
		      const char *serial, struct hotplug_place *at)
{
	struct device_config dc = disk_config(NULL);
	const struct param *p = param_find(dc.class->params, "serial");
	int r;

	assert_int_equal(param_assign(p, dc.config, serial, &fx->err), 0);
	dc.class = class;
	r = machine_add_device(&fx->m, &dc, at, &fx->err);
	device_config_free(&dc);
	return r;
}

static void test_add_again(void **state)
{
	struct fixture *fx = *state;
	static struct device_class named, single;
	struct hotplug_place at;
	unsigned int nr_done;
	uint64_t first;

	named = single = *disk_class();
	named.is_same = same_serial;
	single.single = true;
	assert_int_equal(create(fx), 0);
	assert_int_equal(add_serial(fx, &named, "1", &at), 0);
	assert_int_equal(add_serial(fx, &named, "1", &at), 0);
	assert_string_equal(at.id, "");
	assert_int_equal(fx->m.config.nr_devices, 1);
	assert_int_equal(wait_for(fx, machine_boot(&fx->m, &fx->err)), 0);
	assert_int_equal(add_serial(fx, &named, "1", &at), 0);
	assert_string_equal(at.id, "_disk0");
	assert_string_equal(at.bdf, "0000:00:05.0");
	/* Both requests for what comes are answered, by the ticket of the
	 * first, well or not. */
	for (unsigned int i = 0; i < 2; i++) {
		assert_int_equal(add_serial(fx, &named, "2", &at),
				 MACHINE_LATER);
		first = fx->m.last_ticket;
		assert_int_equal(add_serial(fx, &named, "2", &at),
				 MACHINE_LATER);
		assert_int_equal(fx->m.last_ticket, first);
		assert_int_equal(fx->m.config.nr_devices, 2);
		nr_done = fx->nr_done;
		fake_life_came(i ? NULL : "late");
		assert_int_equal(fx->nr_done, nr_done + 1);
		assert_int_equal(fx->ticket, first);
		assert_int_equal(fx->result, i ? 0 : -EIO);
		assert_string_equal(fx->at.id, "_disk1");
	}
	assert_int_equal(add_serial(fx, &single, "1", &at), MACHINE_LATER);
	assert_int_equal(add_serial(fx, &single, "2", &at), -EEXIST);
	assert_int_equal(fx->m.config.nr_devices, 3);
	fake_life_came(NULL);
	assert_int_equal(add_serial(fx, &single, "2", &at), -EEXIST);
	/* One that is on its way out does not come again by itself. */
	assert_int_equal(
		machine_remove_device(&fx->m, "_disk0", true, &fx->err),
		MACHINE_LATER);
	assert_int_equal(add_serial(fx, &named, "1", &at), -EIO);
}

/* A changed copy of the configuration of device 0. */
static int set(struct fixture *fx, const char *serial)
{
	struct device_config *dc = &fx->m.config.devices[0];
	struct device_config changed;
	const struct param *p = param_find(dc->class->params, "serial");
	int r;

	assert_int_equal(device_config_copy(&changed, dc, &fx->err), 0);
	assert_int_equal(param_assign(p, changed.config, serial, &fx->err), 0);
	r = machine_set_device(&fx->m, "a", &changed, &fx->err);
	device_config_free(&changed);
	return r;
}

static const char *serial(struct fixture *fx)
{
	struct device_config *dc = &fx->m.config.devices[0];
	const struct param *p = param_find(dc->class->params, "serial");

	return *(char **)((char *)dc->config + p->offset);
}

static void test_set_device(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(machine_set_device(&fx->m, "a", NULL, &fx->err),
			 -ENOENT);
	assert_int_equal(create(fx), 0);
	assert_int_equal(machine_set_device(&fx->m, "a", NULL, &fx->err),
			 -ENOENT);
	assert_int_equal(add(fx, "a"), 0);
	assert_int_equal(set(fx, "one"), 0);
	assert_int_equal(fake_life.nr_set, 0);
	assert_string_equal(serial(fx), "one");
	assert_int_equal(machine_boot(&fx->m, &fx->err), MACHINE_LATER);
	assert_int_equal(set(fx, "two"), -EIO); /* it is busy */
	fake_life_turn();
	assert_int_equal(set(fx, "two"), 0);
	assert_int_equal(fake_life.nr_set, 1);
	fake_life.refuse = true;
	assert_int_equal(set(fx, "three"), -EIO);
	fake_life.refuse = false;
	assert_string_equal(serial(fx), "two");
}

static int resize(struct fixture *fx, uint64_t vcpus, uint64_t ram)
{
	const struct machine_size size = { vcpus != 0, ram != 0, vcpus, ram };

	return machine_resize(&fx->m, &size, &fx->err);
}

static void test_resize(void **state)
{
	struct fixture *fx = *state;

	assert_int_equal(resize(fx, 1, 0), -ENOENT);
	assert_int_equal(create(fx), 0);
	assert_int_equal(resize(fx, 3, 0), -EIO);
	assert_int_equal(resize(fx, 2, 64 * MIB), 0);
	assert_int_equal(fx->m.config.cpus.boot, 2);
	assert_int_equal(fx->m.config.memory.size, 64 * MIB);
	assert_int_equal(resize(fx, 1, 5), -EIO);
	assert_int_equal(fx->m.config.cpus.boot, 2);
	assert_int_equal(wait_for(fx, machine_boot(&fx->m, &fx->err)), 0);
	assert_int_equal(resize(fx, 1, 0), 0);
	assert_int_equal(fake_life.vcpus, 1);
	assert_int_equal(fake_life.memory, 0);
	assert_int_equal(resize(fx, 2, 128 * MIB), 0);
	assert_int_equal(fake_life.vcpus, 2);
	assert_int_equal(fake_life.memory, 128 * MIB);
	/* Memory is refused first, and nothing else was asked for. */
	assert_int_equal(resize(fx, 1, 5), -EINVAL);
	assert_int_equal(fake_life.vcpus, 2);
	fake_life.refuse = true;
	assert_int_equal(resize(fx, 1, 0), -EIO);
}

int main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(test_states),
		TEST(test_refusals),
		TEST(test_guest_ends),
		TEST(test_guest_at_once),
		TEST(test_ids),
		TEST(test_too_many),
		TEST(test_busy),
		TEST(test_late),
		TEST(test_held_and_deleted),
		TEST(test_plug),
		TEST(test_add_again),
		TEST(test_set_device),
		TEST(test_resize),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
