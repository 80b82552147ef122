# SPDX-License-Identifier: Apache-2.0
"""A file system that stops answering holds up nobody but the guest that reads it:
not ping, not other clients, not SIGTERM, not what is on it from being removed."""

import contextlib
import functools
import os
import re
import signal
import subprocess
import tempfile
import time

from cases import MIB, check, check_chain, state
from cases_hostile import put
from cases_opener import has_landlock
from client import Wire

SOON = 1.0  # seconds; on a busy machine a bit more
SLACK = 2.0


class Hung:
    """A mount whose server answers, or not, as it is told to."""

    def __init__(self, *how):
        self.folder = tempfile.mkdtemp(prefix="vmm-hung-")
        self.process = subprocess.Popen(
            [os.environ["HUNGFS"], self.folder, "16", *how], stdin=subprocess.PIPE,
            stdout=subprocess.PIPE, text=True)
        self.ready = self.process.stdout.readline().strip() == "ready"
        self.disk = os.path.join(self.folder, "disk")

    def tell(self, command):
        self.process.stdin.write(command + "\n")
        self.process.stdin.flush()
        return self.process.stdout.readline().strip()

    def wait_held(self):
        end = time.monotonic() + 20
        while self.tell("held") == "0":
            assert time.monotonic() < end, "nothing hangs"
            time.sleep(0.01)

    def close(self):
        # Its end answers all that it kept.
        self.process.kill()
        self.process.communicate()
        subprocess.run(["umount", "-l", self.folder], stderr=subprocess.DEVNULL, check=False)
        with contextlib.suppress(OSError):
            os.rmdir(self.folder)


def on_hung(*how):
    """A test that has such a mount, where there can be one."""
    def decorate(test):
        @functools.wraps(test)
        def run(context):
            mount = Hung(*how)
            try:
                if mount.ready:
                    test(context, mount)
                else:
                    print("# no FUSE here")
            finally:
                mount.close()
        return run
    return decorate


@contextlib.contextmanager
def session(context, mount):
    """As context.session(); at its end nothing hangs any more."""
    with context.session() as both:
        try:
            yield both
        finally:
            mount.tell("go")


def takes(limit, function):
    start = time.monotonic()
    result = function()
    spent = time.monotonic() - start
    assert spent < limit + SLACK, f"{spent:.1f} s"
    return result


def check_alive(context, monitor):
    """A client that has just come is served."""
    with context.client(monitor) as client:
        takes(SOON, lambda: check(client.request("GET", "vmm.ping"), 200))
        takes(SOON, lambda: check(client.request("GET", "vm.info"), 200))


def check_ends(monitor):
    """SIGTERM: the socket is gone and exit(2) was called; what the kernel still
    does for the process it does for a zombie."""
    monitor.process.send_signal(signal.SIGTERM)
    main = f"/proc/{monitor.process.pid}/task/{monitor.process.pid}/stat"

    def wait():
        end = time.monotonic() + 20
        while monitor.process.poll() is None and os.path.exists(main):
            assert time.monotonic() < end, "it does not end"
            with open(main, encoding="ascii", errors="replace") as f:
                if f.read().rpartition(")")[2].split()[0] in "ZX":
                    return
            time.sleep(0.01)
    takes(SOON, wait)
    assert not os.path.exists(monitor.path)


def reader(context, mount, **more):
    """A guest that reads the disk all the time."""
    guest = context.other_guest("blkbench")
    # It gives up 10 s after the first of its two runs should have ended.
    line = "rw=randread bs=4K qd=16 warm_ms=600000"
    disk = {"path": mount.disk, "id": "slow", "direct": True}
    return context.config(payload={"kernel": guest, "cmdline": line}, disks=[disk], **more)


@on_hung()
def test_hung_clients_end(context, mount):
    """Requests that wait when the process ends are answered, and new clients are not."""
    with session(context, mount) as (monitor, client):
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        mount.tell("hang")
        wires = [Wire(monitor.path) for _ in range(3)]
        wires[0].send(put("vm.add-disk", {"path": mount.disk}) + put("vm.boot"))
        wires[1].send(put("vm.add-disk", {"path": mount.disk}))
        mount.wait_held()
        wires[2].send(put("vmm.shutdown"))
        check(wires[2].reply(), 200)
        for wire, nr in ((wires[0], 2), (wires[1], 1)):
            for _ in range(nr):
                check_chain(wire.reply(), 500, "The monitor is ending")
            assert wire.at_eof()
        check_ends(monitor)


@on_hung()
def test_hung_open(context, mount):
    """A disk that cannot be opened, at boot and later."""
    with session(context, mount) as (monitor, client):
        mount.tell("hang")
        disks = [{"path": mount.disk}]
        check(client.request("PUT", "vm.create", context.config(disks=disks)), 204)
        client.send("PUT", "vm.boot")
        mount.wait_held()
        check_alive(context, monitor)
        mount.tell("go")
        check(client.wire.reply(), 204)
        # One that is added, while others come and go.
        mount.tell("hang")
        copy = os.path.join(mount.folder, "disk")
        client.send("PUT", "vm.add-disk", {"path": copy, "id": "late", "readonly": True})
        mount.wait_held()
        check_alive(context, monitor)
        with context.client(monitor) as other:
            added = {"path": monitor.file("d", MIB), "id": "quick"}
            takes(SOON, lambda: check(other.request("PUT", "vm.add-disk", added), 200))
            body = {"id": "quick", "force": True}
            takes(SOON, lambda: check(other.request("PUT", "vm.remove-device", body), 204))
        check_ends(monitor)


def hung_configs(context, mount):
    """Machines whose creation asks the host for a path that hangs."""
    yield context.config(serial={"mode": "File", "file": mount.disk})
    if has_landlock():
        yield context.config(disks=[{"path": mount.disk}], landlock_enable=True)


@on_hung()
def test_hung_create(context, mount):
    """A path that is looked up when a machine is created."""
    for config in hung_configs(context, mount):
        with session(context, mount) as (monitor, client):
            mount.tell("hang")
            client.send("PUT", "vm.create", config)
            mount.wait_held()
            with context.client(monitor) as other:
                takes(SOON, lambda o=other: check(o.request("GET", "vmm.ping"), 200))
                takes(SOON, lambda o=other: check(o.request("GET", "vm.info"), 404))
                # What changes a machine waits for its turn.
                other.send("PUT", "vm.create", config)
                mount.tell("go")
                check(client.wire.reply(), 204)
                check_chain(other.wire.reply(), 500, "VM is already created")
            assert state(client) == "Created"
            check(client.request("PUT", "vm.boot"), 204)
        # Who ends the monitor does not wait for the path either.
        with session(context, mount) as (monitor, client):
            mount.tell("hang")
            client.send("PUT", "vm.create", config)
            mount.wait_held()
            check_ends(monitor)
            check_chain(client.wire.reply(), 500, "The monitor is ending")


@on_hung()
def test_hung_command_line(context, mount):
    """As above, without a client."""
    options = [["--serial", f"file={mount.disk}", "--disk", f"path={context.disk.name}"]]
    if has_landlock():
        options.append(["--serial", "off", "--landlock", "--disk", f"path={mount.disk}"])
    for option in options:
        with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
            path = os.path.join(folder, "api.sock")
            command = ["--api-socket", path, "--kernel", context.guest, *option]
            for end in ("go", "signal"):
                mount.tell("hang")
                with context.monitor(*command, path=path) as monitor:
                    mount.wait_held()
                    with context.client(monitor) as client:
                        takes(SOON, lambda c=client: check(c.request("GET", "vmm.ping"), 200))
                    if end == "go":
                        mount.tell("go")
                        with context.client(monitor) as client:
                            wait_running(client)
                    check_ends(monitor)
                    mount.tell("go")


def wait_running(client):
    end = time.monotonic() + 20
    while client.request("GET", "vm.info").status != 200 or state(client) != "Running":
        assert time.monotonic() < end, "it does not come up"
        time.sleep(0.02)


def holds(monitor, mount):
    fds = f"/proc/{monitor.process.pid}/fd"
    return [fd for fd in os.listdir(fds) if os.readlink(f"{fds}/{fd}") == mount.disk]


def check_lets_go(monitor, mount):
    """It has the file while the host holds a request, and not for long after."""
    assert holds(monitor, mount), "its file was closed under the host"
    mount.tell("go")
    end = time.monotonic() + 10
    while holds(monitor, mount):
        assert time.monotonic() < end
        time.sleep(0.02)


@on_hung()
def test_hung_requests(context, mount):
    """A guest whose reads hang is removed its disk by force, or is not paused."""
    with session(context, mount) as (monitor, client):
        check(client.request("PUT", "vm.create", reader(context, mount)), 204)
        check(client.request("PUT", "vm.boot"), 204)
        mount.tell("hang")
        mount.wait_held()
        check_alive(context, monitor)
        client.send("PUT", "vm.pause")
        check_alive(context, monitor)
        check_chain(client.wire.reply(), 500, "slow")
        assert state(client) == "Running"
        body = {"id": "slow", "force": True}
        takes(SOON, lambda: check(client.request("PUT", "vm.remove-device", body), 204))
        assert not check(client.request("GET", "vm.info"), 200).json()["config"].get("disks")
        check_lets_go(monitor, mount)
        check(client.request("PUT", "vm.pause"), 204)
        check(client.request("PUT", "vm.delete"), 204)


def speaker(context, mount):
    """A guest that writes to a file all the time."""
    return context.config(payload={"kernel": context.guest, "cmdline": "idle=talk"},
                          serial={"mode": "File", "file": mount.disk})


def content(mount):
    with open(mount.disk, "rb") as f:
        return f.read()


def says(mount):
    return content(mount)[:16].strip(b"\r\n\0")


@on_hung()
def test_hung_serial(context, mount):
    """A serial port's file that hangs holds up nothing, not even that it is forgotten."""
    with session(context, mount) as (monitor, client):
        check(client.request("PUT", "vm.create", speaker(context, mount)), 204)
        check(client.request("PUT", "vm.boot"), 204)
        mount.tell("hang")
        mount.wait_held()
        check_alive(context, monitor)
        for verb in ("pause", "resume", "reboot", "shutdown", "boot", "delete"):
            takes(SOON, lambda v=verb: check(client.request("PUT", "vm." + v), 204))
        takes(SOON, lambda: check(client.request("GET", "vmm.ping"), 200))
        check_lets_go(monitor, mount)
        # Where nothing is to be written, there is still the closing.
        check(client.request("PUT", "vm.create", speaker(context, mount)), 204)
        mount.tell("hang")
        takes(SOON, lambda: check(client.request("PUT", "vm.delete"), 204))
        mount.wait_held()
        check(client.request("GET", "vmm.ping"), 200)


@on_hung()
def test_hung_serial_end(context, mount):
    """The end of the process, while a guest writes to a file that hangs, or has."""
    for talks, end in ((True, "signal"), (True, "vmm.shutdown"), (False, "signal")):
        with session(context, mount) as (monitor, client):
            config = speaker(context, mount)
            if not talks:
                del config["payload"]["cmdline"]
            check(client.request("PUT", "vm.create", config), 204)
            check(client.request("PUT", "vm.boot"), 204)
            if not talks:
                monitor.wait_for(lambda: says(mount) == b"READY")
            mount.tell("hang")
            if talks:
                mount.wait_held()
            if end == "vmm.shutdown":
                takes(SOON, lambda: check(client.request("PUT", "vmm.shutdown"), 200))
            check_ends(monitor)
            mount.tell("go")


@contextlib.contextmanager
def talker(context, mount, *arguments, **popen):
    """A monitor that writes what it does to the mount's file."""
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
        path = os.path.join(folder, "api.sock")
        with context.monitor("--api-socket", path, *arguments, path=path, **popen) as monitor:
            # To close a file that hangs is to wait for it.
            for file in popen.values():
                file.close()
            with context.client(monitor) as client:
                try:
                    yield monitor, client
                finally:
                    mount.tell("go")


def check_output(context, mount, words, *arguments, stream=None):
    """The file hangs while the machine lives, and then while the process ends;
    words: what it says of a machine that is paused and rebooted, and last."""
    def said(*some):
        return re.search(".*".join(some).encode(), content(mount), re.DOTALL)

    for hangs in (False, True):
        popen = {stream: open(mount.disk, "wb")} if stream else {}
        with talker(context, mount, *arguments, **popen) as (monitor, client):
            config = context.config(serial={"mode": "Tty"})
            check(client.request("PUT", "vm.create", config), 204)
            check(client.request("PUT", "vm.boot"), 204)
            monitor.wait_for(lambda: said(words[0]))
            mount.tell("hang")
            for verb in ("pause", "resume", "reboot"):
                takes(SOON, lambda v=verb: check(client.request("PUT", "vm." + v), 204))
            mount.wait_held()
            check_alive(context, monitor)
            if not hangs:
                mount.tell("go")
                monitor.wait_for(lambda: said(*words[:-1]))
            check_ends(monitor)
            mount.tell("go")
            assert monitor.process.wait(5) == 0
            assert hangs or said(*words)


EVENTS = ("booted", "paused", "resumed", "rebooted", "shutdown")


@on_hung("grows")
def test_hung_log_file(context, mount):
    check_output(context, mount, EVENTS, "-vv", "--log-file", mount.disk)


@on_hung("grows")
def test_hung_stderr(context, mount):
    check_output(context, mount, EVENTS, "-vv", stream="stderr")


@on_hung("grows")
def test_hung_stderr_pty(context, mount):
    """Where a pseudo-terminal is, is said there."""
    with talker(context, mount, stderr=open(mount.disk, "wb")) as (monitor, client):
        mount.tell("hang")
        config = context.config(serial={"mode": "Pty"})
        takes(SOON, lambda: check(client.request("PUT", "vm.create", config), 204))
        takes(SOON, lambda: check(client.request("GET", "vmm.ping"), 200))
        mount.tell("go")
        monitor.wait_for(lambda: re.search(b"serial port on /dev/pts/[0-9]+\n", content(mount)))


@on_hung("grows")
def test_hung_events(context, mount):
    check_output(context, mount, EVENTS, "--event-monitor", "path=" + mount.disk)


@on_hung("grows")
def test_hung_stdout(context, mount):
    check_output(context, mount, ("READY", "READY", ""), stream="stdout")


@on_hung()
def test_hung_end(context, mount):
    """SIGTERM, vmm.shutdown and vm.shutdown with reads that hang."""
    for end in ("signal", "vmm.shutdown", "vm.shutdown"):
        with session(context, mount) as (monitor, client):
            check(client.request("PUT", "vm.create", reader(context, mount)), 204)
            check(client.request("PUT", "vm.boot"), 204)
            mount.tell("hang")
            mount.wait_held()
            if end == "signal":
                check_ends(monitor)
            elif end == "vmm.shutdown":
                takes(SOON, lambda: check(client.request("PUT", end), 200))
                check_ends(monitor)
            else:
                client.send("PUT", end)
                check_alive(context, monitor)
                check(client.wire.reply(), 204)
                assert state(client) == "Created"
            mount.tell("go")
            if end == "vm.shutdown":
                # The image is free again, and the machine comes up anew.
                check(client.request("PUT", "vm.boot"), 204)
