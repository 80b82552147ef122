# SPDX-License-Identifier: Apache-2.0
"""The other end of a guest's network: a namespace of our own, the host's side of
a TAP, and the remote control of nic."""

import ctypes
import errno
import os
import selectors
import socket
import struct
import subprocess
import time
import zlib

import arch

CLONE_NEWNET = 0x40000000

# What the socket module does not name.
SOL_PACKET = 263
PACKET_AUXDATA = 8
PACKET_VNET_HDR = 15
PACKET_QDISC_BYPASS = 20
PACKET_IGNORE_OUTGOING = 23
SO_RCVBUFFORCE = 33
TP_STATUS_VLAN_VALID = 1 << 4
TP_STATUS_VLAN_TPID_VALID = 1 << 6

# Local experiments: no protocol of the host looks at it.
ETH_TEST = 0x88B5
ETH_8021Q = 0x8100
ETH_8021AD = 0x88A8

VNET_LEN = 10   # as AF_PACKET has it, without num_buffers
FRAME_MAX = 65562

_PATTERN = bytes((i * 7 + (i >> 8) * 13) & 255 for i in range(FRAME_MAX))


def new_namespace():
    """This process, and all that it starts from here, in a network of its own."""
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(CLONE_NEWNET):
        raise OSError(ctypes.get_errno(), "no network namespace")
    # The host's own announcements are no part of any test.
    for name in ("all", "default"):
        path = f"/proc/sys/net/ipv6/conf/{name}/disable_ipv6"
        if os.path.exists(path):
            with open(path, "w", encoding="ascii") as f:
                f.write("1")
    ip("link", "set", "lo", "up")


def ip(*words):
    subprocess.run(["ip", *words], check=True, stdin=subprocess.DEVNULL)


def mac(text):
    return bytes.fromhex(text.replace(":", ""))


def tag(vid, pcp=0, tpid=ETH_8021Q):
    return struct.pack("!HH", tpid, pcp << 13 | vid)


def frame(head, length, seed=0, number=0):
    """What nic sends as this number of such frames."""
    shift = bytes((i + seed + number) & 255 for i in range(256))
    return head + _PATTERN[len(head):length].translate(shift)


def crc(data):
    return zlib.crc32(data)


class Wire:
    """Frames as they come out of an interface, and into it. A tag that the
    kernel took out of a frame is put back."""

    def __init__(self, name, offloads=True):
        self.name = name
        self.socket = socket.socket(socket.AF_PACKET, socket.SOCK_RAW,
                                    socket.htons(3))
        self.offloads = offloads
        s = self.socket
        if offloads:
            s.setsockopt(SOL_PACKET, PACKET_VNET_HDR, 1)
        s.setsockopt(SOL_PACKET, PACKET_AUXDATA, 1)
        s.setsockopt(SOL_PACKET, PACKET_IGNORE_OUTGOING, 1)
        s.setsockopt(socket.SOL_SOCKET, SO_RCVBUFFORCE, 64 << 20)
        s.bind((name, 3))

    def close(self):
        self.socket.close()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.close()

    def send(self, data, vnet=bytes(VNET_LEN)):
        self.socket.send((vnet if self.offloads else b"") + data)

    def receive(self, timeout=2.0):
        """The next frame and its offload header; None when none came."""
        self.socket.settimeout(max(timeout, 0.0001))
        try:
            data, control, _, _ = self.socket.recvmsg(FRAME_MAX + 64, 256)
        except (TimeoutError, BlockingIOError):
            return None
        except OSError as e:
            if e.errno != errno.ENETDOWN:
                raise
            # told once after the interface went down
            return self.receive(timeout)
        vnet = b""
        if self.offloads:
            vnet, data = data[:VNET_LEN], data[VNET_LEN:]
        for level, kind, value in control:
            if level == SOL_PACKET and kind == PACKET_AUXDATA:
                data = self.with_tag(data, value)
        return data, vnet

    @staticmethod
    def with_tag(data, aux):
        status, _, _, _, _, tci, tpid = struct.unpack("IIIHHHH", aux)
        if not status & TP_STATUS_VLAN_VALID:
            return data
        if not status & TP_STATUS_VLAN_TPID_VALID:
            tpid = ETH_8021Q
        return data[:12] + struct.pack("!HH", tpid, tci) + data[12:]

    def take(self, count, timeout=5.0):
        """So many frames, or those that came in time."""
        frames = []
        end = time.monotonic() + timeout * arch.SLOW
        while len(frames) < count:
            got = self.receive(end - time.monotonic())
            if not got:
                break
            frames.append(got[0])
        return frames

    def drain(self, quiet=0.1):
        """All frames that come until none comes for so long."""
        return list(iter(lambda: (self.receive(quiet) or (None,))[0], None))


class Lost(Exception):
    """The guest or its monitor does not do as it is told."""


class Nic:
    """nic on a monitor."""

    def __init__(self, argv, verbose=False):
        self.verbose = verbose
        self.lines = []
        self.pending = b""
        self.process = subprocess.Popen(argv, stdin=subprocess.PIPE,
                                        stdout=subprocess.PIPE,
                                        stderr=subprocess.PIPE)
        self.selector = selectors.DefaultSelector()
        self.selector.register(self.process.stdout, selectors.EVENT_READ)

    def __enter__(self):
        self.until("READY")
        return self

    def __exit__(self, *_):
        if self.process.poll() is None:
            self.process.kill()
        self.stderr = self.process.communicate()[1].decode(errors="replace")
        self.selector.close()

    def line(self, deadline):
        while b"\n" not in self.pending:
            left = deadline - time.monotonic()
            if left <= 0 or not self.selector.select(left):
                raise Lost(f"no answer; last: {self.lines[-3:]}")
            chunk = os.read(self.process.stdout.fileno(), 65536)
            if not chunk:
                raise Lost(f"the monitor ended: {self.process.wait(5)}")
            self.pending += chunk
        text, _, self.pending = self.pending.partition(b"\n")
        text = text.decode(errors="replace").rstrip("\r")
        self.lines.append(text)
        if self.verbose:
            print("#   " + text)
        return text

    def until(self, marker, timeout=20):
        deadline = time.monotonic() + timeout * arch.SLOW
        while marker not in self.line(deadline):
            pass

    def tell(self, command, /, **words):
        """A command, not waited for."""
        words = " ".join(f"{key}={value.hex() if isinstance(value, bytes) else value}"
                         for key, value in words.items())
        line = f"cmd={command} {words}\n"
        if self.verbose:
            print("#   > " + line.rstrip())
        self.process.stdin.write(line.encode())
        self.process.stdin.flush()

    def answer(self, timeout=30):
        """What the guest says to the last command, up to OK; each line's words."""
        deadline = time.monotonic() + timeout * arch.SLOW
        said = []
        while True:
            line = self.line(deadline)
            if line.startswith("OK"):
                return said
            if line.startswith(("FAIL", "FATAL")):
                raise Lost(line)
            kind, *words = line.split(" ")
            said.append({"": kind, **dict(word.partition("=")[::2] for word in words)})

    def ask(self, command, /, timeout=30, **words):
        self.tell(command, **words)
        return self.answer(timeout)

    def end(self):
        """In order; the monitor's exit status."""
        self.tell("end")
        try:
            return self.process.wait(10)
        except subprocess.TimeoutExpired:
            raise Lost("the monitor does not end") from None
