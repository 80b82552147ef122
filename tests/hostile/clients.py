# SPDX-License-Identifier: Apache-2.0
"""Eight clients at once that are slow, broken or huge; one that is none of that is
answered all the time."""

import contextlib
import os
import random
import socket
import threading
import time

from chaos import Pinger
from kills import Life
from machine import ANSWER, MIB, PREFIX, check, small_disk

SECONDS = 5
SECONDS_LONG = 120
P999_MS = 100


class Client(threading.Thread):
    """One kind of mischief after the other."""

    def __init__(self, path, seed, over):
        super().__init__()
        self.path = path
        self.random = random.Random(seed)
        self.over = over
        self.nr = 0

    def run(self):
        kinds = (self.slow, self.garbage, self.huge_head, self.huge_body, self.deaf, self.half,
                 self.descriptors, self.pieces)
        while not self.over.is_set():
            with contextlib.suppress(OSError), socket.socket(socket.AF_UNIX) as s:
                s.settimeout(2)
                s.connect(self.path)
                self.random.choice(kinds)(s)
            self.nr += 1

    def head(self, length, verb="vm.create"):
        return (f"PUT {PREFIX}{verb} HTTP/1.1\r\nHost: x\r\nContent-Length: {length}\r\n\r\n"
                .encode())

    def slow(self, s):
        for byte in self.head(0, "vm.nothing")[:100]:
            s.send(bytes((byte,)))
            if self.over.wait(0.01):
                break

    def garbage(self, s):
        s.sendall(self.random.randbytes(self.random.choice((1, 100, 70000))))
        s.recv(65536)

    def huge_head(self, s):
        s.sendall(b"GET / HTTP/1.1\r\n")
        for i in range(100000):
            s.sendall(b"X-%d: %s\r\n" % (i, b"y" * 1000))

    def huge_body(self, s):
        s.sendall(self.head(self.random.choice((1 << 20, 64 << 20, 1 << 40, -1, "9" * 400))))
        for _ in range(64):
            s.sendall(b"[" * 65536)

    def deaf(self, s):
        """It asks, and never hears."""
        request = f"GET {PREFIX}vm.info HTTP/1.1\r\n\r\n".encode() * 200
        for _ in range(100):
            s.sendall(request)

    def half(self, s):
        s.sendall(self.head(1000) + b'{"payload"')
        if self.random.random() < 0.5:
            s.shutdown(socket.SHUT_WR)
        self.over.wait(0.1 * self.random.random())

    def descriptors(self, s):
        null = os.open("/dev/null", os.O_RDONLY)
        try:
            for _ in range(20):
                socket.send_fds(s, [b"\r\n"], [null] * self.random.randint(1, 250))
        finally:
            os.close(null)

    def pieces(self, s):
        """JSON that is deep, long, or wrong, in pieces."""
        body = self.random.choice((b"[" * 100000, b'{"a":' * 50000, b'{"cpus":{"boot_vcpus":1e999}}',
                                   b'{"x":"' + b"\\u0000" * 10000 + b'"}', b"\xff" * 1000,
                                   b'{"disks":[' + b'{"path":"/dev/null"},' * 5000 + b"{}]}"))
        data = self.head(len(body), self.random.choice(("vm.create", "vm.add-disk", "vm.resize")))
        data += body
        while data:
            cut = self.random.randint(1, 10000)
            s.sendall(data[:cut])
            data = data[cut:]
        s.recv(65536)


def weight(pid):
    with open(f"/proc/{pid}/status", encoding="ascii") as f:
        rss = next(int(line.split()[1]) for line in f if line.startswith("RssAnon"))
    return len(os.listdir(f"/proc/{pid}/fd")), rss


def clients(args):
    with small_disk(64) as folder:
        os.mkdir(folder + "/share")
        with open(folder + "/d0", "wb") as f:
            f.truncate(MIB)
        life = Life(args, folder)
        life.start()
        try:
            life.await_guest(ANSWER)
            fds, rss = weight(life.process.pid)
            pings, nr = crowd(args, life)
            end = time.monotonic() + ANSWER
            while (now := weight(life.process.pid)[0]) > fds:
                check(time.monotonic() < end, "descriptors:", fds, "before,", now, "now")
                time.sleep(0.05)
            now = weight(life.process.pid)[1]
            check(now < rss + 64 * 1024, "memory:", rss, "KiB before,", now, "now")
            life.process.terminate()
            check(life.process.wait(ANSWER) == 0, "exit status", life.process.returncode)
            life.process.stdout.close()
        finally:
            if life.process.poll() is None:
                life.kill()
        with open(life.log, encoding="utf-8", errors="replace") as f:
            log = f.read()
        check("Sanitizer" not in log and "runtime error" not in log, log[-4000:])
        check(len(log.splitlines()) < 200, len(log.splitlines()), "lines in the log")
    print(f"# {nr} connections, ping: {pings}")
    if args.quiet_host:
        check(pings["p999"] < P999_MS, "ping takes its time:", pings)


def crowd(args, life):
    """Eight of them, for a while, and one who is not."""
    over = threading.Event()
    crowd_of = [Client(life.api, args.seed + i, over) for i in range(8)]
    pinger = Pinger(life.api)
    for client in crowd_of:
        client.start()
    over.wait(SECONDS_LONG if args.long else SECONDS)
    over.set()
    for client in crowd_of:
        client.join()
    check(life.process.poll() is None, "the monitor ended:", life.process.returncode)
    return pinger.end(), sum(client.nr for client in crowd_of)
