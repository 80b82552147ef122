# SPDX-License-Identifier: Apache-2.0
"""Tests of the network device as time goes by: it is removed and added, limited,
idle, without buffers, left by a monitor that was killed."""

import fcntl
import json
import os
import signal
import struct
import sys
import time

import arch
import wire
from net_cases import ALL, IN, OUT, Bench, Flood, check
from wire import Wire, frame

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "api"))
# pylint: disable-next=wrong-import-position
from client import GoProfile

TUNSETIFF, TUNGETVNETHDRSZ = 0x400454CA, 0x800454D7
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR = 2, 0x1000, 0x4000

KIND_PCI, DEVICE_CHECK, EJECT_REQUEST = "0", "1", "3"
QUIET_NS = 2_000_000    # of CPU time, for what does nothing


class Api:
    """The control socket."""

    def __init__(self, path):
        self.client = GoProfile(path)

    def __call__(self, verb, body=None, method="PUT"):
        self.send(verb, body, method)
        return self.reply(verb)

    def send(self, verb, body=None, method="PUT"):
        self.client.send(method, "vm." + verb, body)

    def reply(self, verb):
        reply = self.client.wire.reply()
        check(reply.status in (200, 204), verb, reply.status, reply.body)
        return reply.json() if reply.body else None

    def counters(self):
        return self("counters", method="GET")["net0"]

    def nets(self):
        return self("info", method="GET")["config"].get("net") or []


def wait_for(condition, seconds=10):
    end = time.monotonic() + seconds * arch.SLOW
    while not condition():
        check(time.monotonic() < end, "not within", seconds, "s")
        time.sleep(0.01)


def settle(b):
    """All that is on its way has come and gone."""
    wait_for(lambda: b.nic.ask("sink", ms=100)[0]["frames"] == "0")
    b.wire.drain()


# ---- removal ------------------------------------------------------------

def await_event(b, value):
    """The slot that the hot-plug chip names."""
    end = time.monotonic() + 10
    while time.monotonic() < end:
        for event in b.nic.ask("events"):
            if event["kind"] == KIND_PCI and event["value"] == value:
                return event["index"]
        time.sleep(0.01)
    check(False, "no hot-plug event", value)


def test_remove(run):
    """Removed while frames come and go and no reset was done, and added again."""
    with Bench(run, words="id=net0") as b:
        api = Api(b.socket)
        for cycle in range(5):
            b.start(reopen=int(cycle > 0))
            if cycle:
                api.reply("add-net")    # now that there is a driver
                b.wire = Wire(b.tap)
                b.echo(3)
            if cycle == 4:
                break
            with Flood(b.tap, frame(IN, 1514)):
                b.nic.ask("sink", ms=100)
                api("remove-device", {"id": "net0"})
                slot = await_event(b, EJECT_REQUEST)
                b.nic.ask("tx", count=500, len=1514, head=OUT, depth=64)
                b.nic.ask("eject", slot=slot)
                wait_for(lambda: not api.nets())
            b.wire.close()
            wait_for(lambda: b.tap not in os.listdir("/sys/class/net"))
            api.send("add-net", {"tap": b.tap, "id": "net0", "mac": "02:00:00:00:00:02"})
            await_event(b, DEVICE_CHECK)
            wire.ip("link", "set", b.tap, "up")
        b.end()


# ---- what it costs ------------------------------------------------------

def thread_cost(pid):
    """CPU nanoseconds and how often they slept, of each thread."""
    cost = {}
    for task in os.listdir(f"/proc/{pid}/task"):
        base = f"/proc/{pid}/task/{task}/"
        with open(base + "comm", encoding="ascii") as f:
            name = f.read().strip()
        with open(base + "schedstat", encoding="ascii") as f:
            ran = int(f.read().split()[0])
        with open(base + "status", encoding="ascii") as f:
            slept = int(f.read().split("\nvoluntary_ctxt_switches:")[1].split()[0])
        cost[f"{name}/{task}"] = ran, slept
    return cost


def test_idle(run):
    """An interface at rest costs nothing: no CPU time, no wake-up, at all."""
    with Bench(run, words="num_queues=2,bw_size=100000000") as b:
        b.start()
        b.echo(20)
        b.nic.ask("halt")
        time.sleep(1)
        before = thread_cost(b.nic.process.pid)
        time.sleep(3)
        after = thread_cost(b.nic.process.pid)
        for name, (ran, slept) in after.items():
            was = before.get(name, (0, 0))
            check(ran - was[0] < QUIET_NS and slept == was[1], name, "ran", ran - was[0],
                  "ns and woke up", slept - was[1], "times")


def test_no_buffers(run):
    """A guest that posts no buffers: frames are lost, nothing spins."""
    with Bench(run, words="id=net0") as b:
        api = Api(b.socket)
        b.start(rx_len=2048, size=16)
        # It takes no notice while it is not asked: the ring stays used up.
        with Flood(b.tap, frame(IN, 1514)) as flood:
            time.sleep(0.5)
            before = thread_cost(b.nic.process.pid)
            time.sleep(1)
            after = thread_cost(b.nic.process.pid)
        busy = {name: ran - before.get(name, (0, 0))[0] for name, (ran, _) in after.items()
                if not name.startswith("vcpu")}
        worst = max(busy, key=busy.get)
        check(busy[worst] < 100_000_000, worst, "ran", busy[worst] / 1e6, "ms of 1000")
        print(f"# {flood.sent} frames came; {json.dumps(api.counters())}")
        settle(b)
        b.echo(5)
        b.end()


# ---- rates --------------------------------------------------------------

RATES = ((10**6, 1514, 2000), (10**8, 1514, 600), (10**10, 65214, 600))
FRAME_GAPS = 3      # a pause of so many frames is none
# Nor is one that short: the host's scheduler keeps an urgent thread that never
# sleeps, which the guest is, from its core for 50 ms a second.
PAUSE_US = 80_000
LOWEST, HIGHEST = 0.95, 1.05


def gso_head(macs):
    """The head of a TCP segment, and the words for its offload header."""
    from net_cases import tcp
    return tcp(b"\x0a\0\0\2", b"\x0a\0\0\1", macs, 65214), struct.pack("<BBHHHH", 1, 1, 54, 1448,
                                                                     34, 16)


def judge_rate(way, rate, length, told):
    """Of a run, without its first frame, which began it: what is wrong, or None."""
    frames, us = int(told["frames"]) - 1, max(1, int(told["us"]))
    have = frames * length * 8 * 1e6 / us
    print(f"# {way} {rate / 1e6:.0f} Mbit/s: {have / rate:.3f} of it, longest pause "
          f"{told['longest_us']} us")
    if not LOWEST < have / rate < HIGHEST:
        return f"{way} at {rate} bit/s there were {have:.0f}"
    if int(told["longest_us"]) > max(PAUSE_US, FRAME_GAPS * length * 8e6 / rate):
        return f"{way} at {rate} bit/s it paused for {told['longest_us']} us"
    return None


def be_undisturbed(pid):
    """A process in front of what else this machine does: its guest's CPU on the
    first core, where there are two, and all other threads on the second."""
    cores = sorted(os.sched_getaffinity(0))
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="ascii") as f:
            is_cpu = f.read().startswith("vcpu")
        os.sched_setaffinity(int(task), {cores[0 if is_cpu else 1]} if cores[1:] else cores)
        os.sched_setscheduler(int(task), os.SCHED_RR, os.sched_param(1))


def rates_out(b, rate, length, ms):
    head, vnet = (OUT, bytes(10)) if length <= 1514 else gso_head(OUT[:12])
    words = {"len": length, "head": head, "vnet": vnet + bytes(2), "repeat": 1, "depth": 64,
             "timeout": 60}
    b.nic.ask("tx", ms=200, **words)
    return judge_rate("out", rate, length, b.nic.ask("tx", ms=ms, **words)[0])


def rates_in(b, rate, length, ms):
    with b.run.flood(b.tap, length) as process:
        be_undisturbed(process.pid)
        told = b.nic.ask("sink", skip_ms=300, ms=ms)[0]
    return judge_rate("in", rate, length, told)


def test_rates(run):
    """Limits are kept to within 5 %, both ways, without pauses. A machine that has
    other work to do may pause, so there are three attempts."""
    with Bench(run, words="id=net0") as b:
        api = Api(b.socket)
        b.start(rx_len=4096)
        be_undisturbed(b.nic.process.pid)
        b.wire.close()      # nobody has to look
        for rate, length, ms in RATES:
            limit = {"bandwidth": {"size": rate // 80, "refill_time": 100}}
            api("set-rate-limit", {"id": "net0", "rx": limit, "tx": limit})
            for measure in (rates_out, rates_in):
                for _ in range(3):
                    why = measure(b, rate, length, ms)
                    if not why:
                        break
                check(not why, why)
        api("set-rate-limit", {"id": "net0", "rx": {}, "tx": {}})
        b.wire = Wire(b.tap)
        settle(b)
        b.echo(5)
        b.end()


# ---- link, pause, who was there before ----------------------------------

def link_is_up(b):
    """The other bit of it asks for an announcement."""
    return int(b.nic.ask("config")[0]["link"]) & 1 == 1


def test_link(run):
    """The cable as vm.set-net has it, and as the TAP has it."""
    with Bench(run, words="id=net0") as b:
        api = Api(b.socket)
        config = b.start(irq=1)
        check(config["link"] == "1", "link", config["link"])
        for down, up in ((lambda: api("set-net", {"id": "net0", "link": "down"}),
                          lambda: api("set-net", {"id": "net0", "link": "up"})),
                         (lambda: wire.ip("link", "set", b.tap, "down"),
                          lambda: wire.ip("link", "set", b.tap, "up"))):
            b.echo(3)
            before = b.nic.ask("config")[0]
            down()
            wait_for(lambda: not link_is_up(b))
            check(int(b.nic.ask("config")[0]["irqs"]) > int(before["irqs"]), "no interrupt")
            b.nic.ask("tx", count=50, len=100, head=OUT)
            up()
            wait_for(lambda: link_is_up(b))
            time.sleep(0.1)
            b.wire.drain()
        b.echo(3)
        b.end()


def test_vlan_change(run):
    """The port's VLAN, changed while it is used."""
    from net_cases import tagged, tag
    with Bench(run, words="id=net0") as b:
        api = Api(b.socket)
        b.start()
        for vlan, out, into in (("10", tag(10), tag(10)), ("20", tag(20), tag(20)),
                                ("off", b"", b""), ("30", tag(30), tag(30))):
            api("set-net", {"id": "net0", "vlan": vlan})
            data = frame(OUT, 100, 1, 0)
            b.out(100, 1, want=[tagged(data, out)] if out else [data])
            data = frame(IN, 100)
            b.into(tagged(data, into) if into else data, want=[data])
            if into:
                b.into(data, tagged(data, tag(99)), want=[], ms=100)
        b.end()


def test_pause(run):
    """Frames wait while the machine is paused, and none is lost or doubled."""
    with Bench(run, words="id=net0") as b:
        api = Api(b.socket)
        b.start()
        for cycle in range(5):
            frames = [frame(IN, 200, cycle, n) for n in range(20)]
            b.nic.tell("rx", count=20, ms=10000)
            for i, data in enumerate(frames):
                if i == 7:
                    api("pause")
                if i == 15:
                    time.sleep(0.05)
                    api("resume")
                b.wire.send(data)
            *seen, _ = b.nic.answer()
            check([s["crc"] for s in seen] == [f"{wire.crc(data):x}" for data in frames],
                  "other frames than were sent")
            b.nic.tell("tx", count=200, len=1000, head=OUT, seed=cycle, depth=16)
            api("pause")
            api("resume")
            b.nic.answer()
            got = b.wire.take(200, 3)
            check(got == [frame(OUT, 1000, cycle, n) for n in range(200)], "frames out:",
                  len(got))
        b.end()


def test_killed(run):
    """A TAP that was there is good for the next one, whatever the one before left."""
    wire.ip("tuntap", "add", "t1", "mode", "tap")
    try:
        for words in ("vlan=10,antispoof=mac", "", "vlan=trunk:[7]", ""):
            with Bench(run, words=words, tap="t1") as b:
                b.start()
                if not words:
                    b.echo(5)
                b.nic.process.send_signal(signal.SIGKILL)
        with Bench(run, tap="t1", words="vlan=10") as b:
            b.start()
            b.end()
        fd = os.open("/dev/net/tun", os.O_RDWR)
        try:
            flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR
            fcntl.ioctl(fd, TUNSETIFF, struct.pack("16sH22x", b"t1", flags))
            size = struct.unpack("i", fcntl.ioctl(fd, TUNGETVNETHDRSZ, bytes(4)))[0]
            check(size == 10, "the header has", size, "bytes")
            with Wire("t1", offloads=False) as w:
                w.send(frame(IN, 100))
                have = os.read(fd, 4096)
                check(have[10:] == frame(IN, 100), "read:", have[:40].hex())
        finally:
            os.close(fd)
    finally:
        wire.ip("link", "del", "t1")


CASES = [(name[5:], function) for name, function in list(globals().items())
         if name.startswith("test_")]
