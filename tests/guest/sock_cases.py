# SPDX-License-Identifier: Apache-2.0
"""Tests of vsock with sock, which gives back what it gets, and the host's Unix
sockets: streams compared by their hashes, many connections, and what happens to
them when the guest resets the device or it is removed."""

import contextlib
import hashlib
import os
import random
import select
import socket
import threading
import time

import arch
from net_cases import Wrong, check
from net_life import Api, wait_for
from running import Running

ECHO, RESET, DIAL, END = 1024, 1025, 1026, 1027
HOST_PORT = 5000
STREAM_MIB = 16


class Sockets(Running):
    """sock on a monitor, and clients of it."""

    def __init__(self, run, cmdline="", words=""):
        super().__init__()
        self.path = os.path.join(run.tmp, "sock")
        self.api_path = os.path.join(run.tmp, "sock.api")
        self.argv = [run.monitor.path, "--kernel", arch.guest(run.guests, "sock"),
                     "--cmdline", cmdline, "--memory", "256M", "--serial", "tty",
                     "--api-socket", self.api_path,
                     "--vsock", f"cid=3,id=v,socket={self.path}{words}"]

    def __exit__(self, *_):
        super().__exit__()
        # Who is killed leaves its files.
        for path in (self.path, self.path + ".lock", self.api_path, self.api_path + ".lock"):
            with contextlib.suppress(OSError):
                os.unlink(path)

    def connect(self, port=ECHO):
        """A stream to the guest; None: it was refused."""
        client = socket.socket(socket.AF_UNIX)
        client.settimeout(20 * arch.SLOW)
        client.connect(self.path)
        client.sendall(b"CONNECT %d\n" % port)
        answer = b""
        while not answer.endswith(b"\n"):
            byte = client.recv(1)
            if not byte:
                client.close()
                return None
            answer += byte
        check(answer.startswith(b"OK "), answer)
        return client

    def tell(self, port):
        """The guest does what the port stands for, and accepts nobody."""
        check(self.connect(port) is None, "port", port, "accepts")


def echo(client, nr_bytes, seed):
    """Send so many bytes, and hear the same: by their hashes."""
    data = random.Random(seed).randbytes(1 << 20)
    sent, heard = hashlib.sha256(), hashlib.sha256()
    chunks = [data[i % 7:] for i in range(max(1, nr_bytes >> 20))] if nr_bytes >> 20 \
        else [data[:nr_bytes]]

    def send():
        with contextlib.suppress(OSError):
            for chunk in chunks:
                client.sendall(chunk)
                sent.update(chunk)
            client.shutdown(socket.SHUT_WR)

    sender = threading.Thread(target=send)
    sender.start()
    try:
        while True:
            got = client.recv(1 << 18)
            if not got:
                break
            heard.update(got)
    finally:
        sender.join()
        client.close()
    check(sent.digest() == heard.digest(), "other bytes came back")


def test_hostile(run):
    """Packets that are wrong, and what the guest hears of them."""
    listener = socket.socket(socket.AF_UNIX)
    with Sockets(run, "hostile=1") as s:
        listener.bind(f"{s.path}_{HOST_PORT}")
        listener.listen(4)
        try:
            s.until("DONE")
        finally:
            listener.close()
            os.unlink(f"{s.path}_{HOST_PORT}")
        bad = [line for line in s.lines if not line.startswith("PASS")][:-1]
        check(not bad, *bad)
        check(len(s.lines) == 7, "tests:", s.lines)


def test_streams(run):
    """What the host starts, and what the guest starts, at the same time."""
    listener = socket.socket(socket.AF_UNIX)
    with Sockets(run) as s:
        s.until("READY")
        listener.bind(f"{s.path}_{HOST_PORT}")
        listener.listen(4)
        listener.settimeout(20 * arch.SLOW)
        try:
            s.tell(DIAL)
            dialled, _ = listener.accept()
        finally:
            listener.close()
            os.unlink(f"{s.path}_{HOST_PORT}")
        dialled.settimeout(20 * arch.SLOW)
        in_parallel([lambda: echo(dialled, STREAM_MIB << 20, 1),
                     lambda: echo(s.connect(), STREAM_MIB << 20, 2),
                     lambda: echo(s.connect(), 1, 3)])
        s.tell(END)
        check(s.process.wait(10) == 0, "exit status", s.process.returncode)
        check(not os.path.exists(s.path), "the socket is still there")


def in_parallel(functions):
    failures = []

    def run_one(function):
        try:
            function()
        except (OSError, Wrong) as why:
            failures.append(why)

    threads = [threading.Thread(target=run_one, args=(f,)) for f in functions]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    check(not failures, *failures)


def test_many(run):
    """500 connections at once, each with bytes of its own."""
    with Sockets(run) as s:
        s.until("READY")
        clients = [s.connect() for _ in range(500)]
        check(None not in clients, clients.count(None), "are refused")
        for i, client in enumerate(clients):
            client.sendall(b"%06d" % i * 20)
        for i, client in enumerate(clients):
            check(client.recv(120, socket.MSG_WAITALL) == b"%06d" % i * 20, "of another")
        check(Api(s.api_path)("counters", method="GET")["v"]["connections"] == 500,
              "connections")
        for client in clients:
            client.close()
        wait_for(lambda: Api(s.api_path)("counters", method="GET")["v"]["connections"] == 0)
        s.tell(END)
        check(s.process.wait(10) == 0, "exit status", s.process.returncode)


def flood(client, ended):
    """Bytes there and back until the other end is gone."""
    data = bytes(1 << 16)
    client.setblocking(False)
    end = time.monotonic() + 20 * arch.SLOW
    try:
        while time.monotonic() < end:
            select.select([client], [], [], 0.01)
            for call in (lambda: client.send(data), lambda: client.recv(1 << 18)):
                with contextlib.suppress(BlockingIOError):
                    if not call():
                        return
    except OSError:
        pass
    finally:
        client.close()
        ended.append(time.monotonic() < end)


def flooded(s, function):
    """Four streams whose other end goes with what function does."""
    ended = []
    threads = [threading.Thread(target=flood, args=(s.connect(), ended)) for _ in range(4)]
    for thread in threads:
        thread.start()
    time.sleep(0.2)
    function()
    for thread in threads:
        thread.join()
    check(ended == [True] * 4, "not all ends are closed:", ended)


def test_reset(run):
    """The guest resets the device under load: all ends are closed, none remain."""
    with Sockets(run) as s:
        s.until("READY")
        for _ in range(5):
            flooded(s, lambda: s.tell(RESET))
            echo(s.connect(), 1 << 20, 4)
        s.tell(END)
        check(s.process.wait(10) == 0, "exit status", s.process.returncode)


def test_remove(run):
    """The device is removed under load, and another one comes."""
    with Sockets(run) as s:
        s.until("READY")
        api = Api(s.api_path)
        for cycle in range(3):
            flooded(s, lambda: api("remove-device", {"id": "v"}))
            s.until("EJECT", cycle + 1)
            wait_for(lambda: not os.path.exists(s.path))
            api("add-vsock", {"cid": 3, "socket": s.path, "id": "v"})
            s.until("AGAIN", cycle + 1)
            echo(s.connect(), 1 << 20, 5)
        s.tell(END)
        check(s.process.wait(10) == 0, "exit status", s.process.returncode)


def test_pause(run):
    """Paused and resumed in the middle: nothing is lost."""
    with Sockets(run) as s:
        s.until("READY")
        api = Api(s.api_path)
        done = []

        def pauses():
            while not done:
                api("pause")
                time.sleep(0.02)
                api("resume")
                time.sleep(0.02)

        thread = threading.Thread(target=pauses)
        thread.start()
        try:
            in_parallel([lambda: echo(s.connect(), 8 << 20, 6),
                         lambda: echo(s.connect(), 8 << 20, 7)])
        finally:
            done.append(True)
            thread.join()


CASES = [(name[5:], function) for name, function in list(globals().items())
         if name.startswith("test_")]
