# SPDX-License-Identifier: Apache-2.0
"""Networks of a test's own, in namespaces that go with it, and the figures of
what runs in them. Needs root."""

import json
import os
import re
import signal
import subprocess
import time

from control import Wrong
from monitor import Ended

TEST_ROOT = "test-rootfs.ext4"
IP = "/usr/bin/ip"          # of the guest, whose busybox has a smaller one
PING = "/usr/bin/ping"


def address(net, host):
    """Of a network for documentation (RFC 5737); 0 to 2."""
    return f"{('192.0.2', '198.51.100', '203.0.113')[net]}.{host}"


class Namespace:
    """A network namespace, and what was started in it."""

    def __init__(self, t, name="net"):
        self.t = t
        self.name = f"vmm-{os.getpid()}-{name}"
        self.path = f"/run/netns/{self.name}"
        self.processes = []
        # One of a test before, broken off by the machine's end.
        subprocess.run(["ip", "netns", "del", self.name], check=False,
                       stderr=subprocess.DEVNULL)
        t.tool("ip", "netns", "add", self.name)
        t.at_end(self.close)
        self.ip("link set lo up")

    def argv(self, words):
        return ["ip", "netns", "exec", self.name] + (
            words.split() if isinstance(words, str) else list(words))

    def run(self, words, good=(0,)):
        return self.t.tool(*self.argv(words), good=good)

    def ip(self, words):
        return self.run("ip " + words)

    def start(self, words, output=None):
        """A process that lives as long as the namespace, if not less."""
        with open(output or os.devnull, "wb") as out:
            process = subprocess.Popen(self.argv(words), stdout=out, stderr=out,
                                       stdin=subprocess.DEVNULL)
        self.processes.append(process)
        return process

    def bytes_of(self, interface):
        """rx: from the guest."""
        text = self.run(f"ip -s -j link show {interface}", good=(0, 1))
        if not text:
            raise Ended(f"{interface} is gone, and so is who made it")
        shown = json.loads(text)
        return {way: shown[0]["stats64"][way]["bytes"] for way in ("rx", "tx")}

    def serve_iperf(self, net=0):
        """Until stop(). It serves one test at a time, and one of a guest that is
        gone for long."""
        path = self.t.path(f"iperf-{net}")
        self.start(f"iperf3 -s -B {address(net, 1)} --forceflush", path)
        deadline = time.monotonic() + 30
        while b"listening" not in open(path, "rb").read():
            if time.monotonic() > deadline:
                raise Wrong(f"iperf3 does not serve {address(net, 1)}")
            time.sleep(0.05)

    def stop(self):
        """Whatever start() has started."""
        for process in self.processes:
            process.kill()
            process.wait()
        self.processes = []

    def close(self):
        self.stop()
        self.t.tool("ip", "netns", "del", self.name)


class Capture:
    """tcpdump on an interface of a namespace, while the with statement lasts."""

    def __init__(self, ns, interface, words=()):
        self.ns = ns
        self.path = ns.t.path(f"{interface}.pcap")
        self.log = ns.t.path(f"{interface}.tcpdump")
        self.interface = interface
        self.words = list(words)
        self.process = None

    def __enter__(self):
        self.process = self.ns.start(
            ["tcpdump", "-Z", "root", "-U", "-s", "128", "-w", self.path, "-i",
             self.interface] + self.words, self.log)
        deadline = time.monotonic() + 30
        while b"listening" not in open(self.log, "rb").read():
            if time.monotonic() > deadline:
                raise Wrong(f"tcpdump does not listen on {self.interface}")
            time.sleep(0.05)
        return self

    def __exit__(self, *_):
        time.sleep(0.5)     # it reads what the kernel has for it now and then
        self.process.send_signal(signal.SIGTERM)
        self.process.wait(30)

    def frames(self, expression=""):
        """One line a frame that fits."""
        # Its own user need not be there.
        argv = ["tcpdump", "-Z", "root", "-e", "-n", "-r", self.path] + expression.split()
        done = subprocess.run(argv, capture_output=True, text=True, check=False)
        if done.returncode:
            raise Wrong(f"tcpdump {expression}: {done.stderr.strip()}")
        return done.stdout.splitlines()


def rates(ns, interface, seconds):
    """Mbit/s that pass the host's end; rx: from the guest."""
    before, begin = ns.bytes_of(interface), time.monotonic()
    time.sleep(seconds)
    after, took = ns.bytes_of(interface), time.monotonic() - begin
    return {way: (after[way] - before[way]) * 8 / took / 1e6 for way in before}


# -- In the guest ---------------------------------------------------------

def interface_of(guest, bdf, tries=100):
    """What the guest calls the network device at this address; None: none."""
    text = guest.do(f"for try in $(seq {tries}); do name=$(ls /sys/bus/pci/"
                    f"devices/{bdf}/virtio*/net 2>/dev/null); "
                    "[ -z \"$name\" ] || break; usleep 20000; done; "
                    "say at $name")
    return re.search(r"^T: at ?(\S*)$", text, re.M)[1] or None


def set_up(guest, net=0, name="eth0", host=2):
    guest.do(f"{IP} address add {address(net, host)}/24 dev {name}; "
             f"{IP} link set {name} up")


def ping(t, guest, words, net=0, host=1, what="ping"):
    """How many of a hundred answers never came."""
    text = guest.do(f"{PING} -q {words} {address(net, host)} 2>&1 | "
                    "grep -E 'loss|unreachable|unknown'", 180)
    loss = re.search(r"([\d.]+)% packet loss", text)
    if not t.check(loss, f"{what}: {text.strip()}"):
        return 100
    return float(loss[1])


def iperf(t, guest, words="", net=0, seconds=2, what=None):
    """What the receivers got must be something, in each direction there is. An
    emulated host may take seconds until a first segment is there: then for longer."""
    for times in (1, 4, 16):
        text = guest.do(f"iperf3 -f k -c {address(net, 1)} -t {seconds * times} {words} 2>&1 "
                        "| grep -E 'sender|receiver|error'", seconds * times + 60)
        # Of several streams their sum.
        found = re.findall(r"^\[SUM\].*?([\d.]+) Kbits/sec.*receiver", text, re.M) or \
            re.findall(r"([\d.]+) Kbits/sec.*receiver", text)
        if "error" in text or all(float(one) > 0 for one in found):
            break
    t.check(len(found) == 1 + ("--bidir" in words) and "error" not in text and
            all(float(one) > 0 for one in found), f"{what or 'iperf3 ' + words}: {text.strip()}")
