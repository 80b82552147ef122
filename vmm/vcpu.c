/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * A vCPU is a thread in KVM_RUN. Exits are a table of named functions; what
 * the table lacks goes to the arch. Another thread gets a vCPU out of the
 * guest with a signal; immediate_exit closes the race between the check of
 * `stop` and the entry (KVM API, section 5, struct kvm_run).
 */
#include "vmm/vcpu.h"

#include <errno.h>
#include <signal.h>
#include <stdarg.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/arch.h"
#include "vmm/board.h"
#include "vmm/log.h"
#include "vmm/thread.h"
#include "vmm/util.h"

#define TRIES_IN_VAIN 8u /* a start takes one or two */
#define NAP_NS 10000000

#define VCPU_KICK_SIGNAL SIGUSR1

/* Wishes that are done once. */
#define VCPU_ONCE (unsigned int)(VCPU_NMI | VCPU_ATTEND)

/* ---- exits ---- */

/* KVM gave up on the guest: log what, registers, instruction bytes and the kind
 * of host, and raise VM_EVENT_FAULT. False, for exits that end there. vCPU's own
 * thread. */
__attribute__((format(printf, 2, 3))) static bool
vcpu_report_fault(struct vcpu *vcpu, const char *fmt, ...)
{
	char what[96];
	va_list ap;
	int speed;

	/* One vCPU reports; the others are stopped by the event. */
	if (atomic_load(&vcpu->config.board->event) != VM_EVENT_NONE)
		return false;
	va_start(ap, fmt);
	vsnprintf(what, sizeof(what), fmt, ap);
	va_end(ap);
	log_error("vcpu%u: KVM gave up on the guest: %s", vcpu->config.index,
		  what);
	arch_vcpu_dump(vcpu);
	speed = arch_kernel_speed(vcpu->config.kvm_fd);
	if (speed >= 0 && speed < 20)
		log_error(
			"this host interprets guest kernels (kvm-pvm, no nested virtualisation): Linux guests do not get through boot here; see --check-host");
	board_raise(vcpu->config.board, VM_EVENT_FAULT);
	return false;
}

static bool vcpu_on_mmio(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;

	if (run->mmio.is_write)
		bus_write(&vcpu->config.board->mmio, run->mmio.phys_addr,
			  run->mmio.data, run->mmio.len);
	else
		bus_read(&vcpu->config.board->mmio, run->mmio.phys_addr,
			 run->mmio.data, run->mmio.len);
	return true;
}

static bool vcpu_on_intr(struct vcpu *vcpu unused_param)
{
	return true;
}

static bool vcpu_on_shutdown(struct vcpu *vcpu)
{
	log_info("vcpu%u: triple fault", vcpu->config.index);
	board_raise(vcpu->config.board, VM_EVENT_RESET);
	return false;
}

static bool vcpu_on_system_event(struct vcpu *vcpu)
{
	switch (vcpu->run->system_event.type) {
	case KVM_SYSTEM_EVENT_SHUTDOWN:
		board_raise(vcpu->config.board, VM_EVENT_POWEROFF);
		return false;
	case KVM_SYSTEM_EVENT_RESET:
		board_raise(vcpu->config.board, VM_EVENT_RESET);
		return false;
	default:
		return vcpu_report_fault(vcpu, "unknown system event");
	}
}

static bool vcpu_on_internal_error(struct vcpu *vcpu)
{
	uint32_t suberror = vcpu->run->internal.suberror;

	return vcpu_report_fault(
		vcpu, "internal error, suberror %u%s", suberror,
		suberror == KVM_INTERNAL_ERROR_EMULATION
			? " (an instruction that KVM cannot emulate)"
			: "");
}

static bool vcpu_on_fail_entry(struct vcpu *vcpu)
{
	return vcpu_report_fault(
		vcpu, "the CPU refused to enter the guest, reason %#llx",
		llu(vcpu->run->fail_entry.hardware_entry_failure_reason));
}

static const struct vcpu_exit {
	const char *name;
	bool (*handle)(struct vcpu *vcpu);
} vcpu_exits[VCPU_NR_EXITS] = {
	[KVM_EXIT_UNKNOWN] = { "unknown", NULL },
	[KVM_EXIT_EXCEPTION] = { "exception", NULL },
	[KVM_EXIT_IO] = { "io", NULL },
	[KVM_EXIT_DEBUG] = { "debug", NULL },
	[KVM_EXIT_HLT] = { "hlt", NULL },
	[KVM_EXIT_MMIO] = { "mmio", vcpu_on_mmio },
	[KVM_EXIT_INTR] = { "intr", vcpu_on_intr },
	[KVM_EXIT_SHUTDOWN] = { "shutdown", vcpu_on_shutdown },
	[KVM_EXIT_FAIL_ENTRY] = { "fail_entry", vcpu_on_fail_entry },
	[KVM_EXIT_INTERNAL_ERROR] = { "internal_error",
				      vcpu_on_internal_error },
	[KVM_EXIT_SYSTEM_EVENT] = { "system_event", vcpu_on_system_event },
};

const char *vcpu_exit_name(uint32_t reason)
{
	if (reason < ARRAY_SIZE(vcpu_exits) && vcpu_exits[reason].name)
		return vcpu_exits[reason].name;
	return "other";
}

/* False: an event was raised, the vCPU has to leave. */
static bool vcpu_handle_exit(struct vcpu *vcpu)
{
	uint32_t reason = vcpu->run->exit_reason;
	uint64_t *count = &vcpu->exits[MIN(reason, VCPU_NR_EXITS - 1u)];

	__atomic_store_n(count, *count + 1, __ATOMIC_RELAXED);
	if (reason < ARRAY_SIZE(vcpu_exits) && vcpu_exits[reason].handle)
		return vcpu_exits[reason].handle(vcpu);
	if (arch_vcpu_exit(vcpu))
		return true;
	return vcpu_report_fault(vcpu, "unhandled exit %u (%s)", reason,
				 vcpu_exit_name(reason));
}

static void vcpu_say_parked(struct vcpu *vcpu)
{
	mutex_guard(&vcpu->lock);

	vcpu->parked = true;
	pthread_cond_broadcast(&vcpu->changed);
}

static void vcpu_park(struct vcpu *vcpu)
{
	vcpu_say_parked(vcpu);
	mutex_guard(&vcpu->lock);
	while ((atomic_load(&vcpu->asked) & (VCPU_PAUSE | VCPU_STOP)) ==
	       VCPU_PAUSE)
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
	vcpu->parked = false;
}

/*
 * KVM_RUN was interrupted: do what was asked. immediate_exit is cleared first,
 * so that a kick that comes while we look is not lost. False: end the thread.
 */
static bool vcpu_attend(struct vcpu *vcpu)
{
	unsigned int once;

	__atomic_store_n(&vcpu->run->immediate_exit, 0, __ATOMIC_SEQ_CST);
	if (atomic_load(&vcpu->asked) & VCPU_PAUSE)
		vcpu_park(vcpu);
	once = atomic_fetch_and(&vcpu->asked, ~VCPU_ONCE) & VCPU_ONCE;
	if (once & VCPU_NMI)
		arch_vcpu_nmi(vcpu);
	if (once & VCPU_ATTEND)
		arch_vcpu_attend(vcpu);
	return !(atomic_load(&vcpu->asked) & VCPU_STOP);
}

/* Linux 6.8, Documentation/virt/kvm/api.rst section 5: the union in struct kvm_run
 * at a KVM_EXIT_MEMORY_FAULT; older headers do not have it. */
struct vcpu_memory_fault {
	__u64 flags;
	__u64 gpa;
	__u64 size;
};
#define VCPU_EXIT_MEMORY_FAULT 39u

/* KVM_RUN said -EFAULT: the guest's memory is not there (the host is out of it, a
 * file behind it was cut). True: now it may be. */
static bool vcpu_mend(struct vcpu *vcpu)
{
	struct kvm_run *run = vcpu->run;
	struct vcpu_memory_fault fault = { .gpa = WINDOW_NOWHERE };

	if (run->exit_reason == VCPU_EXIT_MEMORY_FAULT)
		memcpy(&fault, &run->hw, sizeof(fault));
	run->exit_reason = KVM_EXIT_UNKNOWN; /* where KVM does not say, next */
	return windows_mend(&vcpu->config.board->windows, fault.gpa,
			    &vcpu->mended);
}

/*
 * KVM_RUN says EAGAIN when a CPU that waits to be started hears of something. An NMI
 * that the guest sends to it stays, as it can take none, and KVM says so again at
 * once: that costs the host no CPU.
 */
static void vcpu_nap(struct vcpu *vcpu)
{
	mutex_guard(&vcpu->lock);

	if (!atomic_load(&vcpu->asked))
		cond_wait_until(&vcpu->changed, &vcpu->lock,
				monotonic_ns() + NAP_NS);
}

static void vcpu_run(struct vcpu *vcpu)
{
	struct board *board = vcpu->config.board;
	unsigned int in_vain = 0;

	for (;;) {
		if (!ioctl(vcpu->fd, KVM_RUN, 0)) {
			in_vain = 0;
			if (!vcpu_handle_exit(vcpu) ||
			    atomic_load_explicit(&board->event,
						 memory_order_relaxed))
				return;
		} else if (errno == EINTR || errno == EAGAIN) {
			in_vain = errno == EAGAIN ? in_vain + 1 : 0;
			if (in_vain > TRIES_IN_VAIN)
				vcpu_nap(vcpu);
			if (!vcpu_attend(vcpu))
				return;
		} else if (errno != EFAULT || !vcpu_mend(vcpu)) {
			vcpu_report_fault(vcpu, "%s", strerror(errno));
			return;
		}
	}
}

/* Linux 6.11, Documentation/virt/kvm/api.rst section 4.143; older headers do
 * not have it. */
struct vcpu_pre_fault {
	__u64 gpa;
	__u64 size;
	__u64 flags;
	__u64 padding[5];
};
#define VCPU_PRE_FAULT_MEMORY _IOWR(KVMIO, 0xd5, struct vcpu_pre_fault)

/*
 * Pages of a file come one exit each, and a kernel touches nearly all that are
 * mapped: have KVM map them at once. Where it cannot (no nested paging, an old
 * kernel), they come as they are touched.
 */
static void vcpu_pre_fault(struct vcpu *vcpu)
{
	const struct gmem *gm = &vcpu->config.board->gmem;
	unsigned int i;

	for (i = 0;
	     i < gm->nr_mapped && !(atomic_load(&vcpu->asked) & VCPU_STOP);
	     i++) {
		struct vcpu_pre_fault range = { .gpa = gm->mapped[i].gpa,
						.size = gm->mapped[i].len };

		if (ioctl(vcpu->fd, VCPU_PRE_FAULT_MEMORY, &range)) {
			log_debug("vcpu%u: pages of files come one by one: %s",
				  vcpu->config.index, strerror(errno));
			return;
		}
	}
}

static void *vcpu_thread(void *arg)
{
	struct vcpu *vcpu = arg;
	sigset_t mask;

	sigfillset(&mask);
	sigdelset(&mask, VCPU_KICK_SIGNAL);
	sigdelset(&mask, SIGSYS); /* of a forbidden system call */
	pthread_sigmask(SIG_SETMASK, &mask, NULL);
	core_sched_join(vcpu->config.core_sched);
	if (vcpu->config.index == 0)
		vcpu_pre_fault(vcpu);
	vcpu_run(vcpu);
	vcpu_say_parked(vcpu);
	return NULL;
}

static void vcpu_on_signal(int sig unused_param)
{
	/* Its arrival is all: KVM_RUN returns EINTR. */
}

static void vcpu_set_thread(struct vcpu *vcpu, bool has)
{
	mutex_guard(&vcpu->lock);

	vcpu->has_thread = has;
}

int vcpu_start(struct vcpu *vcpu, bool paused, struct error *err)
{
	struct sigaction sa = { .sa_handler = vcpu_on_signal };
	char name[THREAD_NAME_LEN];
	int r;

	sigaction(VCPU_KICK_SIGNAL, &sa, NULL);
	atomic_store(&vcpu->asked, paused ? VCPU_PAUSE : 0u);
	vcpu->run->immediate_exit = paused;
	vcpu->parked = false;
	snprintf(name, sizeof(name), "vcpu%u", vcpu->config.index);
	r = thread_start(&vcpu->thread, name, vcpu_thread, vcpu);
	if (r)
		return error_set(err, r, "cannot start vCPU %u: %s",
				 vcpu->config.index, strerror(r));
	vcpu_set_thread(vcpu, true);
	return 0;
}

/* KVM_RUN returns, or does not start, and vcpu_attend() looks why; one that is
 * held looks, too. */
bool vcpu_ask(struct vcpu *vcpu, enum vcpu_wish wish)
{
	mutex_guard(&vcpu->lock);

	if (!vcpu->has_thread)
		return false;
	atomic_fetch_or(&vcpu->asked, (unsigned int)wish);
	__atomic_store_n(&vcpu->run->immediate_exit, 1, __ATOMIC_SEQ_CST);
	pthread_kill(vcpu->thread, VCPU_KICK_SIGNAL);
	pthread_cond_broadcast(&vcpu->changed);
	return true;
}

void vcpu_join(struct vcpu *vcpu)
{
	if (!vcpu->has_thread)
		return;
	/* Nobody asks it from here on. */
	vcpu_set_thread(vcpu, false);
	pthread_join(vcpu->thread, NULL);
}

void vcpu_wait_paused(struct vcpu *vcpu)
{
	if (!vcpu->has_thread)
		return;
	mutex_guard(&vcpu->lock);
	while (!vcpu->parked)
		pthread_cond_wait(&vcpu->changed, &vcpu->lock);
}

void vcpu_resume(struct vcpu *vcpu)
{
	mutex_guard(&vcpu->lock);

	atomic_fetch_and(&vcpu->asked, ~(unsigned int)VCPU_PAUSE);
	pthread_cond_broadcast(&vcpu->changed);
}

int vcpu_create(struct vcpu **out, const struct vcpu_config *config,
		struct error *err)
{
	struct vcpu *vcpu = calloc(1, sizeof(*vcpu));
	int r;

	if (!vcpu)
		return error_set(err, ENOMEM, "out of memory");
	vcpu->config = *config;
	vcpu->run = MAP_FAILED;
	vcpu->stats_fd = -1;
	pthread_mutex_init(&vcpu->lock, NULL);
	pthread_cond_init(&vcpu->changed, NULL);
	vcpu->fd = ioctl(config->vm_fd, KVM_CREATE_VCPU, (long)config->index);
	if (vcpu->fd >= 0)
		vcpu->run = mmap(NULL, config->mmap_size,
				 PROT_READ | PROT_WRITE, MAP_SHARED, vcpu->fd,
				 0);
	if (vcpu->run == MAP_FAILED) {
		r = error_set(err, errno, "--cpus: KVM cannot make vCPU %u: %s",
			      config->index, error_text(errno));
		vcpu_destroy(vcpu);
		return r;
	}
	/* Now: KVM answers no call for a vCPU that is in the guest. */
	vcpu->stats_fd = ioctl(vcpu->fd, KVM_GET_STATS_FD, NULL);
	r = arch_vcpu_init(vcpu, err);
	if (r) {
		vcpu_destroy(vcpu);
		return r;
	}
	*out = vcpu;
	return 0;
}

void vcpu_destroy(struct vcpu *vcpu)
{
	if (!vcpu)
		return;
	vcpu_ask(vcpu, VCPU_STOP);
	vcpu_join(vcpu);
	if (vcpu->run != MAP_FAILED)
		munmap(vcpu->run, vcpu->config.mmap_size);
	close_fd(&vcpu->stats_fd);
	close_fd(&vcpu->fd);
	pthread_cond_destroy(&vcpu->changed);
	pthread_mutex_destroy(&vcpu->lock);
	free(vcpu);
}
