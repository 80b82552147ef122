# SPDX-License-Identifier: Apache-2.0
"""The control socket of a monitor: HTTP with JSON as Cloud Hypervisor has it, or
QEMU's QMP, behind the same few verbs.

The socket listens, and the first ping is in it, before the monitor is started
with it as a descriptor. So nobody has to try again and again until it is there,
and the first answer comes as soon as the monitor can give it.
"""

import json
import os
import select
import socket
import struct
import time

from monitors import CloudHypervisor, Qemu, Vmm
from process import Failed, Process

TIMEOUT_S = 60
HOT = "hot"


def cut_line(data):
    """(message, rest), or None as long as there is no whole one."""
    line, end, rest = data.partition(b"\n")
    return (line.decode(errors="replace").strip(), rest) if end else None


def cut_json_line(data):
    line, end, rest = data.partition(b"\n")
    return (json.loads(line), rest) if end else None


def cut_event(data):
    event, end, rest = data.partition(b"\n\n")
    return (json.loads(event), rest) if end else None


def cut_reply(data):
    """(status, body) of an HTTP reply."""
    head, end, rest = data.partition(b"\r\n\r\n")
    if not end:
        return None
    lines = head.decode("ascii").split("\r\n")
    headers = dict(line.lower().split(": ", 1) for line in lines[1:])
    size = int(headers.get("content-length", 0))
    if len(rest) < size:
        return None
    return (int(lines[0].split(" ")[1]), rest[:size].decode()), rest[size:]


class Inbox:
    """What a monitor says on several descriptors, each message with the time of
    its arrival: two may be waited for one after the other, in any order."""

    def __init__(self, process):
        self.process = process
        self.poll = select.poll()
        self.names = {}
        self.cuts = {}
        self.data = {}
        self.messages = {}

    def add(self, name, fd, cut):
        self.poll.register(fd, select.POLLIN)
        self.names[fd] = name
        self.cuts[name] = cut
        self.data[name] = b""
        self.messages[name] = []

    def _read(self, fd, now):
        name = self.names[fd]
        chunk = os.read(fd, 65536)
        if not chunk:
            self.process.fail("ended too early")
        self.data[name] += chunk
        if fd == self.process.pipe:
            self.process.output += chunk
        found = self.cuts[name](self.data[name])
        while found:
            message, self.data[name] = found
            self.messages[name].append((now, message))
            found = self.cuts[name](self.data[name])

    def collect(self, seconds):
        """What came until now, or comes first within that time."""
        ready = self.poll.poll(seconds * 1000)
        now = time.monotonic_ns()
        for fd, _ in ready:
            self._read(fd, now)

    def wait(self, name, accept, what):
        """The time and text of the first message that is accepted; those in
        front of it are dropped."""
        deadline = time.monotonic() + TIMEOUT_S
        while True:
            while self.messages[name]:
                now, message = self.messages[name].pop(0)
                if accept(message):
                    return now, message
            left = deadline - time.monotonic()
            if left <= 0:
                self.process.fail(f"no {what} after {TIMEOUT_S} s")
            self.collect(left)

    def forget(self):
        """Drops what came until now."""
        self.collect(0)
        for messages in self.messages.values():
            messages.clear()


class Session:
    """A monitor and the one connection to it."""

    def __init__(self, monitor, words, tmp):
        """words: of the command line, beside the control socket."""
        path = os.path.join(tmp, "control")
        self.monitor = monitor
        self.fds = []
        self.listener = socket.socket(socket.AF_UNIX)
        self.socket = socket.socket(socket.AF_UNIX)
        self.process = None
        try:
            self.listener.bind(path)
            self.listener.listen(1)
            self.socket.connect(path)
            os.unlink(path)
            # By the kernel: a timeout of Python's costs a poll(2) a call.
            self.socket.setsockopt(socket.SOL_SOCKET, socket.SO_RCVTIMEO,
                                   struct.pack("ll", TIMEOUT_S, 0))
            self.socket.sendall(self.hello())
            self.listener.set_inheritable(True)
            self.process = Process([monitor.path, *words, *self.control_words(
                self.listener.fileno())], tmp)
            self.inbox = Inbox(self.process)
            self.inbox.add("console", self.process.pipe, cut_line)
            self.open_inbox()
            # When the first ping was answered.
            self.first_ping = self.wait_hello()[0]
        except BaseException:
            self.__exit__()
            raise

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.process:
            self.process.__exit__()
        self.listener.close()
        self.socket.close()
        for fd in self.fds:
            os.close(fd)

    def send(self, data):
        now = time.monotonic_ns()
        self.socket.sendall(data)
        return now


    def wait_console(self, line):
        return self.inbox.wait("console", lambda m: m.endswith(line), f"'{line}'")[0]


class Http(Session):
    """vmm, and others with the same API."""

    PING = b"GET /api/v1/vmm.ping HTTP/1.1\r\nHost: localhost\r\n\r\n"

    @staticmethod
    def put(verb, body=None):
        data = json.dumps(body) if body is not None else ""
        return (f"PUT /api/v1/{verb} HTTP/1.1\r\nHost: localhost\r\n"
                f"Content-Length: {len(data)}\r\n\r\n{data}").encode()

    def hello(self):
        return self.PING

    def control_words(self, fd):
        read, write = os.pipe()
        self.fds = [read, write]
        os.set_inheritable(write, True)
        return ["--api-socket", f"fd={fd}", "--event-monitor", f"fd={write}"]

    def open_inbox(self):
        self.inbox.add("control", self.socket.fileno(), cut_reply)
        self.inbox.add("events", self.fds[0], cut_event)

    def reply(self):
        now, (status, body) = self.inbox.wait("control", lambda m: True, "reply")
        if status >= 300:
            self.process.fail(f"it refused: {status} {body}")
        return now, body

    def wait_hello(self):
        return self.reply()

    def start_guest(self, guest):
        config = {
            "payload": {"kernel": guest.kernel, "cmdline": guest.cmdline},
            "cpus": {"boot_vcpus": 1, "max_vcpus": 1},
            "memory": {"size": guest.memory_mib << 20},
            "disks": [{"path": guest.disk}],
            "serial": {"mode": "Tty" if guest.serial else "Off"},
            "console": {"mode": "Off"},
        }
        if isinstance(self.monitor, Vmm):
            config["on_reset"] = "exit"
        sent = self.send(self.put("vm.create", config))
        self.reply()
        self.send(self.put("vm.boot"))
        self.reply()
        return sent

    def add_disk(self, path):
        """When it was asked for, and when that was answered."""
        sent = self.send(self.put("vm.add-disk", {"path": path, "id": HOT}))
        return sent, self.reply()[0]

    def remove_disk(self):
        """When that was asked for, and when it was gone."""
        def ended(event):
            return (event["event"].startswith("device-remove") and
                    event["properties"]["id"] == HOT)

        sent = self.send(self.put("vm.remove-device", {"id": HOT}))
        self.reply()
        now, event = self.inbox.wait("events", ended, "device-removed")
        if event["event"] != "device-removed":
            self.process.fail(f"it did not remove the disk: {event}")
        return sent, now


class Qmp(Session):
    """QEMU."""

    PING = b'{"execute":"query-status"}\n'

    @staticmethod
    def command(execute, **arguments):
        return json.dumps({"execute": execute, "arguments": arguments}).encode()

    def hello(self):
        return self.command("qmp_capabilities") + self.PING

    def control_words(self, fd):
        return ["-chardev", f"socket,id=control,fd={fd},server=on,wait=off",
                "-mon", "chardev=control,mode=control"]

    def open_inbox(self):
        self.inbox.add("control", self.socket.fileno(), cut_json_line)

    def reply(self):
        now, message = self.inbox.wait(
            "control", lambda m: "return" in m or "error" in m, "reply")
        if "error" in message:
            self.process.fail(f"it refused: {message['error']}")
        return now, message

    def wait_hello(self):
        self.reply()
        return self.reply()

    def start_guest(self, _):
        sent = self.send(self.command("x-exit-preconfig"))
        self.reply()
        return sent

    def add_disk(self, path):
        sent = self.send(
            self.command("blockdev-add", **{"node-name": HOT, "driver": "raw",
                         "file": {"driver": "file", "filename": path,
                                  "aio": "io_uring"}}) +
            self.command("device_add", driver="virtio-blk-pci", id=HOT,
                         drive=HOT, bus=self.monitor.hot_bus,
                         **{"disable-legacy": "on"}))
        self.reply()
        return sent, self.reply()[0]

    def remove_disk(self):
        def ended(message):
            return ("error" in message or
                    message.get("event", "").startswith("DEVICE_") and
                    message["data"].get("device") == HOT)

        sent = self.send(self.command("device_del", id=HOT))
        now, message = self.inbox.wait("control", ended, "DEVICE_DELETED")
        if message.get("event") != "DEVICE_DELETED":
            self.process.fail(f"it did not remove the disk: {message}")
        # Not timed: what vmm does within the same request.
        self.send(self.command("blockdev-del", **{"node-name": HOT}))
        self.reply()
        return sent, now


def open_session(monitor, words, tmp):
    if isinstance(monitor, Qemu):
        return Qmp(monitor, words, tmp)
    if isinstance(monitor, (Vmm, CloudHypervisor)):
        return Http(monitor, words, tmp)
    raise Failed(f"control does not know how to ask {monitor.name}")
