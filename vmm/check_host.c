/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/check_host.h"

#include <dirent.h>
#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <linux/landlock.h>
#include <linux/magic.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <sched.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/prctl.h>
#include <sys/syscall.h>
#include <sys/vfs.h>
#include <sys/wait.h>
#include <unistd.h>

#include "arch/arch.h"
#include "vmm/jail.h"
#include "vmm/util.h"

/* Below this a guest kernel is interpreted; native ring 0 is 100 times
 * faster, and even KVM inside an emulated host stays above. */
#define SPEED_NATIVE_MIN 20

/* meaning: what the lack of it means; shown only when it lacks. */
__attribute__((format(printf, 5, 6))) static void row(FILE *out,
						      const char *name, bool ok,
						      const char *meaning,
						      const char *fmt, ...)
{
	char value[96];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	fprintf(out, "%-18s %-4s %-26s %s\n", name, ok ? "ok" : "no", value,
		ok ? "" : meaning);
}

/* What all ports need. */
static const struct arch_cap wanted_caps[] = {
	ARCH_CAP(KVM_CAP_USER_MEMORY, "guest memory", true, "no guest can run"),
	ARCH_CAP(KVM_CAP_SIGNAL_MSI, "message interrupts", true,
		 "no device can interrupt"),
	ARCH_CAP(KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd", true,
		 "every request of a device would leave the guest"),
	ARCH_CAP(KVM_CAP_IMMEDIATE_EXIT, "immediate exit", true,
		 "a vCPU cannot be stopped safely"),
	ARCH_CAP(KVM_CAP_NR_MEMSLOTS, "memory slots", true, "no memory"),
	ARCH_CAP(KVM_CAP_MAX_VCPUS, "vCPUs", true, "no vCPU"),
	ARCH_CAP(KVM_CAP_BINARY_STATS_FD, "statistics", false,
		 "no counters of exits and page tables"),
	{ 0 },
};

static bool check_caps(FILE *out, int kvm, const struct arch_cap *wanted)
{
	bool all = true;

	for (; wanted->name; wanted++) {
		int v = wanted->has
				? wanted->has(kvm)
				: ioctl(kvm, KVM_CHECK_EXTENSION, wanted->cap);

		row(out, wanted->name, v > 0, wanted->meaning,
		    v > 1   ? "%d"
		    : v > 0 ? "yes"
			    : "missing",
		    v);
		all &= v > 0 || !wanted->required;
	}
	return all;
}

static bool check_speed(FILE *out, int kvm)
{
	int speed = arch_kernel_speed(kvm);
	bool ok = speed >= SPEED_NATIVE_MIN;

	if (speed < 0)
		row(out, "guest kernel speed", false, "no guest can run", "%s",
		    strerror(-speed));
	else
		row(out, "guest kernel speed", ok,
		    "guest kernels are interpreted (kvm-pvm, no nested virtualisation): Linux does not get through boot",
		    "%d M instructions/s", speed);
	return ok;
}

static bool file_says_yes(const char *path)
{
	cleanup_fd int fd = open(path, O_RDONLY | O_CLOEXEC);
	char c = 'N';

	return fd >= 0 && read(fd, &c, 1) == 1 && (c == 'Y' || c == '1');
}

static void check_facts(FILE *out)
{
	for (const struct arch_fact *fact = arch_facts; fact->name; fact++) {
		bool ok = false;

		for (unsigned int i = 0; i < ARRAY_SIZE(fact->files); i++)
			ok |= fact->files[i] && file_says_yes(fact->files[i]);
		row(out, fact->name, ok, fact->meaning,
		    ok ? "yes" : "not seen");
	}
}

static void check_huge_pages(FILE *out)
{
	char line[64] = "";
	FILE *f = fopen("/sys/kernel/mm/transparent_hugepage/enabled", "re");
	unsigned long reserved = 0;
	char *mode;

	if (f && !fgets(line, sizeof(line), f))
		line[0] = '\0';
	if (f)
		fclose(f);
	mode = strchr(line, '[');
	row(out, "transparent pages", mode && strncmp(mode, "[never", 6) != 0,
	    "guest memory is mapped in 4 KiB pieces: slower page faults",
	    "%.*s", mode ? (int)strcspn(mode + 1, "]") : 7,
	    mode ? mode + 1 : "missing");
	f = fopen("/proc/sys/vm/nr_hugepages", "re");
	if (f && fscanf(f, "%lu", &reserved) != 1)
		reserved = 0;
	if (f)
		fclose(f);
	row(out, "reserved 2M pages", reserved > 0,
	    "--memory hugepages=on needs some in /proc/sys/vm/nr_hugepages",
	    "%lu", reserved);
}

static void check_uring(FILE *out)
{
	/* Linux 5.10: one whose use can be restricted. */
	struct io_uring_params p = { .flags = IORING_SETUP_R_DISABLED };
	int fd = (int)syscall(__NR_io_uring_setup, 1, &p);

	row(out, "io_uring", fd >= 0,
	    "disks and networks fall back to plain calls: slower", "%s",
	    fd >= 0 ? "yes" : strerror(errno));
	close_fd(&fd);
}

static void check_node(FILE *out, const char *name, const char *path,
		       const char *meaning)
{
	bool ok = !access(path, R_OK | W_OK);

	row(out, name, ok, meaning, "%s", ok ? path : strerror(errno));
}

static bool check_kvm(FILE *out)
{
	cleanup_fd int kvm = open("/dev/kvm", O_RDWR | O_CLOEXEC);
	int version;
	bool ok;

	if (kvm < 0) {
		row(out, "/dev/kvm", false,
		    errno == EACCES ? "join the group that owns it, or be root"
				    : arch_kvm_advice,
		    "%s", strerror(errno));
		return false;
	}
	version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	row(out, "/dev/kvm", version == KVM_API_VERSION, "no guest can run",
	    "API version %d", version);
	ok = version == KVM_API_VERSION;
	if (ok) {
		ok = check_caps(out, kvm, wanted_caps);
		ok &= check_caps(out, kvm, arch_caps);
	}
	return check_speed(out, kvm) && ok;
}

/* ---- confinement ---- */

/* Do it in a process that ends then. 0, an errno, or -1: it came to no end. */
static int check_elsewhere(int (*fn)(void *arg), void *arg)
{
	pid_t child = fork();
	int status = 0;

	if (child < 0)
		return errno;
	if (!child)
		_exit(fn(arg));
	if (waitpid(child, &status, 0) != child || !WIFEXITED(status))
		return -1;
	return WEXITSTATUS(status);
}

static int try_unshare(void *flag)
{
	struct error err;

	/* As --jail does it: a user first has a user namespace. */
	if (*(int *)flag != CLONE_NEWUSER && jail_own_users(&err))
		return EPERM;
	return unshare(*(int *)flag) ? errno : 0;
}

/* r: of check_elsewhere(). */
static void row_tried(FILE *out, const char *name, int r, const char *meaning)
{
	row(out, name, !r, meaning, "%s",
	    !r	    ? "yes"
	    : r < 0 ? "no answer"
		    : strerror(r));
}

static void check_namespace(FILE *out, const char *name, int flag,
			    const char *meaning)
{
	row_tried(out, name, check_elsewhere(try_unshare, &flag), meaning);
}

static int try_jail(void *arg unused_param)
{
	const struct jail_config jc = { .on = true };
	struct error err;

	return -jail_enter(&jc, NULL, 0, &err);
}

static void check_jail(FILE *out)
{
	row_tried(out, "jail", check_elsewhere(try_jail, NULL),
		  "--jail fails, and says by what");
	check_namespace(out, "user namespaces", CLONE_NEWUSER,
			"--jail is for root alone");
	check_namespace(out, "network namespaces", CLONE_NEWNET,
			"--jail newnet=on fails");
	check_namespace(out, "process namespaces", CLONE_NEWPID,
			"--jail pid=on fails");
}

static void check_seccomp(FILE *out)
{
	static const struct {
		uint32_t action;
		const char *name;
	} actions[] = {
		{ SECCOMP_RET_TRAP, "true" },
		{ SECCOMP_RET_LOG, "log" },
		{ SECCOMP_RET_ERRNO, "errno" },
	};
	char have[32] = "";
	unsigned int nr = 0;
	size_t len = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(actions); i++) {
		if (syscall(SYS_seccomp, SECCOMP_GET_ACTION_AVAIL, 0,
			    &actions[i].action))
			continue;
		len += (size_t)snprintf(have + len, sizeof(have) - len, "%s%s",
					nr++ ? " " : "", actions[i].name);
	}
	row(out, "seccomp", nr == ARRAY_SIZE(actions),
	    "--seccomp can be only these, and false", "%s",
	    nr ? have : "missing");
}

static void check_landlock(FILE *out)
{
	long abi = syscall(SYS_landlock_create_ruleset, NULL, 0,
			   LANDLOCK_CREATE_RULESET_VERSION);

	row(out, "landlock", abi > 0,
	    "no second line behind the empty root of --jail",
	    abi > 0 ? "ABI %ld" : "missing", abi);
}

static int try_core_sched(void *arg unused_param)
{
	return prctl(PR_SCHED_CORE, PR_SCHED_CORE_CREATE, 0,
		     PR_SCHED_CORE_SCOPE_THREAD, 0)
		       ? errno
		       : 0;
}

static void check_core_sched(FILE *out)
{
	int r = check_elsewhere(try_core_sched, NULL);

	row(out, "core scheduling", !r || r == ENODEV,
	    "others may run on the other thread of a vCPU's core", "%s",
	    !r		  ? "yes"
	    : r == ENODEV ? "one thread a core"
			  : strerror(MAX(r, 0)));
}

static void check_cgroup(FILE *out)
{
	struct statfs fs;
	bool is_v2 = !statfs("/sys/fs/cgroup", &fs) &&
		     fs.f_type == CGROUP2_SUPER_MAGIC;

	row(out, "control groups", is_v2,
	    "--jail cgroup= takes a directory of one hierarchy only", "%s",
	    is_v2 ? "version 2" : "not version 2");
}

/* What the host's kernel says of its CPUs. */
static void check_speculation(FILE *out)
{
	static const char dir[] = "/sys/devices/system/cpu/vulnerabilities";
	DIR *d = opendir(dir);
	const struct dirent *e;
	unsigned int nr = 0;

	while (d && (e = readdir(d))) {
		char path[512], line[16] = "";
		FILE *f;

		snprintf(path, sizeof(path), "%s/%s", dir, e->d_name);
		f = *e->d_name == '.' ? NULL : fopen(path, "re");
		if (f && fgets(line, sizeof(line), f))
			nr += strncmp(line, "Vulnerable", 10) == 0;
		if (f)
			fclose(f);
	}
	if (d)
		closedir(d);
	row(out, "speculation", d && !nr,
	    "guests may read what is not theirs; see /sys/devices/system/cpu/vulnerabilities",
	    nr	? "%u open"
	    : d ? "mitigated"
		: "not known",
	    nr);
}

bool check_host(FILE *out)
{
	bool ok;

	/* Of what the children say, nothing is to come twice. */
	fflush(out);
	ok = check_kvm(out);
	check_facts(out);
	check_huge_pages(out);
	check_uring(out);
	check_node(out, "vhost-net", "/dev/vhost-net",
		   "networks are served by this process only");
	check_node(out, "vhost-vsock", "/dev/vhost-vsock",
		   "vsock is served by this process only");
	check_node(out, "tun", "/dev/net/tun",
		   "taps must be handed in by somebody who can open them");
	check_seccomp(out);
	check_landlock(out);
	check_core_sched(out);
	check_cgroup(out);
	check_speculation(out);
	check_jail(out);
	fprintf(out, "\n%s\n",
		ok ? "Linux guests can run here."
		   : "Linux guests cannot run here.");
	return ok;
}
