# SPDX-License-Identifier: Apache-2.0
"""A machine with every kind of device for hostile.elf, the host's ends of them,
and what a monitor weighs."""

import contextlib
import ctypes
import json
import os
import queue
import random
import select
import shutil
import socket
import subprocess
import sys
import threading
import time

HERE = os.path.dirname(os.path.abspath(__file__))
sys.path += [os.path.join(HERE, os.pardir, folder) for folder in ("api", "guest")]
# pylint: disable=wrong-import-position
import wire
from client import PREFIX, GoProfile

KIB = 1 << 10
MIB = 1 << 20
CLONE_NEWNS = 0x20000
HOST_PORT = 5000
SINK_PORT = 5001    # says nothing
GOOD = b"whole" + bytes(200000)
SLOW_OPS = 200  # a second, of devices with a limit
GIVEN_UP = 3    # exit status
ANSWER = 60     # seconds, for what takes a loaded machine none


class Wrong(Exception):
    """What the monitor did is not what it should have done."""


class Skipped(Exception):
    """This host cannot have that done."""


def check(ok, *why):
    if not ok:
        raise Wrong(" ".join(str(word) for word in why))


def environment():
    """Memory that a sanitizer frees is given back soon, so that what grows is seen."""
    return {**os.environ,
            "ASAN_OPTIONS": os.environ.get("ASAN_OPTIONS", "") + ":quarantine_size_mb=4"}


def new_world():
    """This process, and what it starts, with a network and mounts of its own.
    False where that is not to be had."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNS):
        return False
    try:
        subprocess.run(["mount", "--make-rprivate", "/"], check=True)
        wire.new_namespace()
    except (OSError, subprocess.CalledProcessError):
        return False
    return os.access("/dev/net/tun", os.R_OK | os.W_OK)


@contextlib.contextmanager
def small_disk(size_mib):
    """A directory of a file system that a guest may fill."""
    path = f"/tmp/vmm-hostile-{os.getpid()}"
    os.mkdir(path)
    try:
        subprocess.run(["mount", "-t", "tmpfs", "-o", f"size={size_mib}M", "none", path],
                       check=True)
        try:
            yield path
        finally:
            subprocess.run(["umount", "-l", path], check=True)
    finally:
        os.rmdir(path)


class Peers:
    """The other ends: a wire for each TAP, programs behind vsock, and somebody who
    works in the shared directories. They go on whatever the guest does."""

    def __init__(self, machine, seed):
        self.machine = machine
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.busy = threading.Event()       # more than to answer
        self.threads = [threading.Thread(target=self.listen)]
        self.threads += [threading.Thread(target=self.echo, args=(tap,))
                         for tap in machine.taps]
        self.threads += [threading.Thread(target=self.each, args=(work,))
                         for work in (self.call_guest, self.change_files)]

    def __enter__(self):
        for thread in self.threads:
            thread.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        for thread in self.threads:
            thread.join()

    def each(self, work):
        while not self.over.wait(0.02):
            if self.busy.is_set():
                with contextlib.suppress(OSError):
                    work()

    # -- network
    def echo(self, tap):
        with wire.Wire(tap) as w:
            while not self.over.is_set():
                with contextlib.suppress(OSError):
                    self.echo_one(w)

    def echo_one(self, w):
        got = w.receive(0.02)
        if got and b"whole" in got[0][:32]:
            data = got[0]
            w.send(b"\xff" * 6 + b"\2\0\0\0\0\1" + data[12:])
        elif self.busy.is_set():
            length = self.random.choice((60, 61, 128, 1514, 4000))
            w.send((b"\xff" * 12 + self.random.randbytes(length - 12))[:length])

    # -- vsock
    def listen(self):
        kept = []
        with socket.socket(socket.AF_UNIX) as listener, socket.socket(socket.AF_UNIX) as sink:
            for s, port in ((listener, HOST_PORT), (sink, SINK_PORT)):
                s.bind(f"{self.machine.vsock}_{port}")
                s.listen(64)
                s.setblocking(False)
            while not self.over.is_set():
                for s in select.select([listener, sink], [], [], 0.1)[0]:
                    with contextlib.suppress(OSError):
                        client, _ = s.accept()
                        client.setblocking(False)
                        kept.append(client)
                        if s is listener:
                            self.greet(client)
                while len(kept) > 20:
                    kept.pop(self.random.randrange(len(kept))).close()
        for client in kept:
            client.close()
        for port in (HOST_PORT, SINK_PORT):
            os.unlink(f"{self.machine.vsock}_{port}")

    def greet(self, client):
        client.send(b"whole")
        if self.busy.is_set():
            client.send(self.random.randbytes(self.random.randint(1, 100000)))

    def call_guest(self):
        with socket.socket(socket.AF_UNIX) as client:
            client.settimeout(0.05)
            client.connect(self.machine.vsock)
            client.sendall(b"CONNECT %d\n" % self.random.randint(0, 70))
            client.recv(32)
            client.sendall(self.random.randbytes(5000))

    # -- directories
    def change_files(self):
        path = os.path.join(self.machine.share, self.random.choice("ab"))
        what = self.random.randrange(4)
        if what == 0:
            os.unlink(path)
        elif what == 1:
            os.mkdir(path)
        else:
            with open(path, "ab") as f:
                f.truncate(self.random.randrange(MIB))


class Guest:
    """What hostile.elf says, from the noise that it makes on its serial port."""

    def __init__(self, process):
        self.process = process
        self.said = queue.Queue()
        self.noise = 0
        self.last_words = b""
        self.reader = threading.Thread(target=self.read)
        self.reader.start()

    def read(self):
        pending = b""
        while chunk := os.read(self.process.stdout.fileno(), 65536):
            *lines, pending = (pending + chunk).split(b"\n")
            pending = pending[-4096:]
            self.noise += len(chunk)
            for line in lines:
                if line.startswith(b"@ "):
                    self.said.put(line[2:].decode(errors="replace").strip())
                elif line.startswith(b"FATAL"):
                    self.last_words = line

    def tell(self, command):
        self.process.stdin.write(command.encode() + b"\n")
        self.process.stdin.flush()

    def hear(self, timeout):
        """The next thing it says; None: nothing."""
        try:
            return self.said.get(timeout=timeout)
        except queue.Empty:
            return None

    def forget(self):
        while self.hear(0) is not None:
            pass


class Machine:
    """A monitor with everything, driven over its control socket."""

    taps = ("h0", "h1")

    def __init__(self, program, guest, folder):
        self.program = program
        self.elf = guest
        self.folder = folder
        self.api_path = self.path("api")
        self.vsock = self.path("v")
        self.share = self.path("share")
        self.log = self.path("log")
        self.events = self.path("events")
        self.process = None
        self.nr_hello = 0

    def path(self, name):
        return os.path.join(self.folder, name)

    def config(self):
        for name in ("d0", "d1", "d2", "x0", "x1"):
            with open(self.path(name), "wb") as f:
                f.truncate(16 * MIB)
        slow = {"ops": {"size": SLOW_OPS // 10, "refill_time": 100}}
        return {
            "payload": {"kernel": self.elf},
            "cpus": {"boot_vcpus": 2, "max_vcpus": 4},
            "memory": {"size": 128 * MIB, "hotplug_size": 256 * MIB, "shared": True},
            "serial": {"mode": "Tty"},
            "disks": [{"path": self.path("d0"), "id": "d0", "num_queues": 2},
                      {"path": self.path("d1"), "id": "d1", "engine": "aio",
                       "rate_limiter_config": slow},
                      {"path": self.path("d2"), "id": "d2", "engine": "sync", "readonly": True}],
            "net": [{"tap": self.taps[0], "id": "n0", "num_queues": 4},
                    {"tap": self.taps[1], "id": "n1", "vlan": 10, "antispoof": "mac",
                     "mac": "02:00:00:00:00:02", "rate_limiter_config": slow}],
            "vsock": {"cid": 3, "socket": self.vsock, "id": "v0"},
            "fs": [{"tag": "f0", "path": self.share, "id": "f0", "num_queues": 2,
                    "dax": 64 * MIB},
                   {"tag": "f1", "path": self.share, "id": "f1", "readonly": True,
                    "cache": "always"}],
        }

    def __enter__(self):
        os.makedirs(self.share, exist_ok=True)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(
                [self.program, "--api-socket", self.api_path,
                 "--event-monitor", "path=" + self.events],
                stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=log,
                env=environment())
        self.guest = Guest(self.process)
        try:
            end = time.monotonic() + ANSWER
            while not os.path.exists(self.api_path):
                check(time.monotonic() < end and self.process.poll() is None, self.errors())
                time.sleep(0.01)
            self.ask("PUT", "vm.create", self.config())
            self.ask("PUT", "vm.boot")
            for tap in self.taps:
                wire.ip("link", "set", tap, "up")
        except BaseException:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if kind:
            print("# monitor: exit status", self.process.poll(), self.guest.last_words)
            lines = self.errors().splitlines()
            # what a sanitizer says, from its beginning
            start = next((i for i, line in enumerate(lines) if "Sanitizer" in line), -60)
            print("# " + "\n# ".join(lines[start:][:90]), flush=True)
        with contextlib.suppress(subprocess.TimeoutExpired):
            self.process.wait(3 if kind else 0)     # it may be about to end
        if self.process.poll() is None:
            self.process.kill()
        self.process.wait()
        self.guest.reader.join()
        self.process.stdin.close()
        self.process.stdout.close()

    def request(self, method, verb, body=None):
        client = GoProfile(self.api_path)
        client.wire.socket.settimeout(ANSWER)
        try:
            return client.request(method, verb, body)
        finally:
            client.close()

    def ask(self, method, verb, body=None):
        reply = self.request(method, verb, body)
        check(reply.status in (200, 204), verb, reply.status, reply.body)
        return json.loads(reply.body) if reply.body else None

    def errors(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def was_given_up(self):
        """The guest has hit itself, so that it runs what no processor can."""
        return self.process.poll() == GIVEN_UP and "KVM gave up on the guest" in self.errors()

    def check_alive(self):
        status = self.process.poll()
        check(status is None, "the monitor ended:", status)
        check("Sanitizer" not in self.errors() and "runtime error" not in self.errors(),
              "a sanitizer speaks")

    # -- the guest
    def restart(self):
        """From whatever it is to its first word."""
        state = self.ask("GET", "vm.info")["state"]
        if state == "Paused":
            self.ask("PUT", "vm.resume")
        if state == "Shutdown":
            self.ask("PUT", "vm.boot")
        else:
            reply = self.request("PUT", "vm.reboot")
            if reply.status != 204:
                # it was about to end by itself
                time.sleep(0.5)
                state = self.ask("GET", "vm.info")["state"]
                self.ask("PUT", "vm.boot" if state == "Shutdown" else "vm.reboot")
        self.hello()

    def hello(self):
        """It listens, and what it said before is past: it may have restarted in the
        middle of a command."""
        end = time.monotonic() + ANSWER
        said = None
        while True:
            self.nr_hello += 1
            self.guest.tell(f"cmd=hello n={self.nr_hello}")
            while said := self.guest.hear(2):
                if said == f"HELLO {self.nr_hello}":
                    return
            self.check_alive()
            check(time.monotonic() < end, "the guest does not answer")

    def until(self, word):
        """It says that."""
        end = time.monotonic() + ANSWER
        while (said := self.guest.hear(1)) != word:
            self.check_alive()
            check(time.monotonic() < end, "the guest does not say", word, "but", said)

    def shrink(self):
        """Ask for the size of the start, which it has when it has restarted, unless other
        requests came first: these end then, but what waits fails. Was it larger?"""
        info = self.ask("GET", "vm.info")
        for body in ({"desired_vcpus": 2}, {"desired_ram": 128 * MIB}):
            self.request("PUT", "vm.resize", body)
        return (info["config"]["cpus"]["boot_vcpus"] > 2 or
                info["memory_actual_size"] > 128 * MIB)

    def whole(self):
        """A guest that behaves finds every device whole."""
        self.put_files()
        self.restart()
        self.guest.tell("cmd=whole")
        said = self.guest.hear(ANSWER)
        self.check_alive()
        check(said == "OK", "after a reset:", said)

    def put_files(self):
        """Whatever the guest has made of the directory."""
        for entry in os.scandir(self.share):
            if entry.is_dir(follow_symlinks=False):
                shutil.rmtree(entry.path, ignore_errors=True)
            else:
                os.unlink(entry.path)
        with open(os.path.join(self.share, "good"), "wb") as f:
            f.write(GOOD)
        for name in ("file", "large"):
            with open(os.path.join(self.share, name), "wb") as f:
                f.write(bytes(100 if name == "file" else MIB))
        os.mkdir(os.path.join(self.share, "dir"))
        os.symlink("../../secret", os.path.join(self.share, "upwards"))
        os.symlink("/etc/hostname", os.path.join(self.share, "absolute"))

    # -- what it weighs
    def is_sanitized(self):
        with open(f"/proc/{self.process.pid}/maps", encoding="ascii", errors="replace") as f:
            return "asan" in f.read()

    def limited(self):
        """When, and what the devices with a limit had done until then."""
        disk, net = (self.ask("GET", "vm.counters")[name] for name in ("d1", "n1"))
        return time.monotonic(), {"disk": disk["read_ops"] + disk["write_ops"],
                                  "to the guest": net["rx_frames"],
                                  "from the guest": net["tx_frames"]}

    def weight(self):
        pid = self.process.pid
        with open(f"/proc/{pid}/smaps", encoding="ascii", errors="replace") as f:
            own, foreign = 0, False
            for line in f:
                words = line.split()
                if not words[0].endswith(":"):
                    # the guest's memory, and files that it maps
                    foreign = len(words) > 5 and ("memfd" in words[5] or self.folder in words[5])
                elif words[0] in ("Private_Dirty:", "Swap:") and not foreign:
                    own += int(words[1]) << 10
        return {"fds": len(os.listdir(f"/proc/{pid}/fd")),
                # The pool's, and the kernel's of io_uring, come and go.
                "threads": len([t for t in self.threads()
                                if not t.startswith(("pool", "share", "iou-wrk"))]),
                "memory": own,
                "log": len(self.errors().splitlines()),
                "events": os.path.getsize(self.events)}

    def threads(self):
        """What each does, and its CPU time in ticks: for who has to find out why
        nothing goes on."""
        folder = f"/proc/{self.process.pid}/task"
        seen = []
        for task in os.listdir(folder):
            with contextlib.suppress(OSError):
                with open(f"{folder}/{task}/stat", encoding="ascii") as f:
                    name, _, rest = f.read().partition("(")[2].rpartition(")")
                with open(f"{folder}/{task}/syscall", encoding="ascii") as f:
                    call = f.read().split()[0]
                fields = rest.split()
                seen.append(f"{name}:{fields[0]}:{fields[11]}+{fields[12]}:{call}")
        return seen

    def cpu(self):
        """Seconds of CPU that its threads have used, but for the main thread, which
        answers."""
        pid = self.process.pid
        ticks = 0
        for task in os.listdir(f"/proc/{pid}/task"):
            with contextlib.suppress(OSError):
                with open(f"/proc/{pid}/task/{task}/stat", encoding="ascii") as f:
                    fields = f.read().rpartition(")")[2].split()
                ticks += int(fields[11]) + int(fields[12]) if int(task) != pid else 0
        return ticks / os.sysconf("SC_CLK_TCK")
