/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#ifndef VMM_FEW_H
#define VMM_FEW_H

#include <poll.h>
#include <stddef.h>
#include <sys/stat.h>
#include <sys/types.h>

/*
 * What the C library has several system calls for, some of them in newer versions
 * alone, by one: each that a thread makes is one in its filter's list
 * (vmm/syscalls.c). With errno, as theirs. Any thread.
 */

/* fstat(2). */
int few_fstat(int fd, struct stat *st);
/* open(2); O_CLOEXEC is always there. */
int few_open(const char *path, int flags, mode_t mode);
/* poll(2). */
int few_poll(struct pollfd *fds, unsigned int nr, int timeout_ms);
/* usleep(3); any length. */
void few_sleep_us(unsigned int us);
/* pread(2). */
ssize_t few_pread(int fd, void *buf, size_t len, off_t off);
/* pwrite(2). */
ssize_t few_pwrite(int fd, const void *buf, size_t len, off_t off);
/* recv(2). */
ssize_t few_recv(int fd, void *buf, size_t len, int flags);
/* send(2). */
ssize_t few_send(int fd, const void *buf, size_t len, int flags);

#endif
