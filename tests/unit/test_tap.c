/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
/* Real TAPs, in a network namespace of the test's own. */
#include "devices/backend/tap.h"

#include <linux/ethtool.h>
#include <linux/filter.h>
#include <poll.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdio.h>
#include <stdlib.h>
#include <sys/stat.h>

#include <cmocka.h>

#include "devices/backend/tap_filter.h"
#include "tests/unit/tap_fixture.h"

#define OFFLOADS                                                         \
	(TUN_F_CSUM | TUN_F_TSO4 | TUN_F_TSO6 | TUN_F_UFO | TAP_F_USO4 | \
	 TAP_F_USO6)

static bool refused; /* by the host: no namespace, or no TAP in it */
static struct tap tap;
static struct error err;

static bool is_there(const char *name)
{
	struct ifreq ifr = ifreq_of(name);

	return !name_ioctl(SIOCGIFINDEX, &ifr);
}

static uint32_t ethtool(const char *name, uint32_t command)
{
	struct ethtool_value value = { .cmd = command };
	struct ifreq ifr = ifreq_of(name);

	ifr.ifr_data = (char *)&value;
	assert_int_equal(name_ioctl(SIOCETHTOOL, &ifr), 0);
	return value.data;
}

/* One that stays when nobody has it open, as `ip tuntap add` makes them. */
static void persist(const char *name, int flags, bool on)
{
	cleanup_fd int fd = attach(name, flags);

	assert_true(fd >= 0);
	assert_int_equal(ioctl(fd, TUNSETPERSIST, (unsigned long)on), 0);
}

static int setup(void **state unused_param)
{
	if (refused)
		skip();
	memset(&tap, 0, sizeof(tap));
	err = (struct error){ "" };
	return 0;
}

static struct tap_config by_name(const char *name)
{
	return (struct tap_config){ .name = name,
				    .nr_queues = 1,
				    .offloads = OFFLOADS };
}

static void expect_open(const struct tap_config *config)
{
	if (tap_open(&tap, config, &err))
		fail_msg("%s", err.msg);
}

/* Refused with r, nothing is open, and the message names both. */
static void expect_refusal(const struct tap_config *config, int r,
			   const char *word1, const char *word2)
{
	int fd, after, got;

	opener_leave();
	fd = open("/", O_PATH);
	close(fd);
	err = (struct error){ "" };
	got = tap_open(&tap, config, &err);
	opener_leave();
	if (got != r || !strstr(err.msg, word1) || !strstr(err.msg, word2))
		fail_msg("%d, '%s' lacks '%s' or '%s'", got, err.msg, word1,
			 word2);
	after = open("/", O_PATH);
	assert_int_equal(fd, after);
	close(after);
	assert_int_equal(tap.fds[0], -1);
	tap_close(&tap);
}

/* ---- frames ---- */

static const uint8_t frame[60] = { 2, 0, 0, 0, 0,    1,	   2,  0,
				   0, 0, 0, 2, 0x88, 0xb5, 'x' };

/* Our frame arrives, among others that the host sends by itself. */
static bool tap_gets_frame(unsigned int queue)
{
	uint8_t buf[2048];
	struct iovec iov = { buf, sizeof(buf) };
	struct pollfd pfd = { tap.fds[queue], POLLIN, 0 };
	ssize_t n;

	while (poll(&pfd, 1, 200) == 1) {
		n = tap_read(&tap, queue, &iov, 1);
		if (n == TAP_HEADER + sizeof(frame) &&
		    !memcmp(buf + TAP_HEADER, frame, sizeof(frame)))
			return true;
	}
	return false;
}

static bool host_gets_frame(int fd)
{
	uint8_t buf[2048];
	struct pollfd pfd = { fd, POLLIN, 0 };

	while (poll(&pfd, 1, 200) == 1)
		if (recv(fd, buf, sizeof(buf), 0) == sizeof(frame) &&
		    !memcmp(buf, frame, sizeof(frame)))
			return true;
	return false;
}

static void expect_frames(void)
{
	uint8_t header[TAP_HEADER] = { 0 };
	struct iovec iov[] = { { header, sizeof(header) },
			       { (void *)(uintptr_t)frame, sizeof(frame) } };
	cleanup_fd int fd = host_side(tap.name);

	assert_int_equal(send(fd, frame, sizeof(frame), 0), sizeof(frame));
	assert_true(tap_gets_frame(0));
	assert_int_equal(tap_write(&tap, 0, iov, 2),
			 TAP_HEADER + sizeof(frame));
	assert_true(host_gets_frame(fd));
}

/* ---- by name ---- */

static void test_made(void **state unused_param)
{
	struct tap_config config = by_name("made0");
	struct ifreq ifr = ifreq_of("made0");
	uint8_t byte;
	struct iovec iov = { &byte, 1 };

	expect_open(&config);
	assert_true(tap.made);
	assert_string_equal(tap.name, "made0");
	assert_int_equal(tap.mtu, 1500);
	assert_true(tap.offloads & TUN_F_TSO4);
	assert_int_equal(name_ioctl(SIOCGIFFLAGS, &ifr), 0);
	assert_true(ifr.ifr_flags & IFF_UP);
	assert_true(fcntl(tap.fds[0], F_GETFD) & FD_CLOEXEC);
	expect_frames();
	while (tap_read(&tap, 0, &iov, 1) > 0)
		;
	assert_int_equal(tap_read(&tap, 0, &iov, 1), -EAGAIN);
	tap_close(&tap);
	assert_int_equal(tap.fds[0], -1);
	assert_false(is_there("made0"));
	tap_close(&tap);
}

static void test_nameless(void **state unused_param)
{
	struct tap_config config = by_name(NULL);
	struct tap first;

	expect_open(&config);
	first = tap;
	expect_open(&config);
	assert_true(is_there(tap.name));
	assert_string_not_equal(tap.name, first.name);
	tap_close(&tap);
	assert_false(is_there(tap.name));
	tap_close(&first);
}

static void test_interface(void **state unused_param)
{
	static const uint8_t mac[6] = { 2, 0x11, 0x22, 0x33, 0x44, 0x55 };
	struct tap_config config = by_name("if0");
	struct ifreq ifr = ifreq_of("if0");
	struct sockaddr_in in;

	config.host_mac = mac;
	config.mtu = 9000;
	config.ip = inet_addr("192.168.249.1");
	config.mask = inet_addr("255.255.255.128");
	expect_open(&config);
	assert_int_equal(tap.mtu, 9000);
	assert_int_equal(name_ioctl(SIOCGIFMTU, &ifr), 0);
	assert_int_equal(ifr.ifr_mtu, 9000);
	assert_int_equal(name_ioctl(SIOCGIFHWADDR, &ifr), 0);
	assert_memory_equal(ifr.ifr_hwaddr.sa_data, mac, 6);
	assert_int_equal(name_ioctl(SIOCGIFADDR, &ifr), 0);
	memcpy(&in, &ifr.ifr_addr, sizeof(in));
	assert_int_equal(in.sin_addr.s_addr, config.ip);
	assert_int_equal(name_ioctl(SIOCGIFNETMASK, &ifr), 0);
	memcpy(&in, &ifr.ifr_addr, sizeof(in));
	assert_int_equal(in.sin_addr.s_addr, config.mask);
	tap_close(&tap);

	config.mtu = 70000;
	expect_refusal(&config, -EINVAL, "mtu", "if0");
	config.mtu = 0;
	config.host_mac = (const uint8_t[6]){ 1, 0, 0, 0, 0, 1 };
	expect_refusal(&config, -EADDRNOTAVAIL, "host_mac", "if0");
	assert_false(is_there("if0"));
}

/* What TUNSETVNETHDRSZ and TUNSETVNETLE were told. */
static void expect_header(const char *name, int flags, int size, int le)
{
	cleanup_fd int fd = attach(name, flags);
	int value;

	assert_int_equal(ioctl(fd, TUNGETVNETHDRSZ, &value), 0);
	assert_int_equal(value, size);
	assert_int_equal(ioctl(fd, TUNGETVNETLE, &value), 0);
	assert_int_equal(value, le);
}

static void set_header(const char *name, int size, int le)
{
	cleanup_fd int fd = attach(name, FLAGS);

	assert_int_equal(ioctl(fd, TUNSETVNETHDRSZ, &size), 0);
	assert_int_equal(ioctl(fd, TUNSETVNETLE, &le), 0);
}

static void test_left_as_found(void **state unused_param)
{
	struct tap_config config = by_name("there0");

	persist("there0", FLAGS, true);
	expect_open(&config);
	assert_false(tap.made);
	expect_frames();
	assert_int_equal(tap_set_offloads(&tap, tap.offloads), 0);
	assert_int_equal(ethtool("there0", ETHTOOL_GTXCSUM), 1);
	tap_close(&tap);
	assert_true(is_there("there0"));
	expect_header("there0", FLAGS, 10, 0);
	assert_int_equal(ethtool("there0", ETHTOOL_GTXCSUM), 0);

	set_header("there0", 20, 0);
	expect_open(&config);
	tap_close(&tap);
	expect_header("there0", FLAGS, 20, 0);
	set_header("there0", 12, 0);
	expect_open(&config);
	tap_close(&tap);
	expect_header("there0", FLAGS, 12, 0);
	persist("there0", FLAGS, false);
}

/* Nobody cleaned up: header, offloads, and a filter that drops everything. */
static void test_killed_before(void **state unused_param)
{
	struct sock_filter none = BPF_STMT(BPF_RET | BPF_K, 0);
	struct sock_fprog prog = { 1, &none };
	struct tap_config config = by_name("there0");
	cleanup_fd int fd = -1;

	persist("there0", FLAGS, true);
	set_header("there0", 12, 1);
	fd = attach("there0", FLAGS);
	assert_int_equal(ioctl(fd, TUNATTACHFILTER, &prog), 0);
	assert_int_equal(ioctl(fd, TUNSETOFFLOAD, TUN_F_CSUM), 0);
	close_fd(&fd);
	config.offloads = 0;
	expect_open(&config);
	assert_int_equal(ethtool("there0", ETHTOOL_GTXCSUM), 0);
	expect_frames();
	tap_close(&tap);
	expect_header("there0", FLAGS, 10, 0);
	persist("there0", FLAGS, false);
}

static unsigned int nr_attached(const char *name)
{
	struct ethtool_channels ch = { .cmd = ETHTOOL_GCHANNELS };
	struct ifreq ifr = ifreq_of(name);

	ifr.ifr_data = (char *)&ch;
	assert_int_equal(name_ioctl(SIOCETHTOOL, &ifr), 0);
	return ch.combined_count;
}

static void test_queues(void **state unused_param)
{
	struct tap_config config = by_name("many0");
	unsigned int i;

	config.nr_queues = 4;
	expect_open(&config);
	assert_int_equal(nr_attached("many0"), 1);
	expect_frames();
	for (i = 1; i < 4; i++) {
		assert_int_equal(tap_set_queue(&tap, i, true), 0);
		assert_int_equal(tap_set_queue(&tap, i, true), 0);
		assert_int_equal(nr_attached("many0"), i + 1);
	}
	for (i = 3; i; i--) {
		assert_int_equal(tap_set_queue(&tap, i, false), 0);
		assert_int_equal(nr_attached("many0"), i);
	}
	tap_close(&tap);
	assert_false(is_there("many0"));

	/* One queue of a TAP for several. */
	persist("many0", FLAGS | IFF_MULTI_QUEUE, true);
	config.nr_queues = 1;
	expect_open(&config);
	expect_frames();
	tap_close(&tap);
	expect_header("many0", FLAGS | IFF_MULTI_QUEUE, 10, 0);
	persist("many0", FLAGS | IFF_MULTI_QUEUE, false);
}

/* A queue that comes while there is a filter is attached, too. */
static void test_queues_and_filter(void **state unused_param)
{
	static const struct tap_filter filter = { .broadcast = true };
	struct tap_config config = by_name("many1");
	unsigned int round;

	config.nr_queues = 2;
	expect_open(&config);
	for (round = 0; round < 3; round++) {
		assert_int_equal(tap_set_filter(&tap, round ? &filter : NULL),
				 0);
		assert_int_equal(tap_set_queue(&tap, 1, true), 0);
		assert_int_equal(nr_attached("many1"), 2);
		assert_int_equal(tap_set_queue(&tap, 1, false), 0);
		assert_int_equal(nr_attached("many1"), 1);
	}
	tap_close(&tap);
}

static void test_refused_names(void **state unused_param)
{
	struct tap_config config = by_name("lo");
	int fd;

	expect_refusal(&config, -EINVAL, "tap=lo", "not a TAP");
	config = by_name("a/b");
	expect_refusal(&config, -EINVAL, "tap=a/b", "15 bytes");
	config = by_name("sixteen-bytes-xx");
	expect_refusal(&config, -EINVAL, "tap=sixteen-bytes-xx", "15 bytes");

	fd = attach("tun0", IFF_TUN | IFF_NO_PI);
	config = by_name("tun0");
	expect_refusal(&config, -EINVAL, "tap=tun0", "TUN");
	close(fd);

	persist("one0", FLAGS, true);
	config = by_name("one0");
	config.nr_queues = 2;
	expect_refusal(&config, -EINVAL, "tap=one0", "multi_queue");
	config.nr_queues = 1;
	fd = attach("one0", FLAGS);
	expect_refusal(&config, -EBUSY, "tap=one0", "in use");
	close(fd);
	persist("one0", FLAGS, false);

	/* The kernel would share it. */
	fd = attach("many1", FLAGS | IFF_MULTI_QUEUE);
	config = by_name("many1");
	config.nr_queues = 2;
	expect_refusal(&config, -EBUSY, "tap=many1", "in use");
	assert_int_equal(nr_attached("many1"), 1);
	close(fd);
}

static int become_nobody(const void *arg unused_param)
{
	return seteuid(65534) ? -errno : 0;
}

static void test_no_permission(void **state unused_param)
{
	struct tap_config config = by_name("mine0");
	struct stat st;

	assert_int_equal(stat("/dev/net/tun", &st), 0);
	persist("mine0", FLAGS, true);
	start_opener(become_nobody);
	if (st.st_mode & S_IWOTH) {
		expect_refusal(&config, -EPERM, "tap=mine0", "another user");
		config = by_name("new0");
		expect_refusal(&config, -EPERM, "tap=new0", "make it before");
	} else {
		expect_refusal(&config, -EACCES, "/dev/net/tun", "fd=[N]");
	}
	start_opener(NULL);
	persist("mine0", FLAGS, false);
}

/* ---- by descriptor ---- */

static struct tap_config by_fds(const int *fds, unsigned int nr)
{
	return (struct tap_config){ .fds = fds,
				    .nr_queues = nr,
				    .offloads = OFFLOADS };
}

static void test_given(void **state unused_param)
{
	int fds[] = { attach("given0", FLAGS | IFF_MULTI_QUEUE),
		      attach("given0", FLAGS | IFF_MULTI_QUEUE) };
	struct tap_config config = by_fds(fds, 2);
	struct ifreq ifr = ifreq_of("given0");

	assert_int_equal(fcntl(fds[1], F_SETFL, O_RDWR | O_NONBLOCK), 0);
	set_up("given0", true);
	expect_open(&config);
	assert_string_equal(tap.name, "given0");
	assert_int_not_equal(tap.fds[0], fds[0]);
	assert_int_equal(tap.mtu, 1500);
	assert_int_equal(nr_attached("given0"), 1);
	expect_frames();
	tap_close(&tap);
	/* Theirs again. */
	assert_int_equal(nr_attached("given0"), 2);
	assert_false(fcntl(fds[0], F_GETFL) & O_NONBLOCK);
	assert_true(fcntl(fds[1], F_GETFL) & O_NONBLOCK);
	/* Killed with one of them detached. */
	ifr.ifr_flags = IFF_DETACH_QUEUE;
	assert_int_equal(ioctl(fds[0], TUNSETQUEUE, &ifr), 0);
	expect_open(&config);
	expect_frames();
	tap_close(&tap);
	assert_int_equal(nr_attached("given0"), 2);
	close(fds[0]);
	close(fds[1]);
	expect_header("given0", FLAGS, 10, 0); /* a new one */
}

/* Nobody looks at its interface then, or sets it. */
static void test_given_without_opener(void **state unused_param)
{
	int fd = attach("given1", FLAGS);
	struct tap_config config = by_fds(&fd, 1);
	struct tap_config named = by_name("new1");

	set_up("given1", true);
	opener_end();
	expect_open(&config);
	assert_int_equal(tap.link.fd, -1);
	assert_true(tap.link.up);
	expect_frames();
	tap_close(&tap);
	config.mtu = 1400;
	expect_refusal(&config, -ENOLINK, "mtu", "ip link set dev given1");
	expect_refusal(&named, -ENOLINK, "tap=new1", "has ended");
	assert_false(is_there("new1"));
	close(fd);
	start_opener(NULL);
}

static void test_refused_fds(void **state unused_param)
{
	int fds[] = { open("/dev/null", O_RDWR), -1 };
	struct tap_config config = by_fds(fds, 1);

	expect_refusal(&config, -EINVAL, "fd", "is not a TAP");
	close(fds[0]);
	fds[0] = open("/dev/net/tun", O_RDWR);
	expect_refusal(&config, -EINVAL, "fd", "no interface");
	close(fds[0]);
	expect_refusal(&config, -EBADF, "fd", "descriptor 1");
	fds[0] = attach("raw0", IFF_TAP | IFF_NO_PI);
	expect_refusal(&config, -EINVAL, "fd", "IFF_VNET_HDR");
	close(fds[0]);
	fds[0] = attach("raw0", IFF_TAP | IFF_VNET_HDR);
	expect_refusal(&config, -EINVAL, "fd", "lacks IFF_NO_PI");
	close(fds[0]);
	fds[0] = attach("raw0", IFF_TUN | IFF_NO_PI | IFF_VNET_HDR);
	expect_refusal(&config, -EINVAL, "fd", "TUN");
	close(fds[0]);

	config.nr_queues = 2;
	fds[0] = attach("raw0", FLAGS | IFF_MULTI_QUEUE);
	fds[1] = fds[0];
	expect_refusal(&config, -EINVAL, "fd", "same queue");
	assert_int_equal(nr_attached("raw0"), 1);
	fds[1] = attach("raw1", FLAGS | IFF_MULTI_QUEUE);
	expect_refusal(&config, -EINVAL, "descriptor 2", "another interface");
	close(fds[0]);
	close(fds[1]);
	fds[0] = fds[1] = attach("raw0", FLAGS);
	expect_refusal(&config, -EINVAL, "fd", "IFF_MULTI_QUEUE");
	close(fds[0]);
}

/* ---- in other namespaces ---- */

static void *enter_other(void *arg)
{
	int *fds = arg;

	assert_int_equal(unshare(CLONE_NEWNET), 0);
	fds[0] = open("/proc/thread-self/ns/net", O_RDONLY | O_CLOEXEC);
	fds[1] = attach("other0", FLAGS);
	return NULL;
}

static void expect_same_namespace(const struct stat *before)
{
	struct stat now;

	assert_int_equal(stat("/proc/thread-self/ns/net", &now), 0);
	assert_int_equal(now.st_ino, before->st_ino);
}

static void test_namespace(void **state unused_param)
{
	struct tap_config config = by_name("far0");
	int fds[2];
	char path[32];
	pthread_t thread;
	struct stat before;

	assert_int_equal(stat("/proc/thread-self/ns/net", &before), 0);
	assert_int_equal(pthread_create(&thread, NULL, enter_other, fds), 0);
	pthread_join(thread, NULL);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fds[0]);
	config.netns = path;
	expect_open(&config);
	assert_false(is_there("far0"));
	assert_int_equal(tap.mtu, 1500);
	expect_same_namespace(&before);
	tap_close(&tap);

	/* One that was opened there; here is another one of its name. */
	tap.fds[0] = attach("other0", FLAGS);
	config = by_fds(&fds[1], 1);
	config.mtu = 1400;
	expect_open(&config);
	assert_int_equal(tap.mtu, 1400);
	expect_same_namespace(&before);
	tap_close(&tap);
	close(fds[0]);
	close(fds[1]);
}

static void test_refused_namespaces(void **state unused_param)
{
	struct tap_config config = by_name("far0");

	config.netns = "/no/such/file";
	expect_refusal(&config, -ENOENT, "netns=/no/such/file", "/run/netns");
	config.netns = "/dev/null";
	expect_refusal(&config, -EINVAL, "netns=/dev/null", "not a network");
	config.netns = "/proc/self/ns/pid";
	expect_refusal(&config, -EINVAL, "/ns/pid", "not a network");
	config.netns = "/proc/self/ns/net";
	start_opener(become_nobody);
	expect_refusal(&config, -EPERM, "netns", "CAP_SYS_ADMIN");
	start_opener(NULL);
}

int main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup(test_made, setup),
		cmocka_unit_test_setup(test_nameless, setup),
		cmocka_unit_test_setup(test_interface, setup),
		cmocka_unit_test_setup(test_left_as_found, setup),
		cmocka_unit_test_setup(test_killed_before, setup),
		cmocka_unit_test_setup(test_queues, setup),
		cmocka_unit_test_setup(test_queues_and_filter, setup),
		cmocka_unit_test_setup(test_refused_names, setup),
		cmocka_unit_test_setup(test_no_permission, setup),
		cmocka_unit_test_setup(test_given, setup),
		cmocka_unit_test_setup(test_given_without_opener, setup),
		cmocka_unit_test_setup(test_refused_fds, setup),
		cmocka_unit_test_setup(test_namespace, setup),
		cmocka_unit_test_setup(test_refused_namespaces, setup),
	};

	refused = !enter_namespace();
	return cmocka_run_group_tests_name("tap", tests, NULL, NULL);
}
