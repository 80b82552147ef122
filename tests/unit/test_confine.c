/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* The program's own filters, each tried in a process of its own. */
#include "vmm/confine_table.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <pthread.h>
#include <setjmp.h>
#include <signal.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>
#include <sys/syscall.h>
#include <sys/wait.h>
#include <unistd.h>

#include <cmocka.h>

#include "arch/arch.h"
#include "devices/registry.h"
#include "vmm/log.h"
#include "vmm/syscall_rule.h"
#include "vmm/syscalls.h"
#include "vmm/thread.h"
#include "vmm/util.h"

enum {
	RETURNED = 0,
	REFUSED = 40, /* by the test's own calls, with errno added */
};

static char message[512];

/* ---- a process with filters ---- */

struct trial {
	enum confine_mode mode;
	const char *thread; /* "main": the first one */
	long (*call)(void);
};

static void *trial_run(void *arg)
{
	const struct trial *t = arg;

	errno = 0;
	_exit(t->call() < 0 ? REFUSED + errno : RETURNED);
}

__attribute__((noreturn)) static void trial_child(const struct trial *t, int fd)
{
	pthread_t thread;

	log_init(fd, LOG_WARN);
	if (confine_start(&confine_filters, t->mode) ||
	    (t->mode != CONFINE_NOT && thread_spawn_start()) ||
	    confine_thread("main"))
		_exit(100);
	if (strcmp(t->thread, "main") == 0)
		trial_run((void *)(uintptr_t)t);
	if (thread_start(&thread, t->thread, trial_run, (void *)(uintptr_t)t))
		_exit(101);
	pthread_join(thread, NULL);
	_exit(102);
}

/* What becomes of the process, as wait(2) has it; message: what it said. */
static int try(enum confine_mode mode, const char *thread, long (*call)(void))
{
	const struct trial t = { mode, thread, call };
	size_t len = 0;
	int fds[2], status;
	ssize_t n;
	pid_t pid;

	assert_int_equal(pipe2(fds, O_CLOEXEC), 0);
	pid = fork();
	if (!pid)
		trial_child(&t, fds[1]);
	assert_true(pid > 0);
	close(fds[1]);
	while ((n = read(fds[0], message + len, sizeof(message) - 1 - len)) > 0)
		len += (size_t)n;
	message[len] = '\0';
	close(fds[0]);
	assert_int_equal(waitpid(pid, &status, 0), pid);
	return status;
}

static void ends(const char *thread, long (*call)(void), const char *name)
{
	char text[96];
	int status = try(CONFINE_END, thread, call);

	if (!WIFSIGNALED(status))
		print_error("%s: %s: exit %d\n", thread, name,
			    WEXITSTATUS(status));
	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGSYS);
	snprintf(text, sizeof(text),
		 "vmm: thread %s made a forbidden system call: ", thread);
	assert_non_null(strstr(message, text));
	snprintf(text, sizeof(text), "(%s), at 0x", name);
	assert_non_null(strstr(message, text));
}

static void returns(enum confine_mode mode, const char *thread,
		    long (*call)(void), int code)
{
	int status = try(mode, thread, call);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), code);
	assert_string_equal(message, "");
}

/* ---- calls ---- */

static long call_connect(void)
{
	return syscall(SYS_connect, -1, NULL, 0);
}

static long call_uring_setup(void)
{
	return syscall(SYS_io_uring_setup, 1, NULL);
}

static long call_uring_restrict(void)
{
	return syscall(SYS_io_uring_register, -1, IORING_REGISTER_RESTRICTIONS,
		       NULL, 0);
}

static long call_uring_update(void)
{
	return syscall(SYS_io_uring_register, 9999,
		       IORING_REGISTER_FILES_UPDATE, NULL, 0);
}

static long call_openat2(void)
{
	return syscall(SYS_openat2, -1, "", NULL, 0);
}

static long call_open_by_handle(void)
{
	return syscall(SYS_open_by_handle_at, -1, NULL, 0);
}

static long call_socket(void)
{
	return socket(AF_UNIX, SOCK_STREAM, 0);
}

static long call_setns(void)
{
	return syscall(SYS_setns, -1, 0);
}

static long call_acct(void)
{
	return syscall(SYS_acct, NULL);
}

static long call_unshare(void)
{
	return syscall(SYS_unshare, 0x7fffffff);
}

static long call_clone3(void)
{
	return syscall(SYS_clone3, NULL, 0);
}

static long call_ioctl(void)
{
	return syscall(SYS_ioctl, 0, TIOCSTI, "x");
}

/* The kernel takes the lower half only. */
static long call_ioctl_high(void)
{
	return syscall(SYS_ioctl, -1, 0xffffffff00000000UL | TCGETS, NULL);
}

static long call_mmap(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0) == -1
		       ? -1
		       : 0;
}

static long call_mmap_exec(void)
{
	return syscall(SYS_mmap, NULL, 4096, PROT_READ | PROT_EXEC,
		       MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
}

static long call_mprotect_exec(void)
{
	return syscall(SYS_mprotect, NULL, 0, PROT_EXEC);
}

static long call_abort(void)
{
	abort();
}

/* ---- tests ---- */

static void test_forbidden_call_ends_the_process(void **state unused_param)
{
	ends("main", call_acct, "acct");
	ends("main", call_unshare, "unshare");
	ends("vcpu0", call_acct, "acct");
	ends("vcpu0", call_connect, "connect");
	ends("io12", call_connect, "connect");
	ends("fs0", call_acct, "acct");
	ends("vsock0", call_acct, "acct");
	ends("pool3", call_acct, "acct");
	ends("pages", call_acct, "acct");
}

static void test_arguments_count(void **state unused_param)
{
	ends("vcpu1", call_ioctl, "ioctl");
	ends("main", call_mmap_exec, "mmap");
	ends("io0", call_mprotect_exec, "mprotect");
	returns(CONFINE_END, "io0", call_mmap, RETURNED);
	returns(CONFINE_END, "io0", call_ioctl_high, REFUSED + EBADF);
}

/* What a ring is asked for is not seen, so it is there before the filter. */
static void test_rings(void **state unused_param)
{
	ends("io0", call_uring_setup, "io_uring_setup");
	ends("main", call_uring_setup, "io_uring_setup");
	ends("vcpu0", call_uring_setup, "io_uring_setup");
	ends("pool0", call_uring_setup, "io_uring_setup");
	ends("fs0", call_uring_setup, "io_uring_setup");
	ends("io0", call_uring_restrict, "io_uring_register");
	returns(CONFINE_END, "io0", call_uring_update, REFUSED + EBADF);
}

/* Its flags are in memory: the C library is to use clone(), whose are not. */
static void test_clone3_is_not_there(void **state unused_param)
{
	returns(CONFINE_END, "main", call_clone3, REFUSED + ENOSYS);
	returns(CONFINE_END, "pool0", call_clone3, REFUSED + ENOSYS);
	returns(CONFINE_ERRNO, "vcpu0", call_clone3, REFUSED + ENOSYS);
}

static void test_modes(void **state unused_param)
{
	returns(CONFINE_ERRNO, "main", call_acct, REFUSED + EPERM);
	returns(CONFINE_ERRNO, "io0", call_connect, REFUSED + EPERM);
	/* Made, and the kernel's to judge. */
	returns(CONFINE_LOG, "io0", call_connect, REFUSED + EBADF);
	returns(CONFINE_NOT, "io0", call_connect, REFUSED + EBADF);
}

/* An assertion that fails is not taken for an attack. */
static void test_abort_is_abort(void **state unused_param)
{
	int status = try(CONFINE_END, "vcpu0", call_abort);

	assert_true(WIFSIGNALED(status));
	assert_int_equal(WTERMSIG(status), SIGABRT);
}

/* A thread that no list is for does not run. */
static void test_unknown_thread(void **state unused_param)
{
	int status = try(CONFINE_END, "stranger", call_mmap);

	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), EXIT_FAILURE);
	assert_non_null(strstr(message, "cannot confine"));
}

/* ---- lists ---- */

static bool listed(const struct syscall_rule *rules, unsigned int on,
		   const char *name)
{
	for (; rules && *rules->name; rules++)
		if (rules->on & on && strcmp(rules->name, name) == 0)
			return true;
	return false;
}

static bool allowed(unsigned int on, const char *name)
{
	for (unsigned int i = 0; device_classes[i]; i++)
		if (listed(device_classes[i]->syscalls, on, name))
			return true;
	return listed(syscalls_base, on, name) ||
	       listed(arch_syscalls, on, name);
}

/* In no list at all. */
static void test_never(void **state unused_param)
{
	static const char *const never[] = {
		"add_key",	 "bpf",
		"chroot",	 "clone3",
		"delete_module", "execve",
		"execveat",	 "finit_module",
		"fork",		 "init_module",
		"kexec_load",	 "keyctl",
		"mount",	 "move_mount",
		"open",		 "perf_event_open",
		"pidfd_getfd",	 "pivot_root",
		"pkey_mprotect", "process_vm_writev",
		"ptrace",	 "reboot",
		"setuid",	 "setresuid",
		"shmat",	 "umount2",
		"userfaultfd",	 "vfork",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(never); i++)
		if (allowed(ON_ALL, never[i]))
			fail_msg("%s is listed", never[i]);
	assert_true(allowed(ON_SHARE, "openat"));
}

/* Who runs for longer than it takes to become another. */
static void test_only_spawn(void **state unused_param)
{
	assert_true(allowed(ON_SPAWN, "io_uring_setup"));
	assert_false(allowed(ON_ALL & ~ON_SPAWN, "io_uring_setup"));
}

/* Those that the guest talks to open nothing. */
static void test_guest_facing_threads(void **state unused_param)
{
	static const char *const none[] = {
		"openat", "openat2", "socket",	"connect", "bind",    "clone",
		"unlink", "kill",    "seccomp", "setns",   "unshare",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++)
		if (allowed(ON_VCPU | ON_IO, none[i]))
			fail_msg("%s is listed", none[i]);
}

/* Files are opened by the opener, and of the monitor's threads by those of shared
 * directories alone; spawn hands that on. */
static void test_who_opens(void **state unused_param)
{
	static const char *const opens[] = { "openat", "openat2",
					     "open_by_handle_at", "open_tree" };
	const unsigned int none = ON_MAIN | ON_VCPU | ON_IO | ON_POOL | ON_WORK;

	for (unsigned int i = 0; i < ARRAY_SIZE(opens); i++) {
		assert_true(allowed(ON_SHARE, opens[i]));
		if (allowed(none, opens[i]))
			fail_msg("%s is listed", opens[i]);
	}
	ends("pool0", call_openat2, "openat2");
	ends("pool0", call_open_by_handle, "open_by_handle_at");
	ends("main", call_openat2, "openat2");
	returns(CONFINE_END, "share0", call_openat2, REFUSED + EINVAL);
	ends("share0", call_connect, "connect");
	ends("share12", call_acct, "acct");
}

static unsigned int count_new(const struct syscall_rule *rules, unsigned int on,
			      const char *seen[], unsigned int nr)
{
	for (; rules && *rules->name; rules++) {
		bool is_new = rules->on & on;

		for (unsigned int i = 0; i < nr && is_new; i++)
			is_new = strcmp(seen[i], rules->name) != 0;
		if (is_new)
			seen[nr++] = rules->name;
	}
	return nr;
}

static unsigned int count_role(unsigned int on, const struct device_class *only)
{
	const char *seen[512];
	unsigned int nr = count_new(syscalls_base, on, seen, 0);

	nr = count_new(arch_syscalls, on, seen, nr);
	for (unsigned int i = 0; device_classes[i]; i++)
		if (device_classes[i]->pool != POOL_SHARES &&
		    (!only || only == device_classes[i]))
			nr = count_new(device_classes[i]->syscalls, on, seen,
				       nr);
	return nr;
}

/* Different calls, without those of shared directories: few enough to be read. As
 * `filters --count` has them, and tools/bench confine. */
static void test_each_role_makes_few(void **state unused_param)
{
	const struct syscall_role *role;

	for (role = syscall_roles; *role->name; role++) {
		unsigned int nr = count_role(role->on, NULL);

		/* Where there are no shared directories there is none of
		 * theirs, and spawn's are all of them. */
		if (!(role->on & ON_SHARE) && (nr < 20 || nr > 40))
			fail_msg("%s makes %u", role->name, nr);
	}
	for (unsigned int i = 0; device_classes[i]; i++)
		assert_in_range(count_role(ON_OWN, device_classes[i]), 20, 40);
}

/* The opener has them. */
static void test_no_sockets(void **state unused_param)
{
	static const char *const none[] = {
		"socket", "connect", "bind", "listen", "setns",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(none); i++) {
		assert_true(allowed(ON_OPENER, none[i]));
		if (allowed(ON_MONITOR, none[i]))
			fail_msg("%s is listed", none[i]);
	}
	ends("main", call_connect, "connect");
	ends("pool3", call_connect, "connect");
	ends("fs0", call_connect, "connect");
	ends("share3", call_connect, "connect");
	ends("vsock0", call_socket, "socket");
	ends("pool0", call_socket, "socket");
	ends("pool0", call_setns, "setns");
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_forbidden_call_ends_the_process),
		cmocka_unit_test(test_arguments_count),
		cmocka_unit_test(test_rings),
		cmocka_unit_test(test_clone3_is_not_there),
		cmocka_unit_test(test_modes),
		cmocka_unit_test(test_abort_is_abort),
		cmocka_unit_test(test_unknown_thread),
		cmocka_unit_test(test_never),
		cmocka_unit_test(test_only_spawn),
		cmocka_unit_test(test_guest_facing_threads),
		cmocka_unit_test(test_each_role_makes_few),
		cmocka_unit_test(test_who_opens),
		cmocka_unit_test(test_no_sockets),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
