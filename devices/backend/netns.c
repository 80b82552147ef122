/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/backend/netns.h"

#include <fcntl.h>
#include <linux/if_tun.h>
#include <linux/nsfs.h>
#include <sched.h>
#include <stdbool.h>
#include <string.h>
#include <sys/ioctl.h>
#include <sys/stat.h>

#include "vmm/thread.h"
#include "vmm/util.h"

struct netns_call {
	int netns;
	int (*fn)(void *arg);
	void *arg;
	struct error *err;
	int result;
};

int netns_get(const char *path, int *fd, struct error *err)
{
	/* A fifo must not make us wait. */
	int r = open(path, O_RDONLY | O_CLOEXEC | O_NONBLOCK);

	if (r < 0)
		return error_set(
			err, errno,
			"netns=%s: %s; give the file of a namespace, such as /run/netns/NAME",
			error_value(path).text, error_text(errno));
	*fd = r;
	if (ioctl(r, NS_GET_NSTYPE) != CLONE_NEWNET)
		return error_set(
			err, EINVAL,
			"netns=%s: is not a network namespace; give the file of one, such as /run/netns/NAME or /proc/PID/ns/net",
			error_value(path).text);
	return 0;
}

int netns_of_tap(int tap)
{
	struct stat own, other;
	int fd = ioctl(tap, TUNGETDEVNETNS);

	if (fd >= 0 &&
	    (fstat(fd, &other) || stat("/proc/thread-self/ns/net", &own) ||
	     (own.st_dev == other.st_dev && own.st_ino == other.st_ino)))
		close_fd(&fd);
	return fd;
}

static void *netns_thread(void *arg)
{
	struct netns_call *call = arg;

	if (setns(call->netns, CLONE_NEWNET))
		call->result = error_set(
			call->err, errno,
			"netns: cannot enter it: %s; that needs CAP_SYS_ADMIN: open the TAP there, and pass it: fd=[N]",
			error_text(errno));
	else
		call->result = call->fn(call->arg);
	return NULL;
}

int netns_call(int netns, int (*fn)(void *arg), void *arg, struct error *err)
{
	struct netns_call call = { netns, fn, arg, err, 0 };
	pthread_t thread;
	int r;

	if (netns < 0)
		return fn(arg);
	r = thread_start(&thread, "netns", netns_thread, &call);
	if (r)
		return error_set(err, r, "no thread for the namespace: %s",
				 error_text(r));
	pthread_join(thread, NULL);
	return call.result;
}
