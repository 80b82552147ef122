# SPDX-License-Identifier: Apache-2.0
"""A monitor with a control socket, and clients that behave on the wire as real
ones do."""

import array
import contextlib
import json
import os
import socket
import subprocess
import tempfile
import time

PREFIX = "/api/v1/"
TIMEOUT = 20


class Reply:
    def __init__(self, status_line, headers, body):
        self.status_line = status_line
        self.headers = headers
        self.body = body
        self.status = int(status_line.split(" ")[1])

    def json(self):
        return json.loads(self.body)


class Wire:
    """One connection; replies are read as strictly as they are promised."""

    def __init__(self, path):
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.settimeout(TIMEOUT)
        self.socket.connect(path)
        self.buffer = b""

    def close(self):
        self.socket.close()

    def send(self, data, fds=()):
        control = [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", fds))] if fds else []
        sent = self.socket.sendmsg([data], control)
        if sent < len(data):
            self.socket.sendall(data[sent:])

    def _fill(self):
        data = self.socket.recv(65536)
        if not data:
            raise EOFError("the server closed the connection")
        self.buffer += data

    def reply(self):
        while b"\r\n\r\n" not in self.buffer:
            self._fill()
        head, _, self.buffer = self.buffer.partition(b"\r\n\r\n")
        lines = head.decode("ascii").split("\r\n")
        headers = dict(line.split(": ", 1) for line in lines[1:])
        length = int(headers.get("Content-Length", 0))
        while len(self.buffer) < length:
            self._fill()
        body, self.buffer = self.buffer[:length], self.buffer[length:]
        return Reply(lines[0], headers, body)

    def at_eof(self):
        return not self.buffer and self.socket.recv(1) == b""


def encode(body):
    return b"" if body is None else body if isinstance(body, bytes) else json.dumps(body).encode()


class GoProfile:
    """Everything in one sendmsg, descriptors with the first byte, lengths
    always given."""

    def __init__(self, path):
        self.wire = Wire(path)

    def request(self, method, verb, body=None, fds=()):
        self.send(method, verb, body, fds)
        return self.wire.reply()

    def send(self, method, verb, body=None, fds=()):
        data = encode(body)
        if data and not data.endswith(b"\n"):
            data += b"\n"
        head = (f"{method} {PREFIX}{verb} HTTP/1.1\r\nHost: localhost\r\n"
                "User-Agent: OpenAPI-Generator/1.0.0/go\r\n")
        if method == "PUT":
            head += f"Content-Length: {len(data)}\r\n"
        if data:
            head += "Content-Type: application/json\r\n"
        head += "Accept-Encoding: gzip\r\n\r\n"
        self.wire.send(head.encode() + data, fds)

    def close(self):
        self.wire.close()


class RustProfile:
    """The request in pieces, descriptors with the first, no length without a
    body; finds what it wants in the reply by its exact spelling."""

    def __init__(self, path):
        self.wire = Wire(path)

    def request(self, method, verb, body=None, fds=()):
        data = encode(body)
        self.wire.send(f"{method} {PREFIX}{verb} HTTP/1.1\r\nHost: localhost\r\n"
                       "Accept: */*\r\n".encode(), fds)
        if data:
            self.wire.send(f"Content-Length: {len(data)}\r\n".encode())
        self.wire.send(b"\r\n")
        if data:
            self.wire.send(data)
        return self.wire.reply()

    def close(self):
        self.wire.close()


class CurlProfile:
    """curl, a connection a request."""

    def __init__(self, path):
        self.path = path

    def request(self, method, verb, body=None, fds=()):
        if fds:
            raise NotImplementedError("curl sends no descriptors")
        command = ["curl", "-s", "-i", "-m", str(TIMEOUT), "--unix-socket", self.path,
                   "-X", method, "http://localhost" + PREFIX + verb]
        data = encode(body)
        if data:
            command += ["-H", "Content-Type: application/json", "--data-binary", "@-"]
        out = subprocess.run(command, input=data, stdout=subprocess.PIPE, check=True).stdout
        while out.startswith(b"HTTP/1.1 100"):
            out = out.partition(b"\r\n\r\n")[2]
        head, _, content = out.partition(b"\r\n\r\n")
        lines = head.decode("ascii").split("\r\n")
        return Reply(lines[0], dict(line.split(": ", 1) for line in lines[1:]), content)

    def close(self):
        pass


PROFILES = {"go": GoProfile, "rust": RustProfile, "curl": CurlProfile}


class Monitor:
    """A vmm of this build, waiting on its control socket."""

    def __init__(self, program, *arguments, path=None, stdout=None, stderr=None, **popen):
        self.folder = tempfile.TemporaryDirectory(prefix="vmm-api-")
        self.path = path or os.path.join(self.folder.name, "api.sock")
        self.events_path = os.path.join(self.folder.name, "events")
        self.log = os.path.join(self.folder.name, "log")
        arguments = arguments or ("--api-socket", self.path, "--event-monitor",
                                  "path=" + self.events_path)
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen([program, *arguments], stdin=subprocess.DEVNULL,
                                            stdout=stdout or subprocess.DEVNULL,
                                            stderr=stderr or log, **popen)
        try:
            self.wait_for(lambda: self._answers() or self.process.poll() is not None)
        except BaseException:
            self.close()
            raise

    def _answers(self):
        try:
            Wire(self.path).close()
        except OSError:
            return False
        return True

    def wait_for(self, condition, timeout=TIMEOUT):
        end = time.monotonic() + timeout
        while not condition():
            assert time.monotonic() < end, "it did not happen in time"
            time.sleep(0.01)

    def file(self, name, size=None):
        path = os.path.join(self.folder.name, name)
        if size is not None:
            with open(path, "wb") as f:
                f.truncate(size)
        return path

    def fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def _threads_have_begun(self):
        """All but the pool's, and the kernel's, keep a file of their own open."""
        base = f"/proc/{self.process.pid}/fd"
        links = []
        for fd in os.listdir(base):
            with contextlib.suppress(FileNotFoundError):
                links.append(os.readlink(f"{base}/{fd}"))
        return (sum(link.endswith("/schedstat") for link in links) ==
                sum(not name.startswith(("pool", "share", "iou-", "kvm-", "vhost-"))
                    for name in self.threads()))

    def settled_fds(self):
        """Without connections that were closed, but not yet on the other side, and
        those of threads that are about to end; with those of threads that begin."""
        fds, quiet = self.fds(), 0
        with contextlib.suppress(AssertionError):
            self.wait_for(self._threads_have_begun, 5)
        while quiet < 10:
            time.sleep(0.03)
            now = self.fds()
            fds, quiet = now, quiet + 1 if now == fds else 0
        return fds

    def threads(self):
        folder = f"/proc/{self.process.pid}/task"
        names = []
        for task in os.listdir(folder):
            with open(f"{folder}/{task}/comm", encoding="ascii") as f:
                names.append(f.read().strip())
        return names

    def events(self):
        with open(self.events_path, encoding="ascii") as f:
            parts = f.read().split("\n\n")
        return [json.loads(part) for part in parts if part.strip()]

    def event_names(self):
        return [(e["source"], e["event"]) for e in self.events()]

    def errors(self):
        with open(self.log, encoding="utf-8", errors="replace") as f:
            return f.read()

    def close(self):
        if self.process.poll() is None:
            self.process.terminate()
            try:
                self.process.wait(5)
            except subprocess.TimeoutExpired:
                self.process.kill()
                self.process.wait()
        self.folder.cleanup()
