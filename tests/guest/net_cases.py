# SPDX-License-Identifier: Apache-2.0
"""Tests of the network device against a real TAP, in a namespace of their own:
nic does what it is told, and the wire tells what came of it."""

import contextlib
import os
import random
import struct
import sys
import threading
import time

import arch
import wire
from wire import ETH_8021AD, Lost, Nic, Wire, crc, frame, mac, tag

GUEST = mac("02:00:00:00:00:02")
HOST = mac("02:00:00:00:00:01")
OTHER = mac("02:00:00:00:00:03")
TEST_TYPE = struct.pack("!H", wire.ETH_TEST)
OUT = HOST + GUEST + TEST_TYPE      # from the guest
IN = GUEST + HOST + TEST_TYPE       # to it

NET_F_CSUM, NET_F_GUEST_CSUM = 1 << 0, 1 << 1
NET_F_GUEST_TSO4, NET_F_HOST_TSO4 = 1 << 7, 1 << 11
NET_F_MRG_RXBUF, NET_F_CTRL_VQ = 1 << 15, 1 << 17
VIRTIO_F_INDIRECT_DESC, VIRTIO_F_EVENT_IDX = 1 << 28, 1 << 29
ALL = (1 << 64) - 1

VNET_NEEDS_CSUM, VNET_GSO_TCPV4 = 1, 1

SIZES = (60, 61, 64, 127, 128, 1000, 1513, 1514)


class Wrong(Exception):
    """What a test saw is not what it should have."""


def check(ok, *why):
    if not ok:
        raise Wrong(" ".join(str(word) for word in why))


class Bench:
    """A guest, its monitor and the wire, for one test."""

    def __init__(self, run, cpus=1, words="", tap="t0", mtu=None):
        self.run = run
        self.tap = tap
        self.mtu = mtu
        self.socket = os.path.join(run.tmp, "net.api")
        self.argv = run.monitor.net_argv(
            arch.guest(run.guests, "nic"), tap, words, cpus, self.socket)
        self.nic = self.wire = None

    def __enter__(self):
        if self.run.args.verbose:
            print("# " + " ".join(self.argv))
        self.nic = Nic(self.argv, self.run.args.verbose)
        try:
            self.nic.__enter__()
            if self.mtu:
                wire.ip("link", "set", self.tap, "mtu", str(self.mtu))
            wire.ip("link", "set", self.tap, "up")
            self.wire = Wire(self.tap)
        except Exception:
            self.__exit__(*sys.exc_info())
            raise
        return self

    def __exit__(self, kind, *_):
        if self.wire:
            self.wire.close()
        self.nic.__exit__()
        if kind:
            for line in self.nic.stderr.splitlines()[-10:]:
                print("#   monitor: " + line)

    def start(self, features=ALL, **words):
        return self.nic.ask("start", features=hex(features), **words)[0]

    def end(self):
        check(self.nic.end() == 0, "exit status", self.nic.process.returncode)

    # -- traffic ----------------------------------------------------------
    def out(self, length, count=1, head=OUT, seed=1, want=None, **words):
        """Frames of the guest; what is to be seen of them, all if not said."""
        self.nic.ask("tx", count=count, len=length, head=head, seed=seed, **words)
        if want is None:
            want = [frame(head, length, seed, i) for i in range(count)]
        got = self.wire.take(len(want), 3)
        check(len(got) == len(want), len(got), "frames of", len(want), "came,", length, "bytes")
        for i, (have, should) in enumerate(zip(got, want)):
            check(have == should, differ(f"frame {i} of {length} bytes", have, should))

    def into(self, *frames, vnets=None, want=None, ms=10000):
        """Frames to the guest; what it is to see, all if not said. Returns its
        report on each."""
        want = list(frames) if want is None else want
        self.nic.tell("rx", count=len(want), ms=ms)
        for i, data in enumerate(frames):
            self.wire.send(data, vnets[i] if vnets else bytes(wire.VNET_LEN))
        *seen, total = self.nic.answer()
        check(int(total["frames"]) == len(want), "the guest got", total["frames"], "frames of",
              len(want))
        for have, should in zip(seen, want):
            check(int(have["len"]) == len(should), "the guest got", have["len"], "bytes of",
                  len(should))
            check(int(have["crc"], 16) == crc(should), "the guest got other bytes of",
                  len(should), "and", have["head"])
        return seen

    def quiet(self):
        """The guest has nothing to receive, and nothing more came out."""
        got = self.nic.ask("rx", ms=100)
        check(int(got[-1]["frames"]) == 0, "the guest got", got[0].get("head"))
        left = self.wire.drain()
        check(not left, "on the wire:", left and left[0][:32].hex())

    def echo(self, count=20, seed=1, longest=1514):
        r = random.Random(seed)
        for i in range(count):
            data = frame(IN, r.randint(60, longest), r.randint(0, 255))
            self.nic.tell("echo", count=1, ms=3000)
            self.wire.send(data)
            self.nic.answer()
            got = self.wire.take(1)
            check(got == [data], differ(f"echo {i}", got and got[0] or b"", data))


def differ(what, have, should):
    if len(have) != len(should):
        return f"{what}: {len(have)} bytes, not {len(should)}; {have[:32].hex()}"
    at = next((i for i, pair in enumerate(zip(have, should)) if pair[0] != pair[1]), None)
    return f"{what}: byte {at} is {have[at]:#x}, not {should[at]:#x}" if at is not None else what


class Flood(threading.Thread):
    """Frames into the interface for as long as this lasts."""

    def __init__(self, name, data):
        super().__init__()
        self.wire = Wire(name)
        self.data = data
        self.over = threading.Event()
        self.sent = 0

    def run(self):
        while not self.over.is_set():
            with contextlib.suppress(OSError):
                for _ in range(64):
                    self.wire.send(self.data)
                    self.sent += 1
            time.sleep(0.0005)

    def __enter__(self):
        self.start()
        return self

    def __exit__(self, *_):
        self.over.set()
        self.join()
        self.wire.close()


# ---- data ---------------------------------------------------------------

def test_tx_sizes(run):
    with Bench(run, mtu=9000) as b:
        for features in (ALL, ALL & ~(VIRTIO_F_EVENT_IDX | VIRTIO_F_INDIRECT_DESC)):
            b.start(features)
            for length in (*SIZES, 9014):
                b.out(length, 3)
                b.out(length, 3, cut=0, indirect=1, seed=7)
                b.out(length, 10, pieces=length, indirect=length % 2, seed=99)
        b.out(1514, 500, depth=64, seed=3)
        b.quiet()
        b.end()


def test_rx_sizes(run):
    with Bench(run, mtu=9000) as b:
        for features, rx_len in ((ALL, 2048), (ALL, 128), (ALL & ~NET_F_MRG_RXBUF, 65562),
                                 (ALL & ~VIRTIO_F_EVENT_IDX, 1536)):
            b.start(features, rx_len=rx_len, size=128)
            frames = [frame(IN, length, length) for length in (*SIZES, 9014)]
            for seen, data in zip(b.into(*frames), frames):
                buffers = -(-(len(data) + 12) // rx_len)
                check(int(seen["buffers"]) == buffers, seen["buffers"], "buffers, not", buffers)
            # more than the ring holds, one after the other
            for i in range(4):
                b.into(*(frame(IN, 60 + i, i, n) for n in range(40)))
        b.echo()
        b.quiet()
        b.end()


def test_too_large(run):
    """A frame that no posted buffer can hold is lost, the next one is not."""
    with Bench(run, mtu=9000) as b:
        b.start(ALL & ~NET_F_MRG_RXBUF & ~NET_F_GUEST_TSO4, rx_len=1526)
        b.into(frame(IN, 9014), frame(IN, 1514), want=[frame(IN, 1514)])
        b.start(ALL, rx_len=64, size=16)
        b.into(frame(IN, 9014), frame(IN, 900), want=[frame(IN, 900)])
        b.echo(5, longest=900)
        b.end()


def tcp(source, target, macs, length):
    """Head of a TCP segment over IPv4, as a sender leaves it to the offload."""
    ip = struct.pack("!BBHHHBBH4s4s", 0x45, 0, length - 14, 1, 0, 64, 6, 0, source, target)
    total = sum(struct.unpack("!10H", ip))
    while total >> 16:
        total = (total & 0xffff) + (total >> 16)
    ip = ip[:10] + struct.pack("!H", ~total & 0xffff) + ip[12:]
    return macs + b"\x08\x00" + ip + struct.pack("!HHIIBBHHH", 1, 2, 3, 4, 0x50, 0x10, 1024, 0, 0)


def test_tso(run):
    """64 KiB in one piece, both ways, and cut where nobody takes such a piece."""
    length, mss = 54 + 44 * 1448, 1448
    out = tcp(b"\x0a\0\0\2", b"\x0a\0\0\1", HOST + GUEST, length)
    into = tcp(b"\x0a\0\0\1", b"\x0a\0\0\2", GUEST + HOST, length)
    vnet = struct.pack("<BBHHHH", VNET_NEEDS_CSUM, VNET_GSO_TCPV4, 54, mss, 34, 16)
    with Bench(run) as b:
        b.start(rx_len=4096)
        for words in ({}, {"pieces": 5, "indirect": 1}):
            b.nic.ask("tx", count=3, len=length, head=out, vnet=vnet + bytes(2), **words)
            for i in range(3):
                got = b.wire.receive()
                check(got, "no frame")
                check(got[0] == frame(out, length, 0, i), differ("64 KiB", got[0],
                                                                 frame(out, length, 0, i)))
                check(got[1] == vnet, "offload header", got[1].hex(), "not", vnet.hex())
        seen = b.into(frame(into, length), vnets=[vnet])
        check(seen[0]["vnet"].startswith(vnet.hex()), "offload header", seen[0]["vnet"])
        b.start(ALL & ~NET_F_GUEST_TSO4, rx_len=4096)
        b.nic.tell("rx", count=44, ms=10000)
        b.wire.send(frame(into, length), vnet)
        *seen, total = b.nic.answer()
        check(int(total["frames"]) == 44, total["frames"], "segments of 44")
        check({int(s["len"]) for s in seen} == {54 + mss}, "segments of", seen[0]["len"])
        b.end()


def test_pairs(run):
    """Four pairs: none before the driver asks, then each sends and receives."""
    with Bench(run, cpus=4, words="num_queues=8") as b:
        config = b.start(pairs=4)
        check(config["pairs"] == "4", "max pairs", config["pairs"])
        for pairs in (0, 5, 0x8000):
            answer = control(b, 4, 0, struct.pack("<H", pairs))
            check(answer != 0, "the device takes", pairs, "pairs")
        for pairs in (4, 1, 3, 2, 4):
            check(control(b, 4, 0, struct.pack("<H", pairs)) == 0, pairs, "pairs are refused")
            for pair in range(pairs):
                b.out(1514, 20, pair=pair, depth=8, seed=pair)
        senders = [mac(f"02:00:00:00:01:{i:02x}") for i in range(64)]
        b.nic.tell("rx", count=64, ms=10000)
        for sender in senders:
            head = tcp(b"\x0a\0\0" + sender[5:], b"\x0a\0\0\2", GUEST + sender, 100)
            b.wire.send(frame(head, 100))
        *seen, total = b.nic.answer()
        check(int(total["frames"]) == 64, total["frames"], "frames of 64")
        used = {s["pair"] for s in seen}
        print(f"# 64 senders came on pairs {sorted(used)}")
        check(control(b, 4, 0, struct.pack("<H", 1)) == 0, "back to a pair is refused")
        b.echo(10)
        b.end()


def control(b, kind, command, data=b""):
    return int(b.nic.ask("control", **{"class": kind}, command=command, data=data)[0]["value"])


def test_rx_mode(run):
    """What the driver does not want, it does not get."""
    group, everybody = mac("01:00:5e:00:00:01"), b"\xff" * 6
    with Bench(run) as b:
        b.start()
        check(control(b, 0, 0, b"\0") == 0, "no to promiscuous off")
        stranger = frame(OTHER + HOST + TEST_TYPE, 80)
        mine = [frame(to + HOST + TEST_TYPE, 80) for to in (GUEST, everybody)]
        b.into(stranger, *mine, want=mine)
        check(control(b, 0, 1, b"\0") == 0, "no to allmulti off")
        # a unicast table that has the other address, a multicast one
        table = struct.pack("<I", 1) + OTHER + struct.pack("<I", 1) + group
        check(control(b, 1, 0, table) == 0, "no to an address table")
        b.into(stranger, frame(group + HOST + TEST_TYPE, 80), *mine)
        check(control(b, 1, 0, struct.pack("<II", 0, 0)) == 0, "no to an empty table")
        b.into(stranger, *mine, want=mine)
        check(control(b, 1, 1, OTHER) == 0, "no to another address")
        b.into(frame(IN, 80), stranger, want=[stranger])
        check(control(b, 0, 0, b"\1") == 0, "no to promiscuous on")
        b.into(frame(IN, 80), stranger)
        for kind, command, data in ((0, 0, b""), (0, 77, b"\0"), (1, 0, b"\0\0"), (77, 0, b""),
                                    (1, 0, struct.pack("<I", 0x40000000) + GUEST),
                                    (1, 1, b"\2\0\0"), (1, 1, group)):
            check(control(b, kind, command, data) == 1, "yes to", kind, command, data.hex())
        b.end()


# ---- VLANs and addresses ------------------------------------------------

def tagged(head, *tags):
    return head[:12] + b"".join(tags) + head[12:]


def test_vlan_access(run):
    with Bench(run, cpus=2, words="vlan=10,antispoof=mac") as b:
        b.start()
        for length in SIZES:
            plain = [frame(OUT, length, 1, i) for i in range(3)]
            b.out(length, 3, want=[tagged(data, tag(10)) for data in plain])
            data = frame(IN, length)
            b.into(tagged(data, tag(10, pcp=5)), want=[data])
        for tags in ([tag(10)], [tag(20)], [tag(0)], [tag(10, tpid=ETH_8021AD)],
                     [tag(20), tag(10)]):
            b.out(100, 2, head=tagged(OUT, *tags), want=[])
            b.quiet()
        never(b, [tagged(IN, tag(20)), IN, tagged(IN, tag(0)), tagged(IN, tag(20), tag(10)),
                  tagged(IN, tag(10, tpid=ETH_8021AD))])
        b.end()


def test_vlan_trunk(run):
    with Bench(run, cpus=2, words="vlan=trunk:[10,20-29]") as b:
        b.start()
        for vid in (10, 20, 25, 29):
            head = tagged(OUT, tag(vid, pcp=3))
            b.out(200, 3, head=head)
            b.into(frame(tagged(IN, tag(vid, pcp=3)), 200))
        for tags in ([], [tag(11)], [tag(30)], [tag(0)], [tag(10), tag(20)],
                     [tag(10, tpid=ETH_8021AD)]):
            b.out(100, 2, head=tagged(OUT, *tags), want=[])
            b.quiet()
        never(b, [IN, tagged(IN, tag(11)), tagged(IN, tag(30)), tagged(IN, tag(10), tag(20)),
                  tagged(IN, tag(10, tpid=ETH_8021AD))])
        b.end()


def never(b, heads):
    """Frames that begin so never enter the guest's memory: its second CPU looks,
    while some that may pass keep the device busy."""
    marker = b"\xde\xad\xbe\xef"
    for head in heads:
        # behind the vnet header: where it lies as it is, or without a tag
        for at in (60, 56):
            b.nic.ask("watch", at=12 + at, marker=int.from_bytes(marker, "little"))
            body = head + bytes(at - len(head)) + marker * 2 + bytes(20)
            for _ in range(200):
                b.wire.send(body)
            time.sleep(0.05)
            seen = b.nic.ask("seen")[0]
            check(int(seen["rounds"]) > 0, "the second CPU did not look")
            check(int(seen["times"]) == 0, "in guest memory:", head.hex())
        b.quiet()


def test_antispoof(run):
    with Bench(run, words="antispoof=mac") as b:
        b.start()
        b.out(100, 3)
        b.out(100, 3, head=HOST + OTHER + TEST_TYPE, want=[])
        b.out(13, 1, head=OUT[:13], want=[])
        b.quiet()
        check(control(b, 1, 1, OTHER) == 1, "the guest may change its address")
        check(control(b, 1, 1, GUEST) == 0, "the guest may not keep its address")
        b.into(frame(IN, 300))
        b.out(100, 3)
        b.end()


# name: words of the interface, where it is rewritten, two values, what is forbidden
RACES = {
    "mac": ("antispoof=mac", 12 + 6, GUEST, OTHER, OUT,
            lambda data: data[6:12] != GUEST),
    "access": ("vlan=10", 12 + 12, TEST_TYPE + b"\0\0", tag(20), OUT,
               lambda data: data[12:16] != tag(10) or data[16:18] == tag(20)[:2]),
    "trunk": ("vlan=trunk:[10]", 12 + 12, tag(10), tag(20), tagged(OUT, tag(10)),
              lambda data: data[12:16] != tag(10)),
    "double": ("vlan=trunk:[10]", 12 + 16, TEST_TYPE, tag(20)[:2], tagged(OUT, tag(10)),
               lambda data: data[16:18] == tag(20)[:2]),
    # A checksum that would be written into the address: csum_start and offset.
    "csum": ("antispoof=mac,vlan=10", 0, struct.pack("<BBHHHH", 0, 0, 0, 0, 0, 0),
             struct.pack("<BBHHHH", 1, 0, 0, 0, 0, 6), OUT,
             lambda data: data[6:12] != GUEST or data[12:16] != tag(10)),
}


def test_race(run):
    """While a CPU sends, the other one rewrites what is checked: nothing that is
    forbidden is seen on the wire, ever."""
    for name, (words, offset, a, b_value, head, forbidden) in RACES.items():
        with Bench(run, cpus=2, words=words) as b:
            b.start()
            sent = b.nic.ask("race", count=20000, offset=offset, a=a, b=b_value, head=head,
                             depth=32, repeat=1, len=100, timeout=60)[0]
            got = b.wire.drain()
            print(f"# race {name}: {len(got)} of {sent['frames']} left, "
                  f"{sent['rounds']} times rewritten")
            bad = [data for data in got if forbidden(data)]
            check(not bad, name, len(bad), "frames of", len(got), bad and bad[0][:24].hex())
            check(0 < len(got) < int(sent["frames"]), "race", name, "was none:", len(got), "of",
                  sent["frames"], "frames came")
            b.end()


# ---- what goes wrong ----------------------------------------------------

def test_malformed(run):
    for words in ("", "vlan=10,antispoof=mac"):
        with Bench(run, words=words) as b:
            data = tagged(frame(IN, 300), tag(10)) if words else frame(IN, 300)
            b.start()
            with Flood(b.tap, data):
                told = b.nic.ask("malformed", count=run.args.malformed // 4, seed=run.args.seed,
                                 timeout=120)
            print(f"# malformed: {told[0]}")
            b.start()
            time.sleep(0.1)
            b.nic.ask("sink", ms=200)
            b.wire.drain()
            if words:
                b.out(60, 2, want=[tagged(frame(OUT, 60, 1, i), tag(10)) for i in range(2)])
            else:
                b.echo()
            b.end()


def test_resets(run):
    """Resets while frames come and go: the device lets go of all memory."""
    with Bench(run, cpus=2, words="num_queues=4") as b:
        b.start(pairs=2)
        with Flood(b.tap, frame(IN, 1514)) as flood:
            told = b.nic.ask("resets", rounds=60, seed=run.args.seed, timeout=120)
        print(f"# resets: {told[0]}, {flood.sent} frames sent")
        check(int(told[0]["frames"]) > 0, "no frame came between the resets")
        b.nic.ask("sink", ms=300)
        b.wire.drain()
        b.echo()
        b.end()


def test_tap_down(run):
    """A TAP that goes down loses frames and nothing else."""
    with Bench(run) as b:
        b.start()
        b.echo(3)
        wire.ip("link", "set", b.tap, "down")
        b.nic.ask("tx", count=500, len=1514, head=OUT, depth=64)
        wire.ip("link", "set", b.tap, "up")
        time.sleep(0.2)
        b.wire.drain()
        b.nic.ask("sink", ms=100)
        b.echo()
        b.end()


CASES = [(name[5:], function) for name, function in list(globals().items())
         if name.startswith("test_")]
