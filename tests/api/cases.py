# SPDX-License-Identifier: Apache-2.0
"""What clients of the control socket rely on, one function each. A function
with the argument `profile` runs once for every way of talking."""

import contextlib
import fcntl
import functools
import inspect
import json
import os
import re
import resource
import signal
import socket
import tempfile
import time

from client import Monitor, PROFILES

MIB = 1 << 20


class Context:
    def __init__(self, program, vmmctl, guest, name):
        self.program = program
        self.vmmctl = vmmctl
        with open(program, "rb") as f:
            self.sanitized = b"__asan_init" in f.read()
        self.guest = guest
        # The guest reads it and halts; without one it powers off.
        self.disk = tempfile.NamedTemporaryFile(prefix="vmm-api-")
        self.disk.truncate(MIB)
        self.profile = name.partition("/")[2]

    def other_guest(self, name):
        """One that lies beside the guest."""
        folder, own = os.path.split(self.guest)
        return os.path.join(folder, name + os.path.splitext(own)[1])

    @contextlib.contextmanager
    def monitor(self, *arguments, **popen):
        monitor = Monitor(self.program, *arguments, **popen)
        try:
            yield monitor
            assert "Sanitizer" not in monitor.errors(), monitor.errors()
        except BaseException:
            print(monitor.errors())
            raise
        finally:
            monitor.close()

    @contextlib.contextmanager
    def client(self, monitor, profile=None):
        client = PROFILES[profile or self.profile or "go"](monitor.path)
        try:
            yield client
        finally:
            client.close()

    @contextlib.contextmanager
    def session(self):
        with self.monitor() as monitor, self.client(monitor) as client:
            yield monitor, client

    def config(self, **more):
        return {"payload": {"kernel": self.guest}, "cpus": {"boot_vcpus": 1, "max_vcpus": 1},
                "memory": {"size": 64 * MIB}, "disks": [{"path": self.disk.name}], **more}


def all_cases(*modules):
    for name, function in [item for module in modules for item in vars(module).items()]:
        if not name.startswith("test_"):
            continue
        if "profile" in inspect.signature(function).parameters:
            for profile in PROFILES:
                yield f"{name}/{profile}", functools.partial(function, profile=profile)
        else:
            yield name, function


def check(reply, status):
    assert reply.status == status, f"{reply.status_line}: {reply.body!r}"
    return reply


def check_chain(reply, status, *texts):
    chain = check(reply, status).json()
    assert isinstance(chain, list) and all(isinstance(t, str) for t in chain), chain
    for text in texts:
        assert any(text in t for t in chain), f"'{text}' is not in {chain}"
    return chain


def state(client):
    return check(client.request("GET", "vm.info"), 200).json()["state"]


# ---- the shape of replies ----

def test_shape(context, profile):
    with context.session() as (monitor, client):
        reply = check(client.request("GET", "vmm.ping"), 200)
        assert reply.status_line == "HTTP/1.1 200 ", repr(reply.status_line)
        assert list(reply.headers) == ["Server", "Connection", "Content-Type", "Content-Length"]
        assert reply.headers["Server"] == "Cloud Hypervisor API"
        assert reply.headers["Connection"] == "keep-alive"
        assert reply.headers["Content-Type"] == "application/json"
        ping = reply.json()
        assert ping["pid"] == monitor.process.pid and ping["version"]
        assert isinstance(ping["features"], list)
        reply = check(client.request("PUT", "vm.delete"), 204)
        assert list(reply.headers) == ["Server", "Connection"] and not reply.body


def test_ping_opens_no_kvm(context, profile):
    with context.session() as (monitor, client):
        check(client.request("GET", "vmm.ping"), 200)
        folder = f"/proc/{monitor.process.pid}/fd"
        names = [os.readlink(f"{folder}/{fd}") for fd in os.listdir(folder)]
        assert not [n for n in names if "kvm-" in n], names


def test_wrong_requests(context, profile):
    with context.session() as (_, client):
        check_chain(client.request("GET", "vm.nothing"), 404, "Not Found")
        check_chain(client.request("GET", "vmm.ping?x=1"), 404, "Not Found")
        check_chain(client.request("GET", "vm.create"), 400, "Bad Request")
        check_chain(client.request("PUT", "vmm.ping"), 400, "Bad Request")
        check_chain(client.request("PUT", "vm.boot", {}), 400, "Bad Request")
        check_chain(client.request("PUT", "vm.add-disk"), 400, "Bad Request")
        assert check(client.request("PUT", "vm.create"), 400).body == b""
        assert check(client.request("PATCH", "vm.info"), 400).body == b""
        reply = check(client.request("POST", "vm.boot"), 400)
        assert set(reply.json()) == {"error"}
        check(client.request("GET", "vmm.ping"), 200)


def test_not_created(context, profile):
    with context.session() as (_, client):
        for method, verb, body in (("GET", "vm.info", None), ("PUT", "vm.resize", {}),
                                   ("PUT", "vm.add-disk", {"path": "/x"}),
                                   ("PUT", "vm.remove-device", {"id": "x"})):
            check_chain(client.request(method, verb, body), 404, "Error from API")
        for verb in ("boot", "pause", "resume", "shutdown", "reboot", "power-button", "nmi"):
            check_chain(client.request("PUT", "vm." + verb), 500, "Error from API")
        check_chain(client.request("GET", "vm.counters"), 500, "Error from API")


def test_not_there(context, profile):
    with context.session() as (_, client):
        for verb, top in (("add-device", "The device could not be added to the VM"),
                          ("add-user-device", ""), ("add-vdpa", ""), ("add-pmem", ""),
                          ("snapshot", "The VM could not be snapshotted"),
                          ("restore", "The VM could not be restored"), ("coredump", ""),
                          ("resize-zone", ""), ("send-migration", ""),
                          ("receive-migration", "")):
            check_chain(client.request("PUT", "vm." + verb, {"path": "/x"}), 501,
                        "Error from API", top)


# ---- the life of a machine ----

def test_life(context, profile):
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config()), 204)
        assert state(client) == "Created"
        check_chain(client.request("PUT", "vm.create", context.config()), 500, "already")
        check(client.request("PUT", "vm.boot"), 204)
        assert state(client) == "Running"
        check_chain(client.request("PUT", "vm.boot"), 500, "The VM could not boot")
        check(client.request("PUT", "vm.pause"), 204)
        assert state(client) == "Paused"
        check_chain(client.request("PUT", "vm.pause"), 500, "The VM could not be paused")
        check(client.request("PUT", "vm.resume"), 204)
        check_chain(client.request("PUT", "vm.resume"), 500, "The VM could not resume")
        check(client.request("PUT", "vm.reboot"), 204)
        assert state(client) == "Running"
        check(client.request("PUT", "vm.shutdown"), 204)
        assert state(client) == "Created"
        check_chain(client.request("PUT", "vm.shutdown"), 500, "not running")
        check(client.request("PUT", "vm.boot"), 204)
        check(client.request("PUT", "vm.pause"), 204)
        check(client.request("PUT", "vm.delete"), 204)
        check(client.request("PUT", "vm.delete"), 204)
        check(client.request("GET", "vm.info"), 404)
        names = [n for s, n in monitor.event_names() if s == "vm"]
        assert names == ["booting", "booted", "pausing", "paused", "resuming", "resumed",
                         "rebooting", "rebooted", "shutdown", "booting", "booted", "pausing",
                         "paused", "shutdown", "deleted"], names


def test_shutdown_answers_first(context, profile):
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        reply = check(client.request("PUT", "vmm.shutdown"), 200)
        assert reply.headers["Content-Length"] == "0" and not reply.body
        assert monitor.process.wait(3) == 0
        assert not os.path.exists(monitor.path)
        assert monitor.event_names()[-1] == ("vmm", "shutdown")


def test_events(context, profile):
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        last = (0, 0)
        for event in monitor.events():
            assert set(event) == {"timestamp", "source", "event", "properties"}
            stamp = (event["timestamp"]["secs"], event["timestamp"]["nanos"])
            assert stamp >= last and stamp[1] < 10**9
            last = stamp
        assert monitor.event_names()[0] == ("vmm", "starting")


def test_threads(context, profile):
    with context.session() as (monitor, client):
        config = context.config(cpus={"boot_vcpus": 2, "max_vcpus": 2},
                                disks=[{"path": monitor.file("d", MIB)}])
        check(client.request("PUT", "vm.create", config), 204)
        check(client.request("PUT", "vm.boot"), 204)
        names = sorted(n for n in monitor.threads() if n.startswith("vcpu"))
        assert names == ["vcpu0", "vcpu1"], names


def test_stop_by_signal(context):
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        monitor.process.send_signal(signal.SIGTERM)
        assert monitor.process.wait(5) == 0
        assert monitor.event_names()[-3:] == [("vm", "shutdown"), ("vm", "deleted"),
                                              ("vmm", "shutdown")]
        assert not os.path.exists(monitor.path) and not os.path.exists(monitor.path + ".lock")


def test_inherited_ignore(context):
    """What nohup(1) has it ignore does not end it."""
    ignore = functools.partial(signal.signal, signal.SIGHUP, signal.SIG_IGN)
    with context.monitor(preexec_fn=ignore) as monitor, context.client(monitor) as client:
        monitor.process.send_signal(signal.SIGHUP)
        time.sleep(0.1)
        check(client.request("GET", "vmm.ping"), 200)
        monitor.process.send_signal(signal.SIGTERM)
        assert monitor.process.wait(5) == 0


def test_stderr_not_read(context):
    """A log that nobody reads loses lines, and stops nothing."""
    reader, writer = os.pipe()
    os.write(writer, bytes(fcntl.fcntl(writer, fcntl.F_SETPIPE_SZ, 4096)))
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
        path = os.path.join(folder, "socket")
        with context.monitor("-vvv", "--api-socket", path, path=path, stderr=writer) as monitor:
            with context.client(monitor) as client:
                check(client.request("PUT", "vm.create", context.config()), 204)
                check(client.request("PUT", "vm.boot"), 204)
                monitor.process.send_signal(signal.SIGTERM)
                assert monitor.process.wait(5) == 0
    os.close(writer)
    os.close(reader)


def test_file_size_limit(context):
    """RLIMIT_FSIZE is an error of what would go beyond it."""
    limit = functools.partial(resource.setrlimit, resource.RLIMIT_FSIZE, (MIB, MIB))
    with context.monitor(preexec_fn=limit) as monitor, context.client(monitor) as client:
        disks = [{"path": monitor.file("d", MIB // 2), "id": "d"}]
        check(client.request("PUT", "vm.create", context.config(disks=disks)), 204)
        check(client.request("PUT", "vm.boot"), 204)
        body = {"id": "d", "desired_size": 2 * MIB}
        check_chain(client.request("PUT", "vm.resize-disk", body), 500, "large")
        check(client.request("GET", "vmm.ping"), 200)


def test_reset_loop(context):
    """Verbs and signals are not lost on a guest that resets all the time."""
    startup = context.other_guest("startup")
    for _ in range(5):
        with context.session() as (monitor, client):
            config = context.config(payload={"kernel": startup})
            check(client.request("PUT", "vm.create", config), 204)
            for verb in ["boot", "pause", "resume", "reboot", "shutdown"] * 5 + ["boot"]:
                check(client.request("PUT", "vm." + verb), 204)
                if verb == "pause":
                    time.sleep(0.01)
                    assert state(client) == "Paused"
            monitor.process.send_signal(signal.SIGTERM)
            assert monitor.process.wait(5) == 0


# ---- vm.create and vm.info ----

def go_config(context, monitor):
    return {
        "console": {"iommu": False, "mode": "Off"},
        "cpus": {"boot_vcpus": 1, "kvm_hyperv": False, "max_vcpus": 1, "nested": True,
                 "topology": {"cores_per_die": 1, "dies_per_package": 1, "packages": 1,
                              "threads_per_core": 1}},
        "disks": [{"backing_files": False, "direct": False, "image_type": "Raw",
                   "iommu": False, "num_queues": 1, "path": monitor.file("root.img", MIB),
                   "queue_size": 128, "readonly": True, "sparse": True, "vhost_user": False}],
        "iommu": False, "landlock_enable": False,
        "memory": {"hotplug_method": "Acpi", "hugepages": False, "mergeable": False,
                   "prefault": False, "shared": False, "size": 64 * MIB, "thp": True},
        "payload": {"cmdline": 'root=/dev/vda1 dm-mod.create="x,y" a=<b>', "kernel": context.guest},
        "platform": {"num_pci_segments": 2, "sev_snp": False, "tdx": False},
        "pvpanic": False, "rng": {"iommu": False, "src": "/dev/urandom"},
        "serial": {"iommu": False, "mode": "Off"}, "watchdog": False,
    }


def check_same(sent, shown, path=""):
    if isinstance(sent, dict):
        for key, value in sent.items():
            assert key in shown, f"{path}.{key} is not shown"
            check_same(value, shown[key], f"{path}.{key}")
    elif isinstance(sent, list):
        for i, value in enumerate(sent):
            check_same(value, shown[i], f"{path}[{i}]")
    else:
        assert sent == shown and type(sent) is type(shown), f"{path}: {sent} is shown as {shown}"


def check_strict(config):
    """What clients insist on."""
    assert isinstance(config["cpus"]["max_phys_bits"], int)
    for mode in (config["serial"]["mode"], config["console"]["mode"]):
        assert mode in ("Off", "Pty", "Tty", "File", "Null")
    for disk in config.get("disks", []):
        assert isinstance(disk["num_queues"], int) and isinstance(disk["queue_size"], int)
    assert isinstance(config["memory"]["size"], int)
    assert "null" not in json.dumps(config)


def test_round_trip(context, profile):
    with context.session() as (monitor, client):
        config = go_config(context, monitor)
        body = json.dumps(config).replace("<", "\\u003c").replace(">", "\\u003e").encode()
        check(client.request("PUT", "vm.create", body), 204)
        for _ in range(2):
            reply = check(client.request("GET", "vm.info"), 200)
            assert all(byte < 0x7f for byte in reply.body)
            info = reply.json()
            check_same(config, info["config"])
            check_strict(info["config"])
            assert info["memory_actual_size"] == 64 * MIB
            if info["state"] == "Created":
                check(client.request("PUT", "vm.boot"), 204)


def test_liberal(context, profile):
    with context.session() as (_, client):
        config = context.config(devices=[], fs=[], net=None, vsock=None, disks=None, numa=[],
                                unknown={"a": [1, None]}, balloon=None, landlock_rules=None)
        config["payload"].update(firmware=None, initramfs=None, host_data=None)
        config["cpus"].update(topology=None, affinity=None, features={"amx": False})
        config["memory"].update(zones=None, hotplug_size=None)
        check(client.request("PUT", "vm.create", config), 204)
        check_strict(client.request("GET", "vm.info").json()["config"])


def test_messages_are_plain(context, profile):
    """Cloud Hypervisor's older clients cannot read a text with an escape in it."""
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        for body in (b"{", b'{"path":1,"path":2}', {"path": "/no/such\u00e9\u20ac\"\\file\n"},
                     {"path": "/" + "\u00e9" * 127}, {"path": context.disk.name, "id": "__x"},
                     {"path": context.disk.name, "engine": "\u0007"}):
            reply = client.request("PUT", "vm.add-disk", body)
            assert b"\\" not in reply.body, reply.body
            chain = reply.json()
            assert all(all(" " <= c <= "~" for c in text) for text in chain), chain
            assert "?" != chain[-1], chain


def test_serial_from_create_on(context, profile):
    """A pseudo-terminal and a file are there from vm.create to vm.delete."""
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config(serial={"mode": "Pty"})), 204)
        shown = client.request("GET", "vm.info").json()["config"]
        check(client.request("PUT", "vm.delete"), 204)
        check(client.request("PUT", "vm.create", shown), 204)
        name = client.request("GET", "vm.info").json()["config"]["serial"]["file"]
        assert re.fullmatch(r"/dev/pts/\d+", name) and os.path.exists(name)
        check(client.request("PUT", "vm.boot"), 204)
        check(client.request("PUT", "vm.reboot"), 204)
        check(client.request("PUT", "vm.shutdown"), 204)
        assert client.request("GET", "vm.info").json()["config"]["serial"]["file"] == name
        fds = monitor.settled_fds()
        check(client.request("PUT", "vm.delete"), 204)
        assert monitor.settled_fds() == fds - 2
        path = monitor.file("console")
        config = context.config(serial={"mode": "File", "file": path})
        check(client.request("PUT", "vm.create", config), 204)
        assert os.path.getsize(path) == 0
        check(client.request("PUT", "vm.delete"), 204)
        config["serial"]["file"] = "/nonexistent/x"
        check_chain(client.request("PUT", "vm.create", config), 500,
                    "The VM could not be created", "serial file=/nonexistent/x")
        check(client.request("GET", "vm.info"), 404)


def test_unicode(context, profile):
    with context.session() as (_, client):
        config = context.config()
        config["payload"]["cmdline"] = "\u00e4\u20ac\U0001f600"
        check(client.request("PUT", "vm.create", json.dumps(config, ensure_ascii=False).encode()),
              204)
        reply = client.request("GET", "vm.info")
        assert all(byte < 0x7f for byte in reply.body)
        assert reply.json()["config"]["payload"]["cmdline"] == "\u00e4\u20ac\U0001f600"


def test_bad_bodies(context, profile):
    bad = ((b"{", None), (b"[]", None), (b'"x"', None), (b"{} x", None),
           (b'{"a":1,"a":1}', "duplicate"), (b'{"a":"\xff"}', None),
           (b'{"a":"\\u0000"}', None), (b"[" * 5000, "depth"),
           ({"payload": 3}, "payload"), ({"payload": {"kernel": []}}, "payload.kernel"),
           ({"payload": {"kernel": "k"}, "memory": {"size": -1}}, "memory.size"),
           (b'{"payload":{"kernel":"k"},"memory":{"size":1e999}}', None),
           (b'{"payload":{"kernel":"k"},"memory":{"size":99999999999999999999}}', None))
    with context.session() as (_, client):
        for body, field in bad:
            chain = check_chain(client.request("PUT", "vm.create", body), 400,
                                "Failed to deserialize JSON")
            assert not field or field in chain[-1], chain
        for section in ({"devices": [{"path": "/x"}]}, {"pmem": [{}]}, {"numa": [{}]},
                        {"tpm": {"socket": "/s"}}, {"iommu": True}, {"vdpa": [{}]},
                        {"memory": {"size": 64 * MIB, "zones": [{}]}},
                        {"platform": {"tdx": True}}):
            chain = check_chain(client.request("PUT", "vm.create", context.config(**section)),
                                400, "Error from API", "The VM could not be created")
            assert list(section)[0] in chain[-1], chain
        check(client.request("GET", "vm.info"), 404)
        check(client.request("PUT", "vm.create", context.config()), 204)


# ---- devices and size ----

def test_add_before_boot(context, profile):
    with context.session() as (monitor, client):
        path = monitor.file("d", MIB)
        check(client.request("PUT", "vm.create", context.config(disks=[{"path": path}])), 204)
        check(client.request("PUT", "vm.add-disk", {"path": path, "readonly": True,
                                                    "image_type": "Raw", "id": "two"}), 204)
        check_chain(client.request("PUT", "vm.add-disk", {"path": path, "id": "two"}), 409,
                    "The disk could not be added to the VM")
        check_chain(client.request("PUT", "vm.add-disk", {"path": path, "id": "__x"}), 400)
        check_chain(client.request("PUT", "vm.add-disk", {"path": path, "queue_size": 3}), 400,
                    "queue_size")
        disks = client.request("GET", "vm.info").json()["config"]["disks"]
        assert [d["id"] for d in disks] == ["_disk0", "two"], disks
        assert disks[1]["readonly"] is True and disks[1]["image_type"] == "Raw"
        check_chain(client.request("PUT", "vm.remove-device", {"id": "none"}), 404)
        check(client.request("PUT", "vm.remove-device", {"id": "_disk0"}), 204)
        disks = client.request("GET", "vm.info").json()["config"]["disks"]
        assert [d["id"] for d in disks] == ["two"], disks
        check(client.request("PUT", "vm.boot"), 204)


def test_disk_by_descriptor(context):
    for profile in ("go", "rust"):
        with context.monitor() as monitor, context.client(monitor, profile) as client:
            with open(monitor.file("d", MIB), "r+b") as disk, open(context.guest, "rb") as kernel:
                config = context.config(payload={"kernel_fd": 1}, disks=[{"fd": 0}])
                check(client.request("PUT", "vm.create", config,
                                     (disk.fileno(), kernel.fileno())), 204)
            check(client.request("PUT", "vm.boot"), 204)
            check(client.request("PUT", "vm.shutdown"), 204)
            check(client.request("PUT", "vm.boot"), 204)
            check(client.request("PUT", "vm.delete"), 204)


def test_fds_in_a_body(context, profile):
    """Some clients send stale numbers there: they mean nothing."""
    with context.session() as (monitor, client):
        config = context.config(fds=[77], disks=[{"path": context.disk.name, "fds": [3, 4]}])
        check(client.request("PUT", "vm.create", config), 204)
        check(client.request("PUT", "vm.add-disk", {"path": monitor.file("d", MIB),
                                                    "fds": [0, 99999]}), 204)
        check(client.request("PUT", "vm.boot"), 204)
        assert "fds" not in client.request("GET", "vm.info").body.decode()


def test_resize(context, profile):
    with context.session() as (_, client):
        config = context.config(cpus={"boot_vcpus": 1, "max_vcpus": 2})
        check(client.request("PUT", "vm.create", config), 204)
        check(client.request("PUT", "vm.resize", {"desired_vcpus": 2, "desired_ram": 96 * MIB,
                                                  "desired_balloon": None}), 204)
        info = client.request("GET", "vm.info").json()["config"]
        assert info["cpus"]["boot_vcpus"] == 2 and info["memory"]["size"] == 96 * MIB
        check(client.request("PUT", "vm.resize", {"desired_vcpus": 1}), 204)
        check(client.request("PUT", "vm.boot"), 204)
        check(client.request("PUT", "vm.resize", {"desired_vcpus": 1}), 204)
        check(client.request("PUT", "vm.resize", {"desired_vcpus": 1, "desired_ram": None,
                                                  "desired_balloon": None}), 204)
        check_chain(client.request("PUT", "vm.resize", {"desired_vcpus": 3}), 500,
                    "The VM could not be resized")
        check_chain(client.request("PUT", "vm.resize", {"desired_vcpus": "1"}), 400)


def test_hot_add(context, profile):
    """A guest that does not know of hot-plug: only force takes a device away."""
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        # Its queues are open files, too.
        monitor.wait_for(lambda: client.request("GET", "vm.counters").json()["_disk0"]["read_ops"])
        path = monitor.file("d", MIB)
        before = None
        for _ in range(3):
            added = check(client.request("PUT", "vm.add-disk", {"path": path}), 200).json()
            assert re.fullmatch("0000:00:[0-9a-f]{2}.0", added["bdf"]), added
            info = client.request("GET", "vm.info").json()["config"]
            assert added["id"] in [d["id"] for d in info["disks"]]
            check_chain(client.request("PUT", "vm.add-disk", {"path": path, "id": added["id"]}),
                        409)
            check(client.request("PUT", "vm.remove-device", {"id": added["id"]}), 204)
            check(client.request("PUT", "vm.remove-device", {"id": added["id"], "force": True}),
                  204)
            check_chain(client.request("PUT", "vm.remove-device", {"id": added["id"]}), 404)
            last = monitor.events()[-1]
            assert last["event"] == "device-removed"
            assert last["properties"] == added, last
            before = before or monitor.settled_fds()
        assert monitor.settled_fds() == before
        check_chain(client.request("PUT", "vm.add-disk", {"path": "/nonexistent"}), 500,
                    "The disk could not be added to the VM", "/nonexistent")
        assert monitor.settled_fds() == before


def test_disk_under_load(context):
    """A guest that keeps its disk busy does not keep the disk's thread: it can be
    paused, and the disk taken away, at once."""
    took = {"pause": [], "remove-device": []}

    def put(client, verb, body=None):
        start = time.monotonic()
        check(client.request("PUT", "vm." + verb, body), 204)
        took.setdefault(verb, []).append(time.monotonic() - start)

    for _ in range(5):
        with context.session() as (monitor, client):
            config = context.config(disks=[{"path": monitor.file("d", 16 * MIB), "id": "d"}])
            config["payload"] = {
                "kernel": context.other_guest("blkbench"),
                "cmdline": "rw=randread bs=4K qd=128 warm_ms=20 run_ms=20000"}
            put(client, "create", config)
            put(client, "boot")
            ops = lambda: client.request("GET", "vm.counters").json()["d"]["read_ops"]
            monitor.wait_for(lambda: ops() > 1000)
            put(client, "pause")
            before = ops()
            assert ops() == before
            put(client, "resume")
            monitor.wait_for(lambda: ops() > before + 1000)
            put(client, "remove-device", {"id": "d", "force": True})
    for verb in ("pause", "remove-device"):
        assert sorted(took[verb])[2] < 0.1, took


def test_prefault(context):
    """All memory is there from the start, also from the second one."""
    with context.session() as (_, client):
        memory = {"size": 64 * MIB, "prefault": True}
        check(client.request("PUT", "vm.create", context.config(memory=memory)), 204)
        for verb in ("boot", "reboot"):
            check(client.request("PUT", "vm." + verb), 204)
            have = client.request("GET", "vm.stats").json()["memory"]["guest_rss_bytes"]
            assert have > 60 * MIB, f"{have} bytes after vm.{verb}"


def test_figures(context, profile):
    with context.session() as (monitor, client):
        config = context.config(disks=[{"path": monitor.file("d", MIB), "id": "d"}])
        check(client.request("PUT", "vm.create", config), 204)
        check(client.request("PUT", "vm.boot"), 204)
        counters = check(client.request("GET", "vm.counters"), 200).json()
        for name in ("read_bytes", "write_bytes", "read_ops", "write_ops", "read_latency_min",
                     "read_latency_max", "read_latency_avg", "write_latency_min",
                     "write_latency_max", "write_latency_avg"):
            assert isinstance(counters["d"][name], int), counters
        stats = check(client.request("GET", "vm.stats"), 200).json()
        assert stats["memory"]["guest_rss_bytes"] > 0
        assert stats["memory"]["vmm_private_bytes"] > 0
        # A thread has figures from when it first ran on.
        monitor.wait_for(lambda: "vcpu0" in client.request("GET", "vm.stats").json()["threads"])
        reply = check(client.request("GET", "vmm.metrics"), 200)
        assert reply.headers["Content-Type"].startswith("text/plain")
        for line in reply.body.decode().splitlines():
            assert re.fullmatch(r'# TYPE \w+ \w+|\w+\{(\w+="[^"]*",?)+\} -?\d+', line), line
