# SPDX-License-Identifier: Apache-2.0
"""What the socket takes and gives byte by byte: framing, descriptors, the socket
itself."""

import contextlib
import json
import os
import socket
import tempfile
import time

from cases import MIB, check
from client import CurlProfile, PREFIX, Wire


# ---- the wire ----

PING = f"GET {PREFIX}vmm.ping HTTP/1.1\r\nHost: localhost\r\n\r\n".encode()


def test_single_bytes(context):
    with context.monitor() as monitor:
        wire = Wire(monitor.path)
        body = json.dumps(context.config()).encode()
        data = (f"PUT {PREFIX}vm.create HTTP/1.1\r\ncontent-length: {len(body)}\r\n\r\n".encode()
                + body + PING)
        for i in range(len(data)):
            wire.send(data[i:i + 1])
        check(wire.reply(), 204)
        check(wire.reply(), 200)


def test_pipeline(context):
    with context.monitor() as monitor:
        wire = Wire(monitor.path)
        wire.send(PING * 200 + PING.replace(b"vmm.ping", b"vm.xxxx"))
        for _ in range(200):
            check(wire.reply(), 200)
        check(wire.reply(), 404)


def test_pipeline_not_read(context):
    """A client that sends and does not read holds up itself, and nobody else."""
    with context.monitor() as monitor:
        wire = Wire(monitor.path)
        wire.socket.setblocking(False)
        sent = 0
        with contextlib.suppress(BlockingIOError):
            while sent < 64 * MIB:
                sent += wire.socket.send(PING * 64)
        other = Wire(monitor.path)
        start = time.monotonic()
        other.send(PING)
        check(other.reply(), 200)
        assert time.monotonic() - start < 2
        with open(f"/proc/{monitor.process.pid}/statm", encoding="ascii") as f:
            assert int(f.read().split()[1]) * 4096 < 256 * MIB


def test_broken_request_drops_earlier(context):
    with context.monitor() as monitor:
        wire = Wire(monitor.path)
        wire.send(PING + PING + b"FROB / HTTP/1.1\r\n\r\n")
        reply = check(wire.reply(), 400)
        assert set(reply.json()) == {"error"}
        wire.send(PING)
        check(wire.reply(), 200)


def test_framing(context):
    bad = (b"PUT /x HTTP/1.1\r\nContent-Length: abc\r\n\r\n",
           b"PUT /x HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\n\r\n",
           b"GET /x HTTP/1.1\r\nno colon\r\n\r\n",
           b"GET /x HTTP/1.1\r\nX: " + b"y" * 1100 + b"\r\n\r\n",
           b"GET /x HTTP/1.1\r\nAccept-Encoding: identity;q=0\r\n\r\n",
           b"GET /x HTTP/3.0\r\n\r\n", b"\x16\x03\x01\x02\x00\x01")
    with context.monitor() as monitor:
        for data in bad:
            wire = Wire(monitor.path)
            wire.send(data)
            assert "error" in check(wire.reply(), 400).json(), data
            wire.send(PING)
            check(wire.reply(), 200)
            wire.close()


def test_expect(context):
    with context.monitor() as monitor:
        wire = Wire(monitor.path)
        body = json.dumps(context.config()).encode()
        wire.send(f"PUT {PREFIX}vm.create HTTP/1.1\r\nExpect: 100-continue\r\n"
                  f"Content-Length: {len(body)}\r\n\r\n".encode())
        reply = check(wire.reply(), 100)
        assert reply.status_line == "HTTP/1.1 100 "
        assert list(reply.headers) == ["Server", "Connection"]
        wire.send(body)
        check(wire.reply(), 204)


def test_large_body(context, profile):
    with context.session() as (_, client):
        body = json.dumps(context.config()).encode()
        check(client.request("PUT", "vm.create", body + b" " * (4 * MIB - 1 - len(body))), 204)
        reply = check(client.request("PUT", "vm.add-disk", b" " * (4 * MIB + 10)), 400)
        assert "error" in reply.json()


def test_eleven_connections(context):
    with context.monitor() as monitor:
        wires = [Wire(monitor.path) for _ in range(10)]
        for wire in wires:
            wire.send(PING)
            check(wire.reply(), 200)
        extra = Wire(monitor.path)
        reply = check(extra.reply(), 503)
        assert reply.headers["Connection"] == "close" and "error" in reply.json()
        assert extra.at_eof()
        wires.pop().close()
        time.sleep(0.2)
        again = Wire(monitor.path)
        again.send(PING)
        check(again.reply(), 200)
        # Those that are idle are not closed, those that are half way do no harm.
        wires[0].send(PING[:20])
        wires[1].send(PING)
        check(wires[1].reply(), 200)


def test_half_closed(context):
    with context.monitor() as monitor:
        wire = Wire(monitor.path)
        wire.send(PING)
        wire.socket.shutdown(socket.SHUT_WR)
        check(wire.reply(), 200)
        assert wire.at_eof()


# ---- descriptors ----

def test_rejected_descriptors(context):
    with context.monitor() as monitor, open("/dev/null", "rb") as null:
        before = None
        fds = [null.fileno()] * 5
        for i in range(1000):
            wire = Wire(monitor.path) if i % 50 == 0 else wire
            data = (PING, b"FROB / HTTP/1.1\r\n\r\n",
                    f"PUT {PREFIX}vm.create HTTP/1.1\r\nContent-Length: 2\r\n\r\n{{}}".encode(),
                    (f"PUT {PREFIX}vm.create HTTP/1.1\r\nContent-Length: 72\r\n\r\n" +
                     '{"payload":{"kernel_fd":0},"disks":[{"fd":1},{"fd":2},{"fd":3,"id":7}]}'
                     .ljust(72)).encode())[i % 4]
            wire.send(data, fds)
            assert wire.reply().status in (200, 400)
            if i % 50 == 49:
                wire.close()
                time.sleep(0.01)
                if before is None:
                    before = monitor.settled_fds()
        time.sleep(0.1)
        assert monitor.fds() == before, (before, monitor.fds())


def test_many_descriptors(context):
    with context.monitor() as monitor, open("/dev/null", "rb") as null:
        wire = Wire(monitor.path)
        wire.send(PING[:10], [null.fileno()] * 253)
        wire.send(PING[10:])
        check(wire.reply(), 200)
        wire.send(PING[:10], [null.fileno()] * 200)
        time.sleep(0.1)
        wire.send(PING[10:], [null.fileno()] * 200)
        check(wire.reply(), 400)
        wire.send(PING)
        check(wire.reply(), 200)


# ---- the socket ----

def test_socket_mode(context):
    with context.monitor() as monitor:
        assert os.stat(monitor.path).st_mode & 0o777 == 0o600


def test_stale_socket(context):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        stale = socket.socket(socket.AF_UNIX)
        stale.bind(path)
        stale.close()
        with context.monitor("--api-socket", "path=" + path, path=path) as monitor:
            client = CurlProfile(path)
            check(client.request("GET", "vmm.ping"), 200)
            with context.monitor("--api-socket", path, path=path) as second:
                assert second.process.wait(5) == 1
                assert path in second.errors()
            check(client.request("GET", "vmm.ping"), 200)
            check(client.request("PUT", "vmm.shutdown"), 200)
            assert monitor.process.wait(3) == 0
        assert os.listdir(folder) == []


def test_inherited_socket(context):
    with tempfile.TemporaryDirectory() as folder:
        path = os.path.join(folder, "s")
        listener = socket.socket(socket.AF_UNIX)
        listener.bind(path)
        listener.listen()
        with context.monitor("--api-socket", f"fd={listener.fileno()}",
                             path=path, pass_fds=[listener.fileno()]) as monitor:
            with context.client(monitor) as client:
                check(client.request("GET", "vmm.ping"), 200)
                check(client.request("PUT", "vmm.shutdown"), 200)
            assert monitor.process.wait(3) == 0


def test_two_clients_race(context):
    with context.monitor() as monitor:
        wires = [Wire(monitor.path) for _ in range(4)]
        body = json.dumps(context.config()).encode()
        for wire in wires:
            wire.send(f"PUT {PREFIX}vm.create HTTP/1.1\r\nContent-Length: {len(body)}\r\n\r\n"
                      .encode() + body)
        assert sorted(w.reply().status for w in wires) == [204, 500, 500, 500]
