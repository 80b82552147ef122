/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/*
 * stamp: write 'A' to I/O port 0x80, so that a boot timer outside sees when
 * the first userspace of a guest ran. The kernels we boot have no /dev/port;
 * no libc, because it must start in no time.
 */
#define SYS_exit 60
#define SYS_ioperm 173
#define STAMP_PORT 0x80

static long syscall3(long nr, long a, long b, long c)
{
	long ret;

	__asm__ volatile("syscall"
			 : "=a"(ret)
			 : "a"(nr), "D"(a), "S"(b), "d"(c)
			 : "rcx", "r11", "memory");
	return ret;
}

void _start(void);

void _start(void)
{
	long err = syscall3(SYS_ioperm, STAMP_PORT, 1, 1);

	if (!err)
		__asm__ volatile("outb %b0, %w1"
				 :
				 : "a"('A'), "Nd"(STAMP_PORT));
	syscall3(SYS_exit, err != 0, 0, 0);
	for (;;)
		;
}
