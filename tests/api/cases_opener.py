# SPDX-License-Identifier: Apache-2.0
"""What is opened for clients, and what is not."""

import ctypes
import os
import signal
import subprocess
import tempfile

import network
from cases import MIB, check


def children(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        return [int(word) for word in f.read().split()]


def name_of(pid):
    with open(f"/proc/{pid}/comm", encoding="ascii") as f:
        return f.read().strip()


def refused_by(client, verb, body, *texts):
    reply = client.request("PUT", verb, body)
    check(reply, 500)
    for text in texts:
        assert text in reply.body.decode(), reply.body


def refused(client, path, text):
    refused_by(client, "vm.add-disk", {"path": path}, text)


def boot(context, client, **more):
    check(client.request("PUT", "vm.create", context.config(**more)), 204)
    check(client.request("PUT", "vm.boot"), 204)


def test_allow(context):
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
        path = os.path.join(folder, "api.sock")
        with context.monitor("--api-socket", path, "--allow", folder,
                             os.path.dirname(context.guest), path=path) as monitor, \
                context.client(monitor) as client:
            inside, link = os.path.join(folder, "inside"), os.path.join(folder, "link")
            first = os.path.join(folder, "first")
            for name in (first, inside):
                with open(name, "wb") as f:
                    f.truncate(MIB)
            # The guest ends when it finds no disk.
            boot(context, client, disks=[{"path": first}])
            os.symlink(monitor.file("outside", MIB), link)
            check(client.request("PUT", "vm.add-disk", {"path": inside}), 200)
            refused(client, link, "--allow")
            refused(client, monitor.file("outside"), "--allow")
            refused(client, folder + "/../" + os.path.basename(folder) + "/inside", "--allow")
            refused_by(client, "vm.add-vsock", {"cid": 3, "socket": monitor.file("vsock")},
                       "--allow")
            socket = os.path.join(folder, "vsock")
            check(client.request("PUT", "vm.add-vsock", {"cid": 3, "socket": socket}), 200)
            assert os.path.exists(socket)
            check(client.request("PUT", "vmm.shutdown"), 200)
            assert monitor.process.wait(20) == 0
            assert not os.path.exists(socket) and not os.path.exists(path)


def test_allow_bounds_networks_and_shares(context):
    """A namespace's file, and the socket of vmm-virtiofsd; a TAP's name is no path."""
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder, \
            network.namespace() as good:
        if not good:
            return
        path, box = os.path.join(folder, "api.sock"), os.path.join(folder, "box")
        before = network.links()
        with context.monitor("--api-socket", path, "--allow", folder,
                             os.path.dirname(context.guest),
                             os.path.dirname(context.disk.name), path=path) as monitor, \
                context.client(monitor) as client:
            boot(context, client)
            with open(box, "wb"):
                pass
            for netns in ("/proc/self/ns/net", "/etc/hostname", folder + "/../box"):
                refused_by(client, "vm.add-net", {"tap": "out0", "netns": netns},
                           f"netns={netns}", "--allow")
            refused_by(client, "vm.add-net", {"tap": "out0", "netns": box},
                       "is not a network namespace")
            assert network.links() == before
            subprocess.run(["mount", "--bind", "/proc/self/ns/net", box], check=True)
            try:
                check(client.request("PUT", "vm.add-net", {"tap": "in0", "netns": box}), 200)
                check(client.request("PUT", "vm.add-net", {"tap": "in1"}), 200)
            finally:
                subprocess.run(["umount", box], check=True)
            assert network.links() == before | {"in0", "in1"}
            refused_by(client, "vm.add-fs", {"tag": "t", "socket": "/run/fs.sock"},
                       "socket=", "--allow")
            check(client.request("PUT", "vmm.shutdown"), 200)
            assert monitor.process.wait(20) == 0
            assert network.links() == before


def has_landlock():
    """landlock_create_ruleset(2) has the same number everywhere."""
    return ctypes.CDLL(None).syscall(444, None, 0, 1) > 0


NO_LANDLOCK = "this host's kernel has no Landlock"


def not_created(client, config, *texts):
    reply = client.request("PUT", "vm.create", config)
    assert reply.status in (400, 500), reply.status_line
    assert all(text in reply.body.decode() for text in texts), reply.body


def test_landlock(context):
    """What the machine names can be opened, and what its rules have, for good."""
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder, \
            network.namespace() as good:
        hot, named = os.path.join(folder, "hot"), os.path.join(folder, "named")
        os.mkdir(hot)
        os.mkdir(named)
        disk, inside = os.path.join(named, "disk"), os.path.join(hot, "inside")
        outside = os.path.join(folder, "outside")
        for name in (disk, inside, outside):
            with open(name, "wb") as f:
                f.truncate(MIB)
        rules = [{"path": hot, "access": "r"}]
        config = context.config(
            disks=[{"path": disk}], vsock={"cid": 3, "socket": os.path.join(named, "vsock")},
            landlock_enable=True, landlock_rules=rules)
        with context.monitor() as monitor, context.client(monitor) as client:
            if not has_landlock():
                not_created(client, config, NO_LANDLOCK)
                return
            not_created(client,
                        {**config, "landlock_rules": [{"path": "/no/such", "access": "rw"}]},
                        "landlock_rules", "/no/such")
            not_created(client, {**config, "landlock_enable": False}, "landlock_rules",
                        "landlock_enable")
            check(client.request("PUT", "vm.create", config), 204)
            seen = check(client.request("GET", "vm.info"), 200).json()["config"]
            assert seen["landlock_enable"] is True and seen["landlock_rules"] == rules, seen
            check(client.request("PUT", "vm.boot"), 204)
            assert os.path.exists(os.path.join(named, "vsock"))
            check(client.request("PUT", "vm.add-disk", {"path": inside, "readonly": True}), 200)
            refused(client, outside, "ermission")
            refused_by(client, "vm.add-fs", {"tag": "t", "path": folder}, "ermission")
            if good:
                check(client.request("PUT", "vm.add-net", {"tap": "in0"}), 200)
            # The next machine has no more, whatever it says.
            check(client.request("PUT", "vm.delete"), 204)
            check(client.request("PUT", "vm.create", context.config(disks=[{"path": outside}])),
                  204)
            refused_by(client, "vm.boot", None, "ermission")
            check(client.request("PUT", "vmm.shutdown"), 200)
            assert monitor.process.wait(20) == 0
            assert not os.path.exists(os.path.join(named, "vsock"))


def test_landlock_of_command_line(context):
    done = subprocess.run([context.program, "--kernel", context.guest, "--serial", "off",
                           "--landlock", "--landlock-rules", "path=/no/such,access=r"],
                          stdin=subprocess.DEVNULL, capture_output=True, text=True, timeout=20,
                          check=False)
    assert done.returncode == 1, done
    assert ("/no/such" if has_landlock() else NO_LANDLOCK) in done.stderr, done.stderr


def test_landlock_needs_filters(context):
    """Threads that are not filtered open what they like."""
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
        path = os.path.join(folder, "api.sock")
        with context.monitor("--api-socket", path, "--seccomp", "false", path=path) as monitor, \
                context.client(monitor) as client:
            not_created(client, context.config(landlock_enable=True),
                        "--seccomp" if has_landlock() else NO_LANDLOCK)


def test_no_opener_networks(context):
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder, \
            network.namespace() as good:
        if not good:
            return
        path = os.path.join(folder, "api.sock")
        before = network.links()
        with context.monitor("--kernel", context.guest, "--memory", "64M", "--disk",
                             f"path={context.disk.name}", "--api-socket", path, "--no-opener",
                             path=path) as monitor, context.client(monitor) as client:
            monitor.wait_for(lambda: not children(monitor.process.pid))
            refused_by(client, "vm.add-net", {"tap": "x0"}, "tap=x0", "--no-opener")
            refused_by(client, "vm.add-net", {}, "--no-opener")
            refused_by(client, "vm.add-fs", {"tag": "t", "socket": "/x"}, "socket=/x",
                       "--no-opener")
            assert network.links() == before
            fds = network.tap("given0")
            reply = client.request("PUT", "vm.add-net", {"fd": 0, "vhost": True}, fds)
            check(reply, 500)
            assert "vhost=on" in reply.body.decode(), reply.body
            check(client.request("PUT", "vm.add-net", {"fd": 0}, fds), 200)
            network.close(fds)


def test_opener_opens_networks(context):
    """It has them made, not the monitor; they go with the machine, whatever ends it."""
    with network.namespace() as good:
        if not good:
            return
        before = network.links()
        for kill in (False, True):
            with context.monitor() as monitor, context.client(monitor) as client:
                boot(context, client)
                check(client.request("PUT", "vm.add-net", {"tap": "made0", "mtu": 1400}), 200)
                assert network.links() == before | {"made0"}
                if kill:
                    monitor.process.kill()
                else:
                    check(client.request("PUT", "vmm.shutdown"), 200)
                monitor.process.wait(20)
                monitor.wait_for(lambda: network.links() == before)


def test_no_opener(context):
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
        path = os.path.join(folder, "api.sock")
        with context.monitor("--api-socket", path, "--no-opener",
                             path=path) as monitor, context.client(monitor) as client:
            assert not children(monitor.process.pid)
            check(client.request("PUT", "vm.create", context.config()), 204)
            reply = client.request("PUT", "vm.boot")
            check(reply, 500)
            assert "--no-opener" in reply.body.decode(), reply.body
            check(client.request("PUT", "vm.delete"), 204)
            with open(context.guest, "rb") as kernel, open(context.disk.name, "r+b") as disk:
                config = context.config(payload={"kernel_fd": 0}, disks=[{"fd": 1}])
                fds = [kernel.fileno(), disk.fileno()]
                check(client.request("PUT", "vm.create", config, fds), 204)
            check(client.request("PUT", "vm.boot"), 204)
            refused(client, monitor.file("disk", MIB), "--no-opener")
            assert not children(monitor.process.pid)


def test_opener_is_killed(context):
    with context.monitor() as monitor, context.client(monitor) as client:
        boot(context, client)
        opener, = children(monitor.process.pid)
        assert name_of(opener) == "opener"
        for signo in (signal.SIGINT, signal.SIGTERM, signal.SIGHUP):
            os.kill(opener, signo)
        check(client.request("PUT", "vm.add-disk", {"path": monitor.file("one", MIB)}), 200)
        os.kill(opener, signal.SIGKILL)
        # It is no zombie, and the machine goes on without.
        monitor.wait_for(lambda: not os.path.exists(f"/proc/{opener}"))
        refused(client, monitor.file("two", MIB), "has ended")
        check(client.request("GET", "vmm.ping"), 200)


def test_opener_ends_with_monitor(context):
    with context.monitor() as monitor, context.client(monitor) as client:
        boot(context, client)
        socket = monitor.file("vsock")
        check(client.request("PUT", "vm.add-vsock", {"cid": 3, "socket": socket}), 200)
        opener, = children(monitor.process.pid)
        others = children(opener)
        assert os.path.exists(socket)
        monitor.process.kill()
        monitor.process.wait()
        for pid in (opener, *others):
            monitor.wait_for(lambda p=pid: not os.path.exists(f"/proc/{p}")
                             or "Z" in open(f"/proc/{p}/stat", encoding="ascii").read())
        # Who listened for it cleared up.
        assert not os.path.exists(socket)
