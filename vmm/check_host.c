/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/check_host.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/io_uring.h>
#include <linux/kvm.h>
#include <stdarg.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/syscall.h>
#include <unistd.h>

#include "arch/arch.h"
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

static const struct {
	int cap;
	const char *name;
	bool required;
	const char *meaning;
} wanted_caps[] = {
	{ KVM_CAP_USER_MEMORY, "guest memory", true, "no guest can run" },
	{ KVM_CAP_SPLIT_IRQCHIP, "local APIC alone", true,
	  "no guest can run; Linux 4.5 is needed" },
	{ KVM_CAP_SIGNAL_MSI, "message interrupts", true,
	  "no device can interrupt" },
	{ KVM_CAP_IOEVENTFD_ANY_LENGTH, "ioeventfd", true,
	  "every request of a device would leave the guest" },
	{ KVM_CAP_IMMEDIATE_EXIT, "immediate exit", true,
	  "a vCPU cannot be stopped safely" },
	{ KVM_CAP_NR_MEMSLOTS, "memory slots", true, "no memory" },
	{ KVM_CAP_MAX_VCPUS, "vCPUs", true, "no vCPU" },
	{ KVM_CAP_BINARY_STATS_FD, "statistics", false,
	  "no counters of exits and page tables" },
};

static bool check_caps(FILE *out, int kvm)
{
	bool all = true;

	for (unsigned int i = 0; i < ARRAY_SIZE(wanted_caps); i++) {
		int v = ioctl(kvm, KVM_CHECK_EXTENSION, wanted_caps[i].cap);

		row(out, wanted_caps[i].name, v > 0, wanted_caps[i].meaning,
		    v > 1   ? "%d"
		    : v > 0 ? "yes"
			    : "missing",
		    v);
		all &= v > 0 || !wanted_caps[i].required;
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

static void check_paging(FILE *out)
{
	bool ok = file_says_yes("/sys/module/kvm_intel/parameters/ept") ||
		  file_says_yes("/sys/module/kvm_amd/parameters/npt");

	row(out, "nested paging", ok,
	    "page faults of the guest are slow, memory slots cost time",
	    ok ? "yes" : "not seen");
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
	struct io_uring_params p = { 0 };
	int fd = (int)syscall(__NR_io_uring_setup, 1, &p);

	row(out, "io_uring", fd >= 0,
	    "disks fall back to Linux AIO or plain calls: slower", "%s",
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
				    : "load the module kvm-intel or kvm-amd",
		    "%s", strerror(errno));
		return false;
	}
	version = ioctl(kvm, KVM_GET_API_VERSION, 0);
	row(out, "/dev/kvm", version == KVM_API_VERSION, "no guest can run",
	    "API version %d", version);
	ok = version == KVM_API_VERSION && check_caps(out, kvm);
	return check_speed(out, kvm) && ok;
}

bool check_host(FILE *out)
{
	bool ok = check_kvm(out);

	check_paging(out);
	check_huge_pages(out);
	check_uring(out);
	check_node(out, "vhost-net", "/dev/vhost-net",
		   "networks are served by this process only");
	check_node(out, "vhost-vsock", "/dev/vhost-vsock",
		   "vsock is served by this process only");
	check_node(out, "tun", "/dev/net/tun",
		   "taps must be handed in by somebody who can open them");
	fprintf(out, "\n%s\n",
		ok ? "Linux guests can run here."
		   : "Linux guests cannot run here.");
	return ok;
}
