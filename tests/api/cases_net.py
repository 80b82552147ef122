# SPDX-License-Identifier: Apache-2.0
"""Networks as shims add them: TAPs by descriptor, on a connection of their own."""

import os
import re
import subprocess
import time

import network
from cases import check, check_chain
from cases_hostile import put
from client import PREFIX, PROFILES, Wire

BDF = re.compile(r"0000:00:[0-9a-f]{2}\.0")


def go_net(mac, **more):
    """What Kata's Go runtime sends."""
    return {"iommu": False, "ip": "192.168.249.1", "mac": mac, "mask": "255.255.255.0",
            "num_queues": 2, "offload_csum": True, "offload_tso": True, "offload_ufo": True,
            "queue_size": 256, "vhost_mode": "Client", "vhost_user": False, **more}


def rust_net(mac, **more):
    """What its Rust runtime sends: nulls, and descriptor numbers of its own."""
    return {"tap": None, "ip": "192.168.249.1", "mask": "255.255.255.0", "mac": mac,
            "host_mac": None, "mtu": None, "iommu": False, "num_queues": 2, "queue_size": 256,
            "vhost_user": False, "vhost_socket": None, "vhost_mode": "Client", "id": None,
            "fds": [11, 12], "rate_limiter_config": None, "pci_segment": 0,
            "offload_tso": True, "offload_ufo": True, "offload_csum": True, **more}


def net_of(profile):
    return rust_net if profile == "rust" else go_net


def nets(client):
    info = check(client.request("GET", "vm.info"), 200).json()
    return info["config"].get("net", [])


def check_net(net):
    """The types that strict clients insist on."""
    for key in ("ip", "mask"):
        assert re.fullmatch(r"\d+\.\d+\.\d+\.\d+", net[key]), net
    assert re.fullmatch(r"([0-9a-f]{2}:){5}[0-9a-f]{2}", net["mac"]), net
    assert isinstance(net["num_queues"], int) and isinstance(net["queue_size"], int), net
    assert set(net.get("rate_limiter_config", {})) <= {"bandwidth", "ops"}, net
    assert "fds" not in net and "fd" not in net, net


def test_add_net(context, profile):
    """Each with its descriptors, all on one connection; and all of them again with
    each new one."""
    if profile == "curl":
        return
    body = net_of(profile)
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return
        taps = [network.tap(f"tap{n}") for n in range(3)]
        macs = [f"02:00:00:00:00:0{n}" for n in range(3)]
        check(client.request("PUT", "vm.create", context.config()), 204)
        adder = PROFILES[profile](monitor.path)
        before = monitor.settled_fds()
        for n in range(2):
            check(adder.request("PUT", "vm.add-net", body(macs[n]), taps[n]), 204)
            assert monitor.settled_fds() == before + n + 1
        check(adder.request("PUT", "vm.add-net", body(macs[0]), taps[0]), 204)
        assert monitor.settled_fds() == before + 2
        check(client.request("PUT", "vm.boot"), 204)
        booted = monitor.settled_fds()
        shown = nets(client)
        assert [net["mac"] for net in shown] == macs[:2]
        assert [net["id"] for net in shown] == ["_net1", "_net2"]
        for net in shown:
            check_net(net)
        # A new one, and those that are there: no descriptor stays.
        places = [check(adder.request("PUT", "vm.add-net", body(mac), tap), 200).json()
                  for mac, tap in zip(macs, taps)]
        assert [place["id"] for place in places] == ["_net1", "_net2", "_net3"]
        assert all(BDF.fullmatch(place["bdf"]) for place in places)
        assert len({place["bdf"] for place in places}) == 3
        with_third = monitor.settled_fds()
        assert with_third > booted
        for mac, tap, place in zip(macs, taps, places):
            assert check(adder.request("PUT", "vm.add-net", body(mac), tap), 200).json() == place
        assert monitor.settled_fds() == with_third
        # They are kept for the next start, whatever the client does with its own.
        for fds in taps:
            network.close(fds)
        check(client.request("PUT", "vm.reboot"), 204)
        check(client.request("PUT", "vm.shutdown"), 204)
        check(client.request("PUT", "vm.boot"), 204)
        assert [net["mac"] for net in nets(client)] == macs
        assert network.links() >= {"tap0", "tap1", "tap2"}
        check(client.request("PUT", "vm.remove-device", {"id": "_net3", "force": True}), 204)
        assert [net["mac"] for net in nets(client)] == macs[:2]
        assert network.links() >= {"tap0", "tap1"} and "tap2" not in network.links()
        names = monitor.event_names()
        assert names.count(("vm", "device-added")) == 1
        assert names.count(("vm", "device-removed")) == 1
        check(client.request("PUT", "vm.delete"), 204)
        assert monitor.settled_fds() == before
        assert network.links() == {"lo"}
        adder.close()


def test_add_net_queues(context, profile):
    """A descriptor for each pair of queues."""
    if profile == "curl":
        return
    body = net_of(profile)
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return
        fds = network.tap("many", 4)
        mac = "02:00:00:00:01:00"
        check(client.request("PUT", "vm.create", context.config(
            cpus={"boot_vcpus": 4, "max_vcpus": 4})), 204)
        before = monitor.settled_fds()
        for nr, queues in ((1, 8), (3, 8), (4, 2), (4, 7), (2, 8)):
            chain = check_chain(client.request("PUT", "vm.add-net", body(mac, num_queues=queues),
                                               fds[:nr]), 400, "num_queues")
            assert "network device could not be added" in chain[1], chain
        assert monitor.settled_fds() == before
        check(client.request("PUT", "vm.add-net", body(mac, num_queues=8), fds), 204)
        check(client.request("PUT", "vm.boot"), 204)
        assert nets(client)[0]["num_queues"] == 8


def test_net_in_create(context, profile):
    """Networks by name, and what is shown of them."""
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return
        limit = {"bandwidth": {"size": 1000000, "one_time_burst": 0, "refill_time": 1000}}
        config = context.config(net=[
            {"tap": "a", "mac": "02:00:00:00:02:01", "rate_limiter_config": limit},
            {"vlan": 10, "id": "b"}])
        check(client.request("PUT", "vm.create", config), 204)
        first, second = nets(client)
        check_net(first)
        check_net(second)
        assert first["tap"] == "a" and first["mac"] == "02:00:00:00:02:01"
        assert first["rate_limiter_config"]["bandwidth"] == limit["bandwidth"]
        assert second["id"] == "b" and second["vlan"] == 10
        check(client.request("PUT", "vm.boot"), 204)
        assert "a" in network.links() and len(network.links()) == 3
        # A made-up address stays.
        for verbs in (("reboot",), ("shutdown", "boot")):
            for verb in verbs:
                check(client.request("PUT", "vm." + verb), 204)
            assert nets(client) == [first, second]
        check(client.request("PUT", "vm.delete"), 204)
        assert network.links() == {"lo"}


def test_net_refused(context, profile):
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return
        for boot in (False, True):
            if boot:
                check(client.request("PUT", "vm.boot"), 204)
            else:
                check(client.request("PUT", "vm.create", context.config()), 204)
            for body, status, text in (
                    ({"mac": "zz"}, 400, "mac"), ({"mac": "01:00:00:00:00:00"}, 400, "mac"),
                    ({"mac": 5}, 400, "mac"), ({"num_queues": 3}, 400, "num_queues"),
                    ({"queue_size": 100}, 400, "queue_size"), ({"vlan": 0}, 400, "vlan"),
                    ({"vlan": 4095}, 400, "vlan"), ({"vlan": "trunk:[1-]"}, 400, "vlan"),
                    ({"ip": "1.2.3"}, 400, "ip"), ({"mtu": 1}, 400, "mtu"),
                    ({"fd": [0]}, 400, "descriptor"), ({"fd": ["x"]}, 400, "fd"),
                    ({"vhost_user": True}, 400, "vhost_user"),
                    ({"iommu": True}, 400, "iommu"), ({"pci_segment": 1}, 400, "pci_segment"),
                    ({"id": "__x"}, 400, "__x"), ({"tap": "x" * 16}, 400, "tap"),
                    ({"link": "sideways"}, 400, "link"), ([], 400, "object")):
                check_chain(client.request("PUT", "vm.add-net", body), status, text)
            assert not nets(client)
        check_chain(client.request("PUT", "vm.add-net", {"tap": "lo"}), 500, "lo")
        assert network.links() == {"lo"} and not nets(client)


def test_net_rejected_descriptors(context):
    """None stays of a thousand requests that are refused, however they came."""
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        tap = network.tap("tap0")
        null = os.open("/dev/null", os.O_RDWR)
        before = monitor.settled_fds()
        bodies = ((go_net("02:00:00:00:03:01", num_queues=4), tap),
                  (go_net("x"), tap * 5), (go_net("02:00:00:00:03:01"), [null]),
                  ({"num_queues": 508}, [null] * 253), (b"{", tap), (None, tap))
        for n in range(1000):
            adder = client if n % 10 else PROFILES["rust"](monitor.path)
            body, fds = bodies[n % len(bodies)]
            reply = adder.request("PUT", "vm.add-net", body, fds)
            assert reply.status in (400, 500), reply.body
            if adder is not client:
                adder.close()
        for method, verb, body in (("GET", "vmm.ping", None), ("GET", "vm.info", None),
                                   ("PUT", "vm.resume", None), ("PUT", "vm.nothing", None),
                                   ("PUT", "vm.remove-device", {"id": "x"}),
                                   ("PUT", "vm.resize", {}),
                                   ("PUT", "vm.set-net", {"id": "x", "vlan": 1}),
                                   ("PUT", "vm.create", {"payload": {"kernel": "/x"}})):
            client.request(method, verb, body, tap)
        assert monitor.settled_fds() == before
        # Half a request, and away.
        wire = Wire(monitor.path)
        wire.send(f"PUT {PREFIX}vm.add-net HTTP/1.1\r\nContent-Length: 900\r\n\r\n{{".encode(), tap)
        assert monitor.settled_fds() > before
        wire.close()
        assert monitor.settled_fds() == before
        # What came with a request that is broken is not the next one's.
        wire = Wire(monitor.path)
        wire.send(b"PUT\r\n\r\n", tap)
        check(wire.reply(), 400)
        wire.send(put("vm.add-net", {"id": "plain"}))
        assert "fd" not in check(wire.reply(), 200).json()
        wire.close()
        assert [net["id"] for net in nets(client)] == ["plain"]
        check(client.request("PUT", "vm.remove-device", {"id": "plain", "force": True}), 204)
        monitor.wait_for(lambda: monitor.fds() == before)
        # They are taken, and used, as before.
        added = check(client.request("PUT", "vm.add-net", go_net("02:00:00:00:03:01"), tap), 200)
        assert added.json()["id"].startswith("_net")


def test_set_net(context, profile):
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return

        def change(status=204, **body):
            return check(client.request("PUT", "vm.set-net", {"id": "n", **body}), status)

        config = context.config(net=[{"tap": "a", "id": "n"}])
        check(client.request("PUT", "vm.create", config), 204)
        change(vlan=7)
        assert nets(client)[0]["vlan"] == 7
        check(client.request("PUT", "vm.boot"), 204)
        for vlan in (10, "20", "trunk:[10,20-29]", "off", "trunk:5"):
            change(vlan=vlan)
            shown = nets(client)[0]["vlan"]
            assert str(shown) == str(vlan) and nets(client)[0]["link"] == "up"
        change(link="down")
        assert nets(client)[0]["link"] == "down" and nets(client)[0]["vlan"] == "trunk:5"
        check(client.request("PUT", "vm.reboot"), 204)
        assert nets(client)[0]["link"] == "down"
        change(link="up", vlan=11)
        limit = {"bandwidth": {"size": 125000, "refill_time": 1000}}
        check(client.request("PUT", "vm.set-rate-limit",
                             {"id": "n", "rx": limit, "tx": {"ops": {"size": 10}}}), 204)
        net = nets(client)[0]
        assert net["rx"]["bandwidth"] == limit["bandwidth"], net
        assert net["tx"]["ops"] == {"size": 10}, net
        assert (net["vlan"], net["link"]) == (11, "up")
        check(client.request("PUT", "vm.set-rate-limit", {"id": "n", "rx": {}}), 204)
        assert "rx" not in nets(client)[0] and "tx" in nets(client)[0]
        before = nets(client)
        for body, text in (({"vlan": 0}, "vlan"), ({"vlan": 4095}, "vlan"), ({"vlan": -1}, "vlan"),
                           ({"vlan": "trunk:[]"}, "vlan"), ({"vlan": [1]}, "vlan"),
                           ({"link": "maybe"}, "link"), ({"link": 1}, "link"), ({}, "vlan, link"),
                           ({"vlan": None, "link": None}, "vlan, link"),
                           ({"link": "down", "vlan": 5000}, "vlan"),
                           ({"tap": "b"}, "vlan, link")):
            check_chain(client.request("PUT", "vm.set-net", {"id": "n", **body}), 400, text)
        assert nets(client) == before
        check_chain(client.request("PUT", "vm.set-net", {"id": "_disk0", "vlan": 1}), 400, "disk")
        check_chain(client.request("PUT", "vm.set-net", {"id": "x", "vlan": 1}), 404, "x")
        check_chain(client.request("PUT", "vm.set-net", {"vlan": 1}), 400, "id")


def test_net_counters(context, profile):
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return
        config = context.config(net=[{"tap": "a", "id": "n"}])
        check(client.request("PUT", "vm.create", config), 204)
        check(client.request("PUT", "vm.boot"), 204)
        counters = check(client.request("GET", "vm.counters"), 200).json()["n"]
        for name in ("rx_bytes", "rx_frames", "tx_bytes", "tx_frames"):
            assert counters[name] == 0
        assert counters == check(client.request("GET", "vm.stats"), 200).json()["devices"]["n"]
        metrics = check(client.request("GET", "vmm.metrics"), 200).body.decode()
        assert 'vmm_devices{of="n",name="rx_frames"} 0\n' in metrics


def link_events(monitor, name):
    return [e["event"] for e in monitor.events()
            if e["event"].startswith("link-") and e["properties"] == {"id": name}]


def test_link_events(context):
    """The TAP's link and the one that was set are one to the guest."""
    with network.namespace() as good, context.session() as (monitor, client):
        if not good:
            return
        config = context.config(net=[{"tap": "a", "id": "n"}])
        check(client.request("PUT", "vm.create", config), 204)
        check(client.request("PUT", "vm.boot"), 204)
        time.sleep(0.3)
        assert link_events(monitor, "n") == []
        told = []
        for how, event in (("a", "down"), ("set", None), ("a", None), ("set", "up"),
                           ("a", "down"), ("a", "up"), ("set", "down"), ("set", "up")):
            link = "up" if event == "up" or event is None and how == "a" else "down"
            if how == "set":
                check(client.request("PUT", "vm.set-net", {"id": "n", "link": link}), 204)
            else:
                subprocess.run(["ip", "link", "set", "dev", "a", link], check=True)
            if event:
                told.append("link-" + event)
                monitor.wait_for(lambda: link_events(monitor, "n") == told)
            time.sleep(0.15)
            assert link_events(monitor, "n") == told, (how, link)
        # Who plays with it does not fill the stream; the last change is told.
        for n in range(1001):
            body = {"id": "n", "link": "up" if n % 2 else "down"}
            check(client.request("PUT", "vm.set-net", body), 204)
        monitor.wait_for(lambda: link_events(monitor, "n")[-1] == "link-down")
        time.sleep(0.3)
        assert link_events(monitor, "n")[-1] == "link-down"
        assert len(link_events(monitor, "n")) < 100
