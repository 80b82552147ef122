/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "vmm/kvm.h"

#include <errno.h>
#include <fcntl.h>
#include <linux/kvm.h>
#include <stdlib.h>
#include <string.h>
#include <sys/ioctl.h>

#include "arch/arch.h"
#include "vmm/kept.h"
#include "vmm/log.h"
#include "vmm/util.h"

/* ---- memory ---- */

static int kvm_set_slot(struct gmem_listener *gl,
			const struct gmem_range *range, uint64_t len,
			struct error *err)
{
	struct kvm *kvm = container_of(gl, struct kvm, memory);
	struct kvm_userspace_memory_region region = {
		.slot = range->slot,
		.guest_phys_addr = range->gpa,
		.memory_size = len,
		.userspace_addr = (uintptr_t)range->hva,
	};

	if (!ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
		return 0;
	if (range->kind == GMEM_WINDOW)
		return error_set(
			err, errno,
			"KVM refuses %llu MiB of a device at %#llx: %s",
			mib(range->len), llu(range->gpa), strerror(errno));
	return error_set(
		err, errno,
		"--memory: of %llu MiB KVM refuses %llu MiB at %#llx: %s; give less",
		mib(kvm->board->gmem.config.size), mib(range->len),
		llu(range->gpa), strerror(errno));
}

static int kvm_range_added(struct gmem_listener *gl,
			   const struct gmem_range *range, struct error *err)
{
	return kvm_set_slot(gl, range, range->len, err);
}

static void kvm_range_removed(struct gmem_listener *gl,
			      const struct gmem_range *range)
{
	struct error err;

	if (range->kind != GMEM_WINDOW && kvm_set_slot(gl, range, 0, &err))
		log_warn("%s", err.msg);
}

static int kvm_window_placed(struct gmem_listener *gl,
			     const struct gmem_range *range, bool there,
			     struct error *err)
{
	return kvm_set_slot(gl, range, there ? range->len : 0, err);
}

/* Behind those of memory. Refused: reads go to the bus, and nothing is shown. */
static int kvm_set_shown(struct kvm *kvm)
{
	struct kvm_userspace_memory_region region = {
		.slot = GMEM_MAX_RANGES,
		.flags = KVM_MEM_READONLY,
		.guest_phys_addr = kvm->shown.gpa,
		.memory_size = kvm->shown.len,
		.userspace_addr = (uintptr_t)kvm->shown.hva,
	};

	if (!kvm->shown.len || kvm->vm_fd < 0 ||
	    !ioctl(kvm->vm_fd, KVM_SET_USER_MEMORY_REGION, &region))
		return 0;
	kvm->shown.len = 0;
	log_debug("KVM shows the guest no read-only memory: %s",
		  strerror(errno));
	return -errno;
}

/* ---- for the board ---- */

static int kvm_show(void *opaque, gpa_t gpa, const void *hva, uint64_t len)
{
	struct kvm *kvm = opaque;

	kvm->shown = (struct kvm_shown){ gpa, hva, len };
	return kvm_set_shown(kvm);
}

static void kvm_msi(void *opaque, uint32_t devid, uint64_t addr, uint32_t data)
{
	const struct kvm *kvm = opaque;
	struct kvm_msi msi = {
		.address_lo = (uint32_t)addr,
		.address_hi = (uint32_t)(addr >> 32),
		.data = data,
		.flags = arch_msi_has_devid ? KVM_MSI_VALID_DEVID : 0,
		.devid = devid,
	};

	/* 0 means that the guest blocked it: not an error. */
	if (ioctl(kvm->vm_fd, KVM_SIGNAL_MSI, &msi) < 0)
		log_debug("MSI %#llx/%#x: %s", llu(addr), data,
			  strerror(errno));
}

static void kvm_line(void *opaque, uint32_t gsi, bool level)
{
	const struct kvm *kvm = opaque;
	struct kvm_irq_level line = { .irq = arch_irq_line(gsi),
				      .level = level };

	if (ioctl(kvm->vm_fd, KVM_IRQ_LINE, &line) < 0)
		log_debug("interrupt line %u: %s", gsi, strerror(errno));
}

static int kvm_ioeventfd(void *opaque, gpa_t gpa, int event_fd, bool assign)
{
	const struct kvm *kvm = opaque;
	struct kvm_ioeventfd io = {
		.addr = gpa,
		.len = 0, /* any width, and the fastest match */
		.fd = event_fd,
		.flags = assign ? 0 : KVM_IOEVENTFD_FLAG_DEASSIGN,
	};

	return ioctl(kvm->vm_fd, KVM_IOEVENTFD, &io) ? -errno : 0;
}

/* ---- messages that eventfds send ---- */

/* The first ones are an I/O APIC's. */
#define KVM_SENDER_GSI 64u
#define KVM_MAX_SENDERS 1024u

static int kvm_set_routes_locked(const struct kvm *kvm)
{
	struct kvm_irq_routing *all = calloc(
		1, sizeof(*all) + kvm->nr_senders * sizeof(all->entries[0]));
	int r;

	if (!all)
		return -ENOMEM;
	for (unsigned int i = 0; i < kvm->nr_senders; i++) {
		const struct board_msi *msi = &kvm->senders[i].msi;

		if (kvm->senders[i].event_fd < 0)
			continue;
		all->entries[all->nr++] = (struct kvm_irq_routing_entry){
			.gsi = KVM_SENDER_GSI + i,
			.type = KVM_IRQ_ROUTING_MSI,
			.flags = arch_msi_has_devid ? KVM_MSI_VALID_DEVID : 0,
			.u.msi = { .address_lo = (uint32_t)msi->addr,
				   .address_hi = (uint32_t)(msi->addr >> 32),
				   .data = msi->data,
				   .devid = msi->devid },
		};
	}
	r = ioctl(kvm->vm_fd, KVM_SET_GSI_ROUTING, all) ? -errno : 0;
	free(all);
	return r;
}

/* The place of event_fd (-1: a free one); nr_senders: there is none. */
static unsigned int kvm_find_sender(const struct kvm *kvm, int event_fd)
{
	unsigned int i = 0;

	while (i < kvm->nr_senders && kvm->senders[i].event_fd != event_fd)
		i++;
	return i;
}

static int kvm_irqfd(const struct kvm *kvm, unsigned int at, bool assign)
{
	const struct kvm_irqfd irqfd = {
		.fd = (uint32_t)kvm->senders[at].event_fd,
		.gsi = KVM_SENDER_GSI + at,
		.flags = assign ? 0 : KVM_IRQFD_FLAG_DEASSIGN,
	};

	return ioctl(kvm->vm_fd, KVM_IRQFD, &irqfd) ? -errno : 0;
}

static int kvm_grow_senders(struct kvm *kvm)
{
	unsigned int nr = kvm->nr_senders ? 2 * kvm->nr_senders : 16;
	struct kvm_sender *grown =
		nr > KVM_MAX_SENDERS
			? NULL
			: realloc(kvm->senders, nr * sizeof(*grown));

	if (!grown)
		return -ENOMEM;
	for (unsigned int i = kvm->nr_senders; i < nr; i++)
		grown[i].event_fd = -1;
	kvm->senders = grown;
	kvm->nr_senders = nr;
	return 0;
}

static int kvm_add_sender_locked(struct kvm *kvm, int event_fd,
				 const struct board_msi *msi)
{
	unsigned int at = kvm_find_sender(kvm, event_fd);
	bool is_new = at == kvm->nr_senders;
	int r;

	if (is_new)
		at = kvm_find_sender(kvm, -1);
	if (at == kvm->nr_senders && kvm_grow_senders(kvm))
		return -ENOMEM;
	kvm->senders[at] = (struct kvm_sender){ event_fd, *msi };
	r = kvm_set_routes_locked(kvm);
	if (!r && is_new)
		r = kvm_irqfd(kvm, at, true);
	if (!r)
		return 0;
	kvm_irqfd(kvm, at, false);
	kvm->senders[at].event_fd = -1;
	return r;
}

static int kvm_msi_fd(void *opaque, int event_fd, const struct board_msi *msi)
{
	struct kvm *kvm = opaque;
	unsigned int at;
	int r = 0;

	mutex_guard(&kvm->lock);
	if (msi)
		return kvm_add_sender_locked(kvm, event_fd, msi);
	at = kvm_find_sender(kvm, event_fd);
	if (at < kvm->nr_senders) {
		r = kvm_irqfd(kvm, at, false);
		kvm->senders[at].event_fd = -1;
	}
	return r;
}

static const struct board_ops kvm_board_ops = {
	.msi = kvm_msi,
	.line = kvm_line,
	.ioeventfd = kvm_ioeventfd,
	.msi_fd = kvm_msi_fd,
	.show = kvm_show,
};

/* ---- /dev/kvm ---- */

void kvm_init(struct kvm *kvm, struct board *board, unsigned int max_vcpus)
{
	*kvm = (struct kvm){
		.board = board,
		.fd = -1,
		.vm_fd = -1,
		.max_vcpus = max_vcpus,
		.vcpu = { .board = board, .nr_max = max_vcpus },
		.memory.added = kvm_range_added,
		.memory.removed = kvm_range_removed,
		.memory.placed = kvm_window_placed,
	};
	pthread_mutex_init(&kvm->lock, NULL);
	board->ops = &kvm_board_ops;
	board->ops_opaque = kvm;
}

int kvm_open(struct kvm *kvm, struct error *err)
{
	int version, size;

	kvm->fd = kept_open(KEPT_KVM);
	if (kvm->fd < 0)
		return error_set(
			err, kvm->fd,
			"/dev/kvm: %s; %s; --check-host tells more",
			strerror(-kvm->fd),
			kvm->fd == -EACCES
				? "join the group that owns it (usually kvm) or run as root"
				: arch_kvm_advice);
	version = ioctl(kvm->fd, KVM_GET_API_VERSION, 0);
	if (version >= 0 && version != KVM_API_VERSION)
		return error_set(err, ENOSYS,
				 "/dev/kvm: not the KVM API version %d",
				 KVM_API_VERSION);
	size = version < 0 ? -1 : ioctl(kvm->fd, KVM_GET_VCPU_MMAP_SIZE, 0);
	if (size < 0)
		return error_set(err, errno, "/dev/kvm: does not answer: %s",
				 strerror(errno));
	if (size < (int)sizeof(struct kvm_run))
		return error_set(err, ENOSYS, "/dev/kvm: bad vCPU area size");
	kvm->vcpu.kvm_fd = kvm->fd;
	kvm->vcpu.mmap_size = (unsigned int)size;
	return arch_host_ask(&kvm->vcpu.host, kvm->fd, err);
}

void kvm_close(struct kvm *kvm)
{
	kvm_unbuild(kvm);
	arch_host_free(kvm->vcpu.host);
	kvm->vcpu.host = NULL;
	close_fd(&kvm->fd);
}

/* ---- one VM ---- */

static int kvm_add_vcpu(struct kvm *kvm, unsigned int index, struct error *err)
{
	struct vcpu_config config = kvm->vcpu;
	int r;

	config.vm_fd = kvm->vm_fd;
	config.arch = kvm->arch;
	config.index = index;
	r = vcpu_create(&kvm->vcpus[index], &config, err);
	kvm->nr_vcpus += !r;
	return r;
}

static int kvm_check_vcpus(const struct kvm *kvm, struct error *err)
{
	int most = ioctl(kvm->fd, KVM_CHECK_EXTENSION, KVM_CAP_MAX_VCPUS);

	if (most > 0 && kvm->max_vcpus > (unsigned int)most)
		return error_set(
			err, EINVAL,
			"--cpus: %u vCPUs, but KVM on this host gives a machine %d at most; ask for fewer",
			kvm->max_vcpus, most);
	return 0;
}

/* The order is worth milliseconds: slots before interrupt controllers. */
int kvm_build(struct kvm *kvm, unsigned int nr, struct error *err)
{
	int r = kvm_check_vcpus(kvm, err);

	if (!r)
		r = arch_vm_type(kvm->fd, &kvm->board->gmem, err);
	if (r < 0)
		return r;
	kvm->vm_fd = ioctl(kvm->fd, KVM_CREATE_VM, (long)r);
	if (kvm->vm_fd < 0)
		return error_set(err, errno, "KVM cannot make a machine: %s",
				 error_text(errno));
	r = arch_vm_create(&kvm->arch, kvm->vm_fd, err);
	if (!r)
		r = gmem_listen(&kvm->board->gmem, &kvm->memory, err);
	if (!r) {
		kvm_set_shown(kvm);
		r = arch_irqchip_create(kvm->arch, err);
	}
	if (!r) {
		kvm->nr_vcpus = 0;
		kvm->vcpus = calloc(kvm->max_vcpus, sizeof(struct vcpu *));
		if (!kvm->vcpus)
			r = error_set(err, ENOMEM, "out of memory");
	}
	if (arch_vcpus_at_once)
		nr = kvm->max_vcpus;
	while (!r && kvm->nr_vcpus < nr)
		r = kvm_add_vcpu(kvm, kvm->nr_vcpus, err);
	if (!r)
		r = arch_irqchip_finish(kvm->arch, kvm->vcpus, nr, err);
	if (r)
		kvm_unbuild(kvm);
	return r;
}

void kvm_unbuild(struct kvm *kvm)
{
	for (unsigned int i = 0; i < kvm->nr_vcpus; i++)
		vcpu_destroy(kvm->vcpus[i]);
	free(kvm->vcpus);
	kvm->vcpus = NULL;
	kvm->nr_vcpus = 0;
	arch_vm_destroy(kvm->arch);
	kvm->arch = NULL;
	gmem_unlisten(&kvm->memory);
	free(kvm->senders);
	kvm->senders = NULL;
	kvm->nr_senders = 0;
	close_fd(&kvm->vm_fd);
}

/* ---- vCPUs ---- */

static void kvm_ask(struct kvm *kvm, enum vcpu_wish wish)
{
	for (unsigned int i = 0; i < kvm->nr_vcpus; i++)
		vcpu_ask(kvm->vcpus[i], wish);
}

void kvm_stop(struct kvm *kvm)
{
	kvm_ask(kvm, VCPU_STOP);
	for (unsigned int i = 0; i < kvm->nr_vcpus; i++)
		vcpu_join(kvm->vcpus[i]);
}

int kvm_start(struct kvm *kvm, unsigned int nr, struct error *err)
{
	int r = core_sched_prepare(kvm->vcpu.core_sched, err);

	while (nr-- > 0 && !r)
		r = vcpu_start(kvm->vcpus[nr], kvm->board->run == BOARD_PAUSED,
			       err);
	if (r)
		kvm_stop(kvm);
	return r;
}

void kvm_hold(struct kvm *kvm)
{
	kvm_ask(kvm, VCPU_PAUSE);
	for (unsigned int i = 0; i < kvm->nr_vcpus; i++)
		vcpu_wait_paused(kvm->vcpus[i]);
}

void kvm_release(struct kvm *kvm)
{
	for (unsigned int i = 0; i < kvm->nr_vcpus; i++)
		if (kvm->board->run == BOARD_RUNNING)
			vcpu_resume(kvm->vcpus[i]);
}

int kvm_nmi(struct kvm *kvm, struct error *err)
{
	if (!arch_has_nmi)
		return error_set(
			err, ENOTSUP,
			"this machine has no non-maskable interrupt; press the power button instead");
	kvm_ask(kvm, VCPU_NMI);
	return 0;
}

int kvm_start_vcpu(struct kvm *kvm, unsigned int index, struct error *err)
{
	int r = index < kvm->nr_vcpus ? 0 : kvm_add_vcpu(kvm, index, err);

	if (!r)
		r = arch_vcpu_rest(kvm->vcpus[index], err);
	if (r || kvm->board->run == BOARD_STOPPED)
		return r;
	return vcpu_start(kvm->vcpus[index], kvm->board->run == BOARD_PAUSED,
			  err);
}

void kvm_stop_vcpu(struct kvm *kvm, unsigned int index)
{
	if (index >= kvm->nr_vcpus)
		return;
	vcpu_ask(kvm->vcpus[index], VCPU_STOP);
	vcpu_join(kvm->vcpus[index]);
}
