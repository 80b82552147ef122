/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* A macvtap, given as the descriptor of its character device. */
#include <linux/if_link.h>
#include <linux/rtnetlink.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/mount.h>
#include <sys/stat.h>
#include <sys/sysmacros.h>

#include <cmocka.h>

#include "devices/backend/tap.h"
#include "devices/backend/tap_filter.h"
#include "tests/unit/tap_fixture.h"

static char dir[] = "/tmp/vmm-macvtap-XXXXXX";
static char node[64];
static int below = -1; /* what the macvtap sends goes there */
static uint8_t mac[6];

/* ---- making one ---- */

struct request {
	struct nlmsghdr header;
	struct ifinfomsg info;
	uint8_t attributes[256];
};

static struct rtattr *add(struct request *r, unsigned short type,
			  const void *data, size_t len)
{
	struct rtattr *at =
		(void *)((uint8_t *)r + NLMSG_ALIGN(r->header.nlmsg_len));

	at->rta_type = type;
	at->rta_len = (unsigned short)RTA_LENGTH(len);
	if (len)
		memcpy(RTA_DATA(at), data, len);
	r->header.nlmsg_len =
		NLMSG_ALIGN(r->header.nlmsg_len) + RTA_ALIGN(at->rta_len);
	return at;
}

static void end_nest(struct request *r, struct rtattr *at)
{
	at->rta_len = (unsigned short)((uint8_t *)r + r->header.nlmsg_len -
				       (uint8_t *)at);
}

/* 0, or -errno of the kernel's answer. */
static int make_macvtap(const char *name, const char *lower)
{
	struct request r = {
		.header = { .nlmsg_len = NLMSG_LENGTH(sizeof(r.info)),
			    .nlmsg_type = RTM_NEWLINK,
			    .nlmsg_flags = NLM_F_REQUEST | NLM_F_CREATE |
					   NLM_F_EXCL | NLM_F_ACK },
	};
	struct {
		struct nlmsghdr header;
		struct nlmsgerr error;
	} answer = { .error.error = -EIO };
	cleanup_fd int fd = socket(AF_NETLINK, SOCK_RAW, NETLINK_ROUTE);
	int index = (int)if_nametoindex(lower);
	uint32_t mode = MACVLAN_MODE_BRIDGE;
	struct rtattr *link, *data;

	add(&r, IFLA_LINK, &index, sizeof(index));
	add(&r, IFLA_IFNAME, name, strlen(name) + 1);
	link = add(&r, IFLA_LINKINFO, NULL, 0);
	add(&r, IFLA_INFO_KIND, "macvtap", strlen("macvtap"));
	data = add(&r, IFLA_INFO_DATA, NULL, 0);
	add(&r, IFLA_MACVLAN_MODE, &mode, sizeof(mode));
	end_nest(&r, data);
	end_nest(&r, link);
	if (send(fd, &r, r.header.nlmsg_len, 0) < 0 ||
	    recv(fd, &answer, sizeof(answer), 0) < 0)
		return -errno;
	return answer.error.error;
}

/* Make the character device, whose numbers the kernel tells in sysfs. */
static bool make_node(const char *name)
{
	unsigned int index = if_nametoindex(name), maj = 0, min = 0;
	char path[128];
	FILE *f;

	if (!mkdtemp(dir) || unshare(CLONE_NEWNS) ||
	    mount(NULL, "/", NULL, MS_REC | MS_PRIVATE, NULL) ||
	    mount("sysfs", "/sys", "sysfs", 0, NULL))
		return false;
	snprintf(path, sizeof(path), "/sys/class/net/%s/tap%u/dev", name,
		 index);
	f = fopen(path, "r");
	if (!f)
		return false;
	if (fscanf(f, "%u:%u", &maj, &min) != 2)
		maj = 0;
	fclose(f);
	snprintf(node, sizeof(node), "%s/tap", dir);
	return maj && !mknod(node, S_IFCHR | 0600, makedev(maj, min));
}

static int setup_group(void **state unused_param)
{
	struct ifreq ifr;
	int fd;

	if (!enter_namespace())
		return 0;
	below = attach("low0", FLAGS);
	fcntl(below, F_SETFL, O_RDWR | O_NONBLOCK);
	set_up("low0", true);
	if (make_macvtap("mv0", "low0") || !make_node("mv0") ||
	    (fd = open(node, O_RDWR)) < 0) {
		print_message("no macvtap here: %s\n", strerror(errno));
		close_fd(&below);
		return 0;
	}
	close(fd);
	ifr = ifreq_of("mv0");
	assert_int_equal(name_ioctl(SIOCGIFHWADDR, &ifr), 0);
	memcpy(mac, ifr.ifr_hwaddr.sa_data, 6);
	return 0;
}

static int teardown_group(void **state unused_param)
{
	close_fd(&below);
	unlink(node);
	rmdir(dir);
	return 0;
}

/* ---- tests ---- */

static struct tap tap;
static struct error err;

static void open_all(int *fds, unsigned int nr)
{
	const struct tap_config config = { .fds = fds,
					   .nr_queues = nr,
					   .offloads = TUN_F_CSUM | TUN_F_TSO4 |
						       TUN_F_TSO6 | TUN_F_UFO };

	for (unsigned int i = 0; i < nr; i++)
		fds[i] = open(node, O_RDWR | O_CLOEXEC);
	if (tap_open(&tap, &config, &err))
		fail_msg("%s", err.msg);
}

static void make_frame(uint8_t *frame, const uint8_t *to, const uint8_t *from)
{
	memset(frame, 0x5a, 60);
	memcpy(frame, to, 6);
	memcpy(frame + 6, from, 6);
	memcpy(frame + 12, "\x88\xb5", 2);
}

static bool reads(int fd, size_t header, const uint8_t *frame)
{
	uint8_t buf[2048];
	struct pollfd pfd = { fd, POLLIN, 0 };

	while (poll(&pfd, 1, 500) == 1)
		if (read(fd, buf, sizeof(buf)) == (ssize_t)header + 60 &&
		    !memcmp(buf + header, frame, 60))
			return true;
	return false;
}

static void test_frames(void **state unused_param)
{
	static const uint8_t far[6] = { 2, 0, 0, 0, 0, 7 };
	uint8_t frame[60], out[10 + 60] = { 0 }, header[TAP_HEADER] = { 0 };
	struct iovec iov[] = { { header, sizeof(header) },
			       { frame, sizeof(frame) } };
	int fd, size = 0;

	if (below < 0)
		skip();
	set_up("mv0", true);
	open_all(&fd, 1);
	assert_string_equal(tap.name, "mv0");
	assert_int_equal(tap.mtu, 1500);
	assert_true(tap.offloads & TUN_F_TSO4);
	assert_int_equal(tap_set_offloads(&tap, tap.offloads), 0);
	assert_int_equal(ioctl(fd, TUNGETVNETHDRSZ, &size), 0);
	assert_int_equal(size, TAP_HEADER);
	make_frame(frame, far, mac);
	assert_int_equal(tap_write(&tap, 0, iov, 2), sizeof(header) + 60);
	assert_true(reads(below, 10, frame));
	make_frame(frame, mac, far);
	memcpy(out + 10, frame, 60);
	assert_int_equal(write(below, out, sizeof(out)), sizeof(out));
	assert_true(reads(tap.fds[0], TAP_HEADER, frame));
	/* The kernel has no filter for it, and says so. */
	assert_true(tap_set_filter(&tap, NULL) < 0);
	tap_close(&tap);
	assert_int_equal(ioctl(fd, TUNGETVNETHDRSZ, &size), 0);
	assert_int_equal(size, 10);
	close(fd);
}

static void test_queues(void **state unused_param)
{
	int fds[4];

	if (below < 0)
		skip();
	open_all(fds, 4);
	for (unsigned int i = 1; i < 4; i++)
		assert_int_equal(tap_set_queue(&tap, i, true), 0);
	for (unsigned int i = 3; i; i--)
		assert_int_equal(tap_set_queue(&tap, i, false), 0);
	assert_int_equal(tap_set_queue(&tap, 2, true), 0);
	tap_close(&tap);
	for (unsigned int i = 0; i < 4; i++)
		close(fds[i]);
}

static void test_same_queue(void **state unused_param)
{
	int fds[2] = { -1, -1 };
	const struct tap_config config = { .fds = fds, .nr_queues = 2 };

	if (below < 0)
		skip();
	fds[0] = fds[1] = open(node, O_RDWR | O_CLOEXEC);
	assert_int_equal(tap_open(&tap, &config, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "same queue"));
	close(fds[0]);
}

/* By name it is none: what to do is said. */
static void test_by_name(void **state unused_param)
{
	const struct tap_config config = { .name = "mv0", .nr_queues = 1 };

	if (below < 0)
		skip();
	assert_int_equal(tap_open(&tap, &config, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "fd=[N]"));
}

static void test_link(void **state unused_param)
{
	int fd;

	if (below < 0)
		skip();
	set_up("mv0", true);
	open_all(&fd, 1);
	assert_true(tap.link.fd >= 0);
	assert_true(tap.link.up);
	tap_close(&tap);
	close(fd);
	set_up("mv0", false);
	open_all(&fd, 1);
	assert_false(tap.link.up);
	tap_close(&tap);
	close(fd);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_frames),
		cmocka_unit_test(test_queues),
		cmocka_unit_test(test_same_queue),
		cmocka_unit_test(test_by_name),
		cmocka_unit_test(test_link),
	};

	return cmocka_run_group_tests_name("macvtap", tests, setup_group,
					   teardown_group);
}
