/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Memory that the guest is shown, by a real KVM: it is there in each VM that is
 * built. */
#include <errno.h>
#include <linux/kvm.h>
#include <sys/ioctl.h>
#include <sys/mman.h>

#include "arch/host.h"
#include "tests/unit/kvm_fixture.h"

#define GPA (16 * MIB)

static void *page;

static int setup(void **state unused_param)
{
	kvm_setup();
	page = mmap(NULL, arch_page_size(), PROT_READ | PROT_WRITE,
		    MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
	assert_ptr_not_equal(page, MAP_FAILED);
	return 0;
}

static int teardown(void **state unused_param)
{
	kvm_teardown();
	munmap(page, arch_page_size());
	return 0;
}

/* KVM refuses another slot where one is. */
static bool is_taken(gpa_t gpa)
{
	struct kvm_userspace_memory_region region = {
		.slot = GMEM_MAX_RANGES + 1,
		.guest_phys_addr = gpa,
		.memory_size = arch_page_size(),
		.userspace_addr = (uintptr_t)page,
	};

	if (ioctl(kvm.vm_fd, KVM_SET_USER_MEMORY_REGION, &region)) {
		assert_int_equal(errno, EEXIST);
		return true;
	}
	region.memory_size = 0;
	assert_int_equal(ioctl(kvm.vm_fd, KVM_SET_USER_MEMORY_REGION, &region),
			 0);
	return false;
}

static void rebuild(void)
{
	struct error err;

	kvm_unbuild(&kvm);
	assert_int_equal(kvm_build(&kvm, 1, &err), 0);
}

static void test_rebuilt(void **state unused_param)
{
	assert_false(is_taken(GPA));
	assert_int_equal(board_show(&board, GPA, page, arch_page_size()), 0);
	assert_true(is_taken(GPA));
	assert_false(is_taken(GPA + arch_page_size()));
	rebuild();
	assert_true(is_taken(GPA));
	board_show(&board, 0, NULL, 0);
	rebuild();
	assert_false(is_taken(GPA));
}

/* One that KVM refuses is forgotten. */
static void test_refused(void **state unused_param)
{
	assert_int_equal(board_show(&board, GPA, page, 1), -EINVAL);
	rebuild();
	assert_false(is_taken(GPA));
}

/* Nor does a machine lack anything else that is made without it. */
static void test_refused_at_first(void **state unused_param)
{
	struct error err;

	kvm_unbuild(&kvm);
	assert_int_equal(board_show(&board, GPA, page, 1), 0);
	assert_int_equal(kvm_build(&kvm, 1, &err), 0);
	assert_false(is_taken(GPA));
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(test_rebuilt, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(test_refused_at_first, setup,
						teardown),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}
