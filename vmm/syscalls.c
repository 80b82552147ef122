/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * The system calls of the machine's own parts, by threads. Not part of the
 * program: tools/filters.c makes filters of them when it is built. What the C
 * library needs is that of Debian 12's (2.36) and 13's (2.41); where it is not
 * called every day, the reason stands beside it.
 */
#include "vmm/syscalls.h"

#include <asm/termbits.h>
#include <fcntl.h>
#include <linux/fs.h>
#include <linux/if_tun.h>
#include <linux/kvm.h>
#include <linux/prctl.h>
#include <linux/seccomp.h>
#include <linux/sockios.h>
#include <sched.h>
#include <signal.h>
#include <sys/ioctl.h>
#include <sys/mman.h>
#include <sys/socket.h>

const struct syscall_role syscall_roles[] = {
	{ "main", ON_MAIN },
	{ "vcpu", ON_VCPU },
	{ "io", ON_IO },
	{ "pool", ON_POOL },
	{ "share", ON_POOL | ON_SHARE },
	{ "pages", ON_WORK },
	{ "host", ON_WORK },
	{ "spawn", ON_MONITOR },
	{ "opener", ON_OPENER },
	{ "", 0 },
};

/* What pthread_create(3) asks of the kernel. */
#define CLONE_THREADS                                                       \
	(CLONE_VM | CLONE_FS | CLONE_FILES | CLONE_SIGHAND | CLONE_THREAD | \
	 CLONE_SYSVSEM | CLONE_SETTLS | CLONE_PARENT_SETTID |               \
	 CLONE_CHILD_CLEARTID)

/* Those that touch registers and queues: the guest's, and the devices'. */
#define ON_DEVICE (ON_VCPU | ON_LOOP)

const struct syscall_rule syscalls_base[] = {
	/* ---- every thread ---- */
	MAY("brk", ON_ALL),
	MAY("mmap", ON_ALL, IF_WITHOUT(2, PROT_EXEC)),
	/* Not seen: on the I/O threads, large blocks that grow. */
	MAY("mremap", ON_DEVICE | ON_POOL),

	MAY("munmap", ON_MONITOR),
	/* The C library gives stacks and freed memory back. */
	MAY("madvise", ON_ALL),
	MAY("futex", ON_MONITOR),
	MAY("read", ON_ALL),
	MAY("write", ON_ALL),
	MAY("close", ON_ALL),
	/* Where the host's clock source is not one that can be read without. */
	MAY("clock_gettime", ON_MONITOR),
	/* The log: who writes, and output that does not wait. */
	MAY("prctl", ON_ALL, IF_ARG(0, PR_GET_NAME)),
	MAY("ppoll", ON_ALL),
	MAY("ioctl", ON_ALL, IF_ARG(1, TCGETS)),
	MAY("fcntl", ON_ALL, IF_ARG(1, F_GETFL)),
	MAY("fcntl", ON_ALL, IF_ARG(1, F_SETFL)),
	/* After a signal, of which a debugger's is one. */
	MAY("rt_sigreturn", ON_ALL),
	MAY("restart_syscall", ON_MONITOR),
	MAY("rt_sigprocmask", ON_ALL),
	/* A thread's end, and the process's: abort(3) and the message of an
	 * assertion, and that of a forbidden call. */
	MAY("exit_group", ON_ALL),
	MAY("writev", ON_ALL),
	MAY("rt_sigaction", ON_ALL),
	MAY("getpid", ON_ALL),
	MAY("gettid", ON_ALL),
	MAY("tgkill", ON_ALL, IF_ARG(2, SIGSYS)),
	/* Not seen: assertions that fail; and the thread that makes the others
	 * does not end. */
	MAY("tgkill", ON_ALL, IF_ARG(2, SIGABRT)),
	MAY("exit", ON_MONITOR & ~ON_MAIN),
	/* Not seen: the C library's malloc since 2.41, where it is asked to. */
	MAY("prctl", ON_ALL, IF_ARG(0, PR_SET_VMA)),

	/* ---- loops ---- */
	MAY("epoll_create1", ON_MAIN),
	MAY("epoll_ctl", ON_LOOP),
	MAY("epoll_pwait2", ON_LOOP),
	MAY("sched_yield", ON_IO | ON_OWN),
	MAY("eventfd2", ON_MAIN),

	/* ---- KVM ---- */
	MAY("ioctl", ON_VCPU, IF_ARG(1, KVM_RUN)),
	MAY("ioctl", ON_DEVICE, IF_ARG(1, KVM_SIGNAL_MSI)),
	/* Not seen: interrupt lines, as the I/O APIC is ours; and on the loops,
	 * what is done to the vectors of rings that vhost serves. */
	MAY("ioctl", ON_DEVICE, IF_ARG(1, KVM_IRQ_LINE)),
	MAY("ioctl", ON_DEVICE, IF_ARG(1, KVM_IRQFD)),
	MAY("ioctl", ON_DEVICE, IF_ARG(1, KVM_SET_GSI_ROUTING)),
	/* Notify words of queues, and memory that the guest is given: hot-plug,
	 * and windows of devices. */
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_IOEVENTFD)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_SET_USER_MEMORY_REGION)),
	MAY("prctl", ON_MAIN | ON_VCPU, IF_ARG(0, PR_SCHED_CORE)),
	MAY("ioctl", ON_VCPU,
	    IF_ARG(1, _IOC(_IOC_READ | _IOC_WRITE, KVMIO, 0xd5, 64))),
	/* How fast a machine runs its guest's kernel is seen in one that is
	 * made for it, when KVM gives up. */
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_CREATE_VM)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_CREATE_VCPU)),
	MAY("ioctl", ON_MAIN | ON_VCPU, IF_ARG(1, KVM_GET_VCPU_MMAP_SIZE)),
	/* A machine, and vCPUs that come while it runs. */
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_GET_API_VERSION)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_CHECK_EXTENSION)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, KVM_GET_STATS_FD)),
	MAY("tgkill", ON_MAIN, IF_ARG(2, SIGUSR1)),

	/* ---- memory of guests ---- */
	MAY("ftruncate", ON_MAIN | ON_VCPU | ON_OWN | ON_POOL),
	/* Not seen: which of them is the first to need pages that stand for
	 * those of a file that is gone. */
	MAY("memfd_create", ON_MAIN | ON_VCPU | ON_OWN | ON_SHARE),
	/* Windows: which files are behind them, and how long they are. */
	MAY("fcntl", ON_OWN, IF_ARG(1, F_DUPFD_CLOEXEC)),
	MAY("dup3", ON_OWN),
	MAY("newfstatat", ON_VCPU | ON_OWN),
	MAY("mincore", ON_WORK | ON_POOL),
	MAY("cachestat", ON_SHARE),
	MAY("preadv", ON_MAIN | ON_POOL),

	/* ---- the control socket, events, the console ---- */
	MAY("accept4", ON_MAIN),
	MAY("recvmsg", ON_MAIN),
	MAY("sendmsg", ON_MAIN),
	MAY("shutdown", ON_MAIN),
	MAY("unlink", ON_MAIN),
	MAY("fcntl", ON_MAIN | ON_POOL, IF_ARG(1, F_DUPFD_CLOEXEC)),
	/* Not seen: a request that names a descriptor by its number. */
	MAY("fcntl", ON_MAIN | ON_POOL, IF_ARG(1, F_GETFD)),
	MAY("fcntl", ON_MAIN | ON_POOL, IF_ARG(1, F_SETFD)),
	/* Terminals. */
	MAY("ioctl", ON_MAIN, IF_ARG(1, TCSETS)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, TIOCGPTN)),
	MAY("ioctl", ON_MAIN, IF_ARG(1, TIOCGPGRP)),
	MAY("signalfd4", ON_MAIN),

	/* ---- opening, looking at and reading files ---- */
	/* The figures of a thread that begins; of all that come later, those of
	 * shared directories and networks have it in lists of their own. */
	MAY("openat", ON_SPAWN),
	MAY("newfstatat", ON_MAIN | ON_POOL),
	/* Is a disk's image on a local file system? */
	MAY("fstatfs", ON_POOL),
	/* Not seen: root file systems on block devices. */
	MAY("ioctl", ON_MAIN, IF_ARG(1, BLKROGET)),
	/* A socket that is passed on. */
	MAY("getsockopt", ON_POOL),

	/* ---- starting threads ---- */
	MAY("clone", ON_SPAWN, IF_ARG(0, CLONE_THREADS)),
	MAY("mprotect", ON_SPAWN, IF_WITHOUT(2, PROT_EXEC)),
	MAY("set_robust_list", ON_SPAWN),
	MAY("rseq", ON_SPAWN),
	MAY("prctl", ON_SPAWN, IF_ARG(0, PR_SET_NAME)),
	/* What a new thread gives up (--jail). */
	MAY("capset", ON_SPAWN),
	MAY("landlock_restrict_self", ON_SPAWN),
	MAY("seccomp", ON_SPAWN, IF_ARG(0, SECCOMP_SET_MODE_FILTER)),

	/* ---- asking the opener, and its end ---- */
	MAY("socketpair", ON_MAIN | ON_POOL, IF_ARG(0, AF_UNIX)),
	MAY("sendmsg", ON_POOL),
	MAY("recvmsg", ON_POOL),
	MAY("shutdown", ON_POOL),
	MAY("wait4", ON_MAIN),

	/* ---- the opener ---- */
	MAY("openat2", ON_OPENER),
	MAY("newfstatat", ON_OPENER),
	MAY("fstatfs", ON_OPENER),
	MAY("fcntl", ON_OPENER, IF_ARG(1, F_DUPFD_CLOEXEC)),
	MAY("recvmsg", ON_OPENER),
	MAY("sendmsg", ON_OPENER),
	MAY("fchdir", ON_OPENER),
	MAY("socket", ON_OPENER, IF_ARG(0, AF_UNIX)),
	MAY("connect", ON_OPENER),
	MAY("bind", ON_OPENER),
	MAY("listen", ON_OPENER),
	MAY("getsockname", ON_OPENER),
	MAY("getsockopt", ON_OPENER),
	MAY("fchmod", ON_OPENER),
	MAY("flock", ON_OPENER),
	MAY("unlink", ON_OPENER),
	MAY("clone", ON_OPENER, IF_ARG(0, SIGCHLD)),
	MAY("wait4", ON_OPENER),
	MAY("prctl", ON_OPENER, IF_ARG(0, PR_SET_PDEATHSIG)),
	/* Who waits at the other end of a socket, and TAPs that others have. */
	MAY("setsockopt", ON_OPENER),
	/* What a client bounds it to. */
	MAY("landlock_create_ruleset", ON_OPENER),
	MAY("landlock_add_rule", ON_OPENER),
	MAY("landlock_restrict_self", ON_OPENER),
	/* Pseudo-terminals. */
	MAY("ioctl", ON_OPENER, IF_ARG(1, TIOCGPTPEER)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, TIOCSPTLCK)),
	/* TAPs, perhaps in another network namespace, and their interfaces. */
	MAY("socket", ON_OPENER, IF_ARG(0, AF_INET)),
	MAY("socket", ON_OPENER, IF_ARG(0, AF_NETLINK)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, TUNSETIFF)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, TUNGETIFF)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, TUNGETDEVNETNS)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCETHTOOL)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCGIFFLAGS)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCGIFHWADDR)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCGIFINDEX)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCGIFMTU)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCSIFFLAGS)),
	/* Not seen: what a TAP's interface is given where its options ask. */
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCSIFADDR)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCSIFHWADDR)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCSIFMTU)),
	MAY("ioctl", ON_OPENER, IF_ARG(1, SIOCSIFNETMASK)),
	MAY("setns", ON_OPENER, IF_ARG(1, CLONE_NEWNET)),
	{ .name = "" },
};

/* AddressSanitizer and its leak check, which stops the process's threads from a
 * process of its own, and what they need to show where it happened. */
const struct syscall_rule syscalls_sanitizers[] = {
	MAY("arch_prctl", ON_ALL),
	MAY("clock_gettime", ON_ALL),
	MAY("futex", ON_ALL),
	MAY("munmap", ON_ALL),
	MAY("clone", ON_ALL),
	MAY("getrandom", ON_ALL),
	MAY("mprotect", ON_ALL, IF_WITHOUT(2, PROT_EXEC)),
	MAY("mremap", ON_ALL),
	MAY("sched_getaffinity", ON_ALL),
	MAY("sched_yield", ON_ALL),
	MAY("access", ON_ALL),
	MAY("dup", ON_ALL),
	MAY("dup2", ON_ALL),
	MAY("execve", ON_ALL),
	MAY("fork", ON_ALL),
	MAY("fstat", ON_ALL),
	MAY("getdents", ON_ALL),
	MAY("getdents64", ON_ALL),
	MAY("getppid", ON_ALL),
	MAY("kill", ON_ALL),
	MAY("lseek", ON_ALL),
	MAY("newfstatat", ON_ALL),
	MAY("open", ON_ALL),
	MAY("openat", ON_ALL),
	MAY("pipe", ON_ALL),
	MAY("pipe2", ON_ALL),
	MAY("prctl", ON_ALL),
	MAY("prlimit64", ON_ALL),
	MAY("process_vm_readv", ON_ALL),
	MAY("ptrace", ON_ALL),
	MAY("readlink", ON_ALL),
	MAY("readlinkat", ON_ALL),
	MAY("sigaltstack", ON_ALL),
	MAY("tgkill", ON_ALL),
	MAY("socketpair", ON_ALL),
	MAY("stat", ON_ALL),
	MAY("uname", ON_ALL),
	MAY("wait4", ON_ALL),
	{ .name = "" },
};
