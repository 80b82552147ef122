/* SPDX-License-Identifier: Apache-2.0 */
/* Copyright (c) The vmm authors */
#include "devices/virtio/net_params.h"

#include <arpa/inet.h>
#include <fcntl.h>
#include <linux/if_tun.h>
#include <setjmp.h>
#include <stdarg.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include <cmocka.h>

#include "vmm/api/json.h"
#include "vmm/param_net.h"
#include "vmm/util.h"

static const struct device_class net_like = {
	.name = "net-like",
	.option = "net",
	.json_list = "net",
	.params = &net_param_set,
	.set_params = &net_set_params,
	.peer_keys = net_peer_keys,
};

static struct device_config dc;
static struct net_config *config;
static struct error err;

static int setup(void **state unused_param)
{
	assert_int_equal(device_config_init(&dc, &net_like, &err), 0);
	config = dc.config;
	err = (struct error){ "" };
	return 0;
}

static int teardown(void **state unused_param)
{
	/* Numbers of the tests, which close them. */
	config->fds.nr = 0;
	device_config_free(&dc);
	return 0;
}

/* As this process was started with them. */
static void fresh_fds(void)
{
	dup2(STDERR_FILENO, 20);
	dup2(STDERR_FILENO, 21);
}

static void parse(const char *text)
{
	fresh_fds();
	if (param_parse(&net_param_set, config, text, &err))
		fail_msg("%s: %s", text, err.msg);
}

static void refuse(const char *text, const char *why)
{
	void *copy;

	fresh_fds();
	copy = param_copy(&net_param_set, config);
	fresh_fds();
	assert_int_equal(param_parse(&net_param_set, copy, text, &err),
			 -EINVAL);
	param_free(&net_param_set, copy);
	free(copy);
	if (!strstr(err.msg, why))
		fail_msg("%s: '%s' lacks '%s'", text, err.msg, why);
}

/* ---- VLANs ---- */

static unsigned int vlan_nr_ids(const struct vlan_ports *vlan)
{
	unsigned int nr = 0;

	for (unsigned int i = 0; i < ARRAY_SIZE(vlan->trunk); i++)
		nr += (unsigned int)__builtin_popcountll(vlan->trunk[i]);
	return nr;
}

static void test_vlans(void **state unused_param)
{
	struct vlan_ports vlan;

	assert_int_equal(net_vlan_parse(NULL, &vlan, &err), 0);
	assert_int_equal(vlan.mode, VLAN_OFF);
	assert_int_equal(net_vlan_parse("off", &vlan, &err), 0);
	assert_int_equal(vlan.mode, VLAN_OFF);
	assert_int_equal(net_vlan_parse("1", &vlan, &err), 0);
	assert_int_equal(vlan.mode, VLAN_ACCESS);
	assert_int_equal(vlan.access, 1);
	assert_int_equal(net_vlan_parse("4094", &vlan, &err), 0);
	assert_int_equal(vlan.access, 4094);
	assert_int_equal(net_vlan_parse("trunk:[10,20-29]", &vlan, &err), 0);
	assert_int_equal(vlan.mode, VLAN_TRUNK);
	assert_int_equal(vlan_nr_ids(&vlan), 11);
	assert_true(vlan_ports_has(&vlan, 10));
	assert_false(vlan_ports_has(&vlan, 19));
	assert_true(vlan_ports_has(&vlan, 20));
	assert_true(vlan_ports_has(&vlan, 29));
	assert_false(vlan_ports_has(&vlan, 30));
	assert_int_equal(net_vlan_parse("trunk:7", &vlan, &err), 0);
	assert_int_equal(vlan_nr_ids(&vlan), 1);
	assert_int_equal(net_vlan_parse("trunk:1-4094", &vlan, &err), 0);
	assert_int_equal(vlan_nr_ids(&vlan), 4094);
	assert_int_equal(net_vlan_parse("trunk:[5,5,4-6]", &vlan, &err), 0);
	assert_int_equal(vlan_nr_ids(&vlan), 3);
}

static void test_wrong_vlans(void **state unused_param)
{
	static const char *const wrong[] = {
		"0",	       "4095",
		"4096",	       "-1",
		"1x",	       "",
		"10 ",	       "01x",
		"on",	       "trunk",
		"trunk:",      "trunk:[]",
		"trunk:[0]",   "trunk:[4095]",
		"trunk:[1",    "trunk:[1,]",
		"trunk:1,2",   "trunk:[1]x",
		"trunk:[2-1]", "trunk:[1-4095]",
		"trunk:[1-",   "trunk:[1--2]",
		"trunk:[-2]",  "trunk:[[1]]",
		"Trunk:1",     "18446744073709551626",
	};
	struct vlan_ports vlan;

	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++) {
		if (net_vlan_parse(wrong[i], &vlan, &err) != -EINVAL)
			fail_msg("'%s' was taken", wrong[i]);
		assert_non_null(strstr(err.msg, "trunk:[10,20-29]"));
	}
	refuse("vlan=4095", "--net vlan=4095: not of VLANs 1 to 4094");
	refuse("vlan=trunk:[1,0]", "vlan=trunk:[1,0]");
}

/* ---- the command line ---- */

static void test_defaults(void **state unused_param)
{
	uint8_t mac[6];
	struct net_config *copy;

	parse("id=n");
	assert_null(config->tap);
	assert_int_equal(config->num_queues, 2);
	assert_int_equal(net_config_pairs(config), 1);
	assert_int_equal(config->queue_size, 256);
	assert_true(config->offload_tso && config->offload_ufo &&
		    config->offload_csum);
	assert_int_equal(config->ip, 0);
	/* Made up: of one station, locally administered. It stays. */
	assert_int_equal(config->mac[0] & 3, 2);
	memcpy(mac, config->mac, sizeof(mac));
	parse("tap=t0");
	assert_memory_equal(config->mac, mac, sizeof(mac));
	copy = param_copy(&net_param_set, config);
	assert_int_equal(param_check(&net_param_set, copy, &err), 0);
	assert_memory_equal(copy->mac, mac, sizeof(mac));
	param_free(&net_param_set, copy);
	free(copy);
	copy = param_copy(&net_param_set, config);
	assert_true(net_config_is_same(config, copy));
	parse("mac=");
	assert_false(net_config_is_same(config, copy));
	param_free(&net_param_set, copy);
	free(copy);
	assert_memory_not_equal(config->mac, mac, sizeof(mac));
}

static void test_all(void **state unused_param)
{
	struct tap_config tap;

	parse("tap=t0,mac=52:54:00:12:34:56,host_mac=52:54:00:12:34:57,"
	      "mtu=9000,ip=10.0.0.1,mask=255.255.0.0,num_queues=8,"
	      "queue_size=1024,offload_ufo=off,vlan=trunk:[10,20-29],"
	      "antispoof=mac,netns=/run/netns/x,vhost=off,poll_us=0,id=n,"
	      "link=down,bw_size=1M,rx_ops_size=7");
	net_config_tap(config, &tap);
	assert_string_equal(tap.name, "t0");
	assert_null(tap.fds);
	assert_string_equal(tap.netns, "/run/netns/x");
	assert_int_equal(tap.nr_queues, 4);
	assert_int_equal(tap.host_mac[5], 0x57);
	assert_int_equal(tap.mtu, 9000);
	assert_int_equal(tap.ip, htonl(0x0a000001));
	assert_int_equal(tap.mask, htonl(0xffff0000));
	assert_true(tap.offloads & TUN_F_TSO6);
	assert_false(tap.offloads & TUN_F_UFO);
	assert_int_equal(limit_of(&config->limits, VIRTIO_TO_GUEST).ops.size,
			 7);
	assert_int_equal(limit_of(&config->limits, VIRTIO_FROM_GUEST).bw.size,
			 MIB);
	parse("offload_csum=off,host_mac=,mask=");
	net_config_tap(config, &tap);
	assert_int_equal(tap.offloads, 0);
	assert_null(tap.host_mac);
	assert_int_equal(tap.mask, htonl(0xffffff00));
}

static void test_descriptors(void **state unused_param)
{
	struct tap_config tap;
	char text[64];
	int a = dup2(STDERR_FILENO, 20), b = dup2(STDERR_FILENO, 21);

	/* There are as many queues as they serve. */
	parse("fd=[20,21]");
	assert_int_equal(config->num_queues, 4);
	net_config_tap(config, &tap);
	assert_int_equal(tap.nr_queues, 2);
	assert_int_equal(tap.fds[1], 21);
	parse("fd=20,num_queues=");
	assert_int_equal(config->num_queues, 2);
	refuse("fd=[20,21],num_queues=2", "use num_queues=4");
	refuse("fd=20,num_queues=4", "use num_queues=2");
	refuse("fd=20,tap=x", "either tap=NAME or fd=N");
	refuse("fd=20,netns=/x", "leave netns out");
	snprintf(text, sizeof(text), "fd=[%d,%d]", a, b + 100);
	refuse(text, "no such descriptor");
	close(a);
	close(b);
}

static void test_refused(void **state unused_param)
{
	refuse("num_queues=3", "use an even number");
	refuse("num_queues=1", "between 2 and");
	refuse("num_queues=254", "between 2 and 252");
	refuse("queue_size=100", "power of two");
	refuse("queue_size=2", "power of two");
	refuse("mtu=67", "between 68 and");
	refuse("mtu=65535", "between 68 and");
	refuse("mask=255.0.0.0", "give both");
	refuse("ip=1.2.3.4,mask=255.0.255.0", "255.255.255.0");
	refuse("mac=ff:ff:ff:ff:ff:ff", "even first byte");
	refuse("antispoof=on", "off, mac");
	refuse("tap=sixteen-bytes-xx", "at most 15 bytes");
	parse("num_queues=8");
	assert_int_equal(net_config_check_cpus(config, 4, &err), 0);
	assert_int_equal(net_config_check_cpus(config, 3, &err), -EINVAL);
	assert_non_null(strstr(err.msg, "num_queues=6"));
	assert_non_null(strstr(err.msg, "--cpus 4"));
}

static void test_vhost(void **state unused_param)
{
	refuse("vhost=on,vlan=3", "knows nothing of vlan");
	refuse("vhost=on,antispoof=mac", "knows nothing of antispoof");
	refuse("vhost=on,bw_size=1", "knows nothing of a rate limit");
	refuse("vhost=on,tx_ops_size=1", "knows nothing of a rate limit");
	parse("vhost=on,vlan=off");
}

/* ---- JSON ---- */

static int read_json(const char *text, int *fds, unsigned int nr)
{
	const struct json_fds came = { .fds = fds, .nr = nr };
	json_t *obj = json_read_text(text, strlen(text), &err);
	int r;

	assert_non_null(obj);
	teardown(NULL);
	setup(NULL);
	r = json_read_device(&dc, obj, "", &came, &err);
	json_decref(obj);
	return r;
}

/* What vm.info shows. */
static json_t *written(void)
{
	struct vm_config vc;
	json_t *all, *net;

	vm_config_init(&vc);
	vc.devices[0] = dc;
	vc.nr_devices = 1;
	all = json_write_config(&vc);
	net = json_incref(json_array_get(json_object_get(all, "net"), 0));
	json_decref(all);
	vc.nr_devices = 0;
	vm_config_free(&vc);
	return net;
}

static void expect_text(const json_t *obj, const char *key, const char *text)
{
	assert_string_equal(json_string_value(json_object_get(obj, key)), text);
}

/* As shims send it with a descriptor: what has no meaning then is shown. */
static void test_go_client(void **state unused_param)
{
	json_t *net;

	assert_int_equal(
		read_json("{\"mac\":\"52:54:00:12:34:56\",\"iommu\":false,"
			  "\"ip\":\"192.168.249.1\",\"mask\":\"255.255.255.0\","
			  "\"num_queues\":2,\"queue_size\":256,"
			  "\"vhost_user\":false,\"vhost_mode\":\"Client\","
			  "\"offload_tso\":true,\"offload_ufo\":true,"
			  "\"offload_csum\":true,\"fds\":[17,18],"
			  "\"tap\":null,\"id\":null}",
			  NULL, 0),
		0);
	assert_int_equal(config->fds.nr, 0);
	net = written();
	expect_text(net, "mac", "52:54:00:12:34:56");
	expect_text(net, "ip", "192.168.249.1");
	expect_text(net, "mask", "255.255.255.0");
	expect_text(net, "vhost_mode", "Client");
	assert_int_equal(json_integer_value(json_object_get(net, "num_queues")),
			 2);
	assert_int_equal(json_integer_value(json_object_get(net, "queue_size")),
			 256);
	assert_true(json_is_true(json_object_get(net, "offload_csum")));
	assert_null(json_object_get(net, "fds"));
	assert_null(json_object_get(net, "tap"));
	assert_null(json_object_get(net, "vlan"));
	assert_null(json_object_get(net, "host_mac"));
	json_decref(net);
}

static void test_json_defaults(void **state unused_param)
{
	json_t *net;

	assert_int_equal(read_json("{}", NULL, 0), 0);
	assert_int_equal(config->ip, 0);
	net = written();
	expect_text(net, "ip", "192.168.249.1");
	expect_text(net, "mask", "255.255.255.0");
	expect_text(net, "mac", param_mac_text(config->mac).text);
	assert_int_equal(json_integer_value(json_object_get(net, "num_queues")),
			 2);
	json_decref(net);
	assert_int_equal(read_json("{\"ip\":\"10.1.2.3\"}", NULL, 0), 0);
	net = written();
	expect_text(net, "ip", "10.1.2.3");
	json_decref(net);
}

/* Numbers and words are both good. */
static void test_json_vlan(void **state unused_param)
{
	json_t *net;

	assert_int_equal(read_json("{\"vlan\":10}", NULL, 0), 0);
	assert_string_equal(config->vlan, "10");
	net = written();
	assert_int_equal(json_integer_value(json_object_get(net, "vlan")), 10);
	json_decref(net);
	assert_int_equal(read_json("{\"vlan\":\"10\"}", NULL, 0), 0);
	assert_string_equal(config->vlan, "10");
	assert_int_equal(read_json("{\"vlan\":\"trunk:[1-3]\"}", NULL, 0), 0);
	net = written();
	expect_text(net, "vlan", "trunk:[1-3]");
	json_decref(net);
	assert_int_equal(read_json("{\"vlan\":0}", NULL, 0), -EINVAL);
	assert_non_null(strstr(err.msg, "vlan 0: not of VLANs 1"));
	assert_int_equal(read_json("{\"vlan\":-1}", NULL, 0), -EBADMSG);
	assert_int_equal(read_json("{\"vlan\":true}", NULL, 0), -EBADMSG);
	assert_int_equal(read_json("{\"vlan\":[1]}", NULL, 0), -EBADMSG);
}

static void test_json_descriptors(void **state unused_param)
{
	int fds[3];

	for (unsigned int i = 0; i < 3; i++)
		fds[i] = dup2(STDERR_FILENO, 30 + (int)i);
	assert_int_equal(read_json("{\"fd\":[1,0]}", fds, 3), 0);
	assert_int_equal(config->fds.nr, 2);
	assert_int_equal(config->num_queues, 4);
	/* They were taken over. */
	assert_int_equal(fds[0], -1);
	assert_int_equal(fds[1], -1);
	close(config->fds.fds[0]);
	close(config->fds.fds[1]);
	assert_int_equal(read_json("{\"fd\":2}", fds, 3), 0);
	assert_int_equal(config->fds.nr, 1);
	close(config->fds.fds[0]);
	assert_int_equal(read_json("{\"fd\":[3]}", fds, 3), -EINVAL);
	assert_int_equal(read_json("{\"fd\":[0]}", fds, 3), -EINVAL);
	assert_int_equal(read_json("{\"fd\":[\"0\"]}", fds, 3), -EBADMSG);
	assert_int_equal(read_json("{\"fd\":\"0\"}", fds, 3), -EBADMSG);
	assert_int_equal(read_json("{\"fd\":[-1]}", fds, 3), -EBADMSG);
}

static void test_json_refused(void **state unused_param)
{
	static const char *const refused[] = {
		"{\"vhost_user\":true}", "{\"vhost_socket\":\"/x\"}",
		"{\"iommu\":true}",	 "{\"pci_segment\":1}",
		"{\"ip\":\"x\"}",	 "{\"mac\":\"x\"}",
		"{\"num_queues\":3}",	 "{\"antispoof\":\"ip\"}",
	};
	static const char *const wrong[] = {
		"{\"ip\":1}",
		"{\"mac\":1}",
		"{\"mtu\":\"1500\"}",
		"{\"vhost_mode\":1}",
	};

	for (unsigned int i = 0; i < ARRAY_SIZE(refused); i++)
		if (read_json(refused[i], NULL, 0) != -EINVAL)
			fail_msg("%s was taken", refused[i]);
	for (unsigned int i = 0; i < ARRAY_SIZE(wrong); i++)
		if (read_json(wrong[i], NULL, 0) != -EBADMSG)
			fail_msg("%s was taken", wrong[i]);
	assert_int_equal(read_json("{\"vhost_user\":false,\"iommu\":null,"
				   "\"pci_segment\":0}",
				   NULL, 0),
			 0);
}

#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)

int main(void)
{
	const struct CMUnitTest tests[] = {
		TEST(test_vlans),
		TEST(test_wrong_vlans),
		TEST(test_defaults),
		TEST(test_all),
		TEST(test_descriptors),
		TEST(test_refused),
		TEST(test_vhost),
		TEST(test_go_client),
		TEST(test_json_defaults),
		TEST(test_json_vlan),
		TEST(test_json_descriptors),
		TEST(test_json_refused),
	};

	return cmocka_run_group_tests_name("net_params", tests, NULL, NULL);
}
