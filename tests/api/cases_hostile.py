# SPDX-License-Identifier: Apache-2.0
"""Clients that are careless or mean, and what must not come of it."""

import fcntl
import json
import os
import time

from cases import MIB, check, check_chain
from client import PREFIX, Wire

PING = f"GET {PREFIX}vmm.ping HTTP/1.1\r\n\r\n".encode()


def put(verb, body=None):
    data = json.dumps(body).encode() if body is not None else b""
    return (f"PUT {PREFIX}{verb} HTTP/1.1\r\nContent-Length: {len(data)}\r\n\r\n".encode()
            + data)


def running(context, client, **config):
    check(client.request("PUT", "vm.create", context.config(**config)), 204)
    check(client.request("PUT", "vm.boot"), 204)


def test_slow_requests_delay_nobody(context):
    """Many requests in one send, each of which takes its time."""
    with context.session() as (monitor, client):
        running(context, client)
        path = monitor.file("used", MIB)
        with open(path, "r+b") as used:
            fcntl.lockf(used, fcntl.LOCK_EX)
            wire, other = Wire(monitor.path), Wire(monitor.path)
            wire.send(put("vm.add-disk", {"path": path}) * 30)
            time.sleep(0.05)
            start = time.monotonic()
            other.send(PING)
            check(other.reply(), 200)
            assert time.monotonic() - start < 0.6
            for _ in range(30):
                check_chain(wire.reply(), 500, path)


def test_more_clients_than_connections(context):
    """Who comes while all are busy waits for its turn."""
    with context.session() as (monitor, client):
        running(context, client)
        path = monitor.file("used", MIB)
        with open(path, "r+b") as used:
            fcntl.lockf(used, fcntl.LOCK_EX)
            time.sleep(1.2)     # the server's idea of idle, before they come
            wires = [Wire(monitor.path) for _ in range(30)]
            for wire in wires:
                wire.send(put("vm.add-disk", {"path": path}))
            for wire in wires:
                check_chain(wire.reply(), 500, path)
                wire.close()
        check(client.request("GET", "vmm.ping"), 200)


def test_refused_client_is_heard_out(context):
    """A client without a place is told why, however late it sends."""
    with context.monitor() as monitor:
        wires = [Wire(monitor.path) for _ in range(10)]
        before = monitor.settled_fds()
        late = Wire(monitor.path)
        monitor.wait_for(lambda: monitor.fds() == before + 1)
        for _ in range(16):
            late.send(b"x" * 65536)
            time.sleep(0.01)
        more = [Wire(monitor.path) for _ in range(5)]
        start = time.monotonic()
        for wire in (late, *more):
            reply = check(wire.reply(), 503)
            assert "error" in reply.json() and wire.at_eof()
            wire.close()
        assert time.monotonic() - start < 3
        monitor.wait_for(lambda: monitor.fds() == before)
        wires[0].send(PING)
        check(wires[0].reply(), 200)


def test_descriptor_given_twice(context):
    with context.session() as (monitor, client):
        with open(monitor.file("d", MIB), "r+b") as disk:
            config = context.config(disks=[{"fd": 0}, {"fd": 0}])
            chain = check_chain(client.request("PUT", "vm.create", config, (disk.fileno(),)), 400)
            assert "disks[1].fd 0: is used already" in chain[-1], chain


def test_descriptors_without_a_request(context):
    """They are counted, and closed when nothing comes of them."""
    with context.monitor() as monitor, open("/dev/null", "rb") as null:
        before = monitor.settled_fds()
        wires = [Wire(monitor.path) for _ in range(4)]
        for wire in wires:
            wire.send(b"\r\n", [null.fileno()] * 250)
        monitor.settled_fds()
        assert monitor.fds() <= before + 4 + 512
        wires[3].send(PING)
        check(wires[3].reply(), 400)
        wires[3].send(PING)
        check(wires[3].reply(), 200)
        for wire in wires:
            wire.close()
        assert monitor.settled_fds() == before


def test_nothing_is_left_of_what_went(context):
    """A device of the same name as one that went has nothing of it."""
    with context.session() as (monitor, client):
        path = monitor.file("d", MIB)
        check(client.request("PUT", "vm.create", context.config()), 204)
        for boot in (False, True):
            if boot:
                check(client.request("PUT", "vm.boot"), 204)
            check(client.request("PUT", "vm.add-disk", {
                "path": path, "id": "y", "pci_segment": 0, "lock_granularity": "old"}),
                200 if boot else 204)
            check(client.request("PUT", "vm.remove-device", {"id": "y", "force": True}), 204)
            check(client.request("PUT", "vm.add-disk", {"path": path, "id": "y"}),
                  200 if boot else 204)
            disk = client.request("GET", "vm.info").json()["config"]["disks"][1]
            assert "pci_segment" not in disk and "lock_granularity" not in disk, disk
            check(client.request("PUT", "vm.remove-device", {"id": "y", "force": True}), 204)
        for _ in range(3):
            check(client.request("PUT", "vm.add-disk", {"path": "/nonexistent"}), 500)
        added = check(client.request("PUT", "vm.add-disk", {"path": path}), 200).json()
        assert added["id"] == "_disk1", added


def test_refused_resize_does_nothing(context):
    with context.session() as (monitor, client):
        running(context, client, cpus={"boot_vcpus": 1, "max_vcpus": 2},
                memory={"size": 64 * MIB, "hotplug_size": 256 * MIB})
        for ram, status in ((1, 500), (65 * MIB, 400), (4096 * MIB, 500)):
            chain = check_chain(client.request("PUT", "vm.resize", {
                "desired_vcpus": 2, "desired_ram": ram}), status)
            assert f"desired_ram {ram}:" in chain[-1], chain
        info = client.request("GET", "vm.info").json()
        assert info["config"]["cpus"]["boot_vcpus"] == 1
        assert "vcpu1" not in monitor.threads()
        assert monitor.event_names().count(("vm", "resize-done")) == 0


def test_resize_is_kept(context):
    """What was answered well is there, whatever follows at once."""
    with context.session() as (monitor, client):
        running(context, client, cpus={"boot_vcpus": 2, "max_vcpus": 3})
        wire = Wire(monitor.path)
        wire.send(put("vm.resize", {"desired_vcpus": 3}) + put("vm.shutdown"))
        check(wire.reply(), 204)
        check(wire.reply(), 204)
        cpus = client.request("GET", "vm.info").json()["config"]["cpus"]
        assert cpus["boot_vcpus"] == 3, cpus
        check(client.request("PUT", "vm.boot"), 204)
        # The guest does not answer; that it goes is an answer, too.
        wire.send(put("vm.resize", {"desired_vcpus": 1}) * 100 + put("vm.shutdown"))
        for _ in range(101):
            check(wire.reply(), 204)
        cpus = client.request("GET", "vm.info").json()["config"]["cpus"]
        assert (cpus["boot_vcpus"], cpus["max_vcpus"]) == (1, 3), cpus
        names = [n for _, n in monitor.event_names()]
        assert names.count("resize-done") == 101 and "resize-failed" not in names, names


def test_max_vcpus_stays(context):
    """Without max_vcpus, the number at boot is the limit, and stays it."""
    with context.session() as (monitor, client):
        running(context, client, cpus={"boot_vcpus": 2})
        check(client.request("PUT", "vm.resize", {"desired_vcpus": 1}), 204)
        check(client.request("PUT", "vm.reboot"), 204)
        cpus = client.request("GET", "vm.info").json()["config"]["cpus"]
        assert (cpus["boot_vcpus"], cpus["max_vcpus"]) == (1, 2), cpus
        check(client.request("PUT", "vm.resize", {"desired_vcpus": 2}), 204)


def test_removal_ends_with_the_guest(context):
    """A guest that was asked for a device and is shut down has let go of it."""
    with context.session() as (monitor, client):
        running(context, client)
        added = check(client.request("PUT", "vm.add-disk", {"path": monitor.file("d", MIB)}),
                      200).json()
        check(client.request("PUT", "vm.remove-device", {"id": added["id"]}), 204)
        check(client.request("PUT", "vm.shutdown"), 204)
        disks = client.request("GET", "vm.info").json()["config"]["disks"]
        assert added["id"] not in [disk["id"] for disk in disks]
        assert ("vm", "device-removed") in monitor.event_names()


def test_large_bodies_leave_no_memory(context):
    with context.monitor() as monitor:
        wire = Wire(monitor.path)

        def rss():
            with open(f"/proc/{monitor.process.pid}/statm", encoding="ascii") as f:
                return int(f.read().split()[1]) * os.sysconf("SC_PAGE_SIZE")

        before = rss()
        wire.send(put("vm.resize", {"x": [{}] * ((1 << 20) - 1000)}))
        check(wire.reply(), 404)
        # Sanitizers keep freed memory.
        if not context.sanitized:
            assert rss() - before < 64 * MIB, (before, rss())


def test_forged_log_lines(context):
    with context.session() as (monitor, client):
        running(context, client)
        chain = check_chain(client.request("PUT", "vm.add-disk", {
            "path": context.disk.name, "id": "a\n[  0.000000] vmm ERRO: forged"}), 400)
        assert "id=a?" in chain[-1], chain
        check(client.request("PUT", "vm.add-disk", {"path": "/a\nforged"}), 500)
        assert "\nforged" not in monitor.errors()


def test_many_vcpus_and_disks(context):
    """Devices share the threads that there are, however the machine grew."""
    with context.session() as (monitor, client):
        running(context, client, cpus={"boot_vcpus": 1, "max_vcpus": 8},
                disks=[{"path": monitor.file(f"a{n}", MIB)} for n in range(2)])
        check(client.request("PUT", "vm.resize", {"desired_vcpus": 8}), 204)
        for n in range(10):
            check(client.request("PUT", "vm.add-disk", {"path": monitor.file(f"b{n}", MIB)}), 200)
        check(client.request("PUT", "vm.delete"), 204)


def test_messages_name_field_and_value(context):
    with context.session() as (_, client):
        for text, *words in (
                ('{"payload":{"kernel":"k"},"memory":{"size":99999999999999999999}}', "memory.size"),
                ('{"payload":{"kernel":"k\\u0000"}}', "payload.kernel"),
                ('{"payload":{"kernel":"k"},"memory":{"size":17}}', "memory.size", "17"),
                ('{"payload":{"kernel":"k"},"cpus":{"boot_vcpus":"two"}}', "cpus.boot_vcpus", "two"),
                ('{"payload":{"kernel":"k"},"iommu":true}', "iommu", "true"),
                ('{"payload":{"kernel":"k"},"disks":[{"path":"p","num_queues":0}]}',
                 "disks[0].num_queues", "0"),
                ('{"payload":{}}', "payload.kernel"),
                ('{"payload":{"kernel":"%s"}}' % ("k" * 5000), "payload.kernel", "4095")):
            chain = check_chain(client.request("PUT", "vm.create", text.encode()), 400)
            assert all(word in chain[-1] for word in words), (words, chain)
        check(client.request("GET", "vm.info"), 404)
