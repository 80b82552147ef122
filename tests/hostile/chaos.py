# SPDX-License-Identifier: Apache-2.0
"""A client that plugs, pauses, resizes and resets by chance, and one that only
wants to know whether the monitor is there."""

import json
import os
import random
import subprocess
import sys
import threading

from machine import ANSWER, HERE, MIB, check

KEPT = ("d0", "d1", "d2", "n0", "n1", "v0", "f0", "f1")


class Chaos(threading.Thread):
    """Requests one after the other, each with an answer; what they do to the machine
    is undone by calm()."""

    def __init__(self, machine, seed):
        super().__init__()
        self.machine = machine
        self.random = random.Random(seed)
        self.over = threading.Event()
        self.go = threading.Event()
        self.still = threading.Event()
        self.failure = None
        self.nr = self.nr_done = 0

    def run(self):
        try:
            while not self.over.is_set():
                if not self.go.wait(0.05):
                    self.still.set()
                    continue
                self.still.clear()
                self.one()
                self.over.wait(self.random.choice((0, 0.005, 0.03)))
        except Exception as why:    # whatever it is, the test is to know
            self.failure = why
        self.still.set()

    def ask(self, verb, body=None, method="PUT"):
        reply = self.machine.request(method, verb, body)
        self.nr += 1
        self.nr_done += reply.status < 300
        # What cannot be is refused in order; nothing else is possible.
        check(reply.status in (200, 204) or reply.body and b"[" in reply.body, verb, reply.status,
              reply.body)
        return reply

    def one(self):
        r, m = self.random, self.machine
        name = f"x{r.randrange(4)}"
        verb = r.choice((self.pause, self.resize, self.plug, self.plug, self.unplug, self.unplug,
                         self.limit, self.look, self.look, self.press))
        if r.random() < 0.01:
            self.ask("vm.reboot")
        verb(r, m, name)

    def pause(self, r, *_):
        self.ask("vm.pause")
        self.over.wait(r.choice((0, 0.01)))
        self.ask("vm.resume")

    def resize(self, r, *_):
        if r.random() < 0.5:
            self.ask("vm.resize", {"desired_vcpus": r.choice((1, 2, 2, 3, 4))})
        else:
            self.ask("vm.resize", {"desired_ram": r.choice((128, 128, 256, 384)) * MIB})

    def plug(self, r, m, name):
        kind = r.randrange(4)
        if kind == 0:
            self.ask("vm.add-disk", {"path": m.path(r.choice(("x0", "x1"))), "id": name})
        elif kind == 1:
            self.ask("vm.add-net", {"tap": "h" + name, "id": name})
        elif kind == 2:
            self.ask("vm.add-fs", {"tag": name, "path": m.share, "id": name, "dax": 2 * MIB})
        else:
            self.ask("vm.add-vsock", {"cid": 9, "socket": m.path("w"), "id": name})

    def unplug(self, r, _, name):
        self.ask("vm.remove-device", {"id": name, "force": r.random() < 0.5})

    def limit(self, r, *_):
        self.ask("vm.set-rate-limit", {"id": r.choice(("d0", "n0")),
                                       "rate_limiter_config": {"ops": {"size": r.choice((0, 1, 1000)), "refill_time": 100}}})
        self.ask("vm.set-net", {"id": "n0", "link": r.choice(("up", "down"))})

    def look(self, r, *_):
        for verb in ("vm.info", "vm.counters", "vm.stats"):
            self.ask(verb, method="GET")

    def press(self, *_):
        self.ask("vm.power-button")
        self.ask("vm.nmi")

    def calm(self):
        """Nothing more is asked, and the machine is as it was, when it has restarted."""
        self.go.clear()
        check(self.still.wait(3 * ANSWER), "a request has no answer")
        if self.failure:
            raise self.failure
        m = self.machine
        if m.ask("GET", "vm.info")["state"] == "Shutdown":
            m.ask("PUT", "vm.boot")
        config = m.ask("GET", "vm.info")["config"]
        for kind in ("disks", "net", "fs", "vsock"):
            devices = config.get(kind) or []
            for device in devices if isinstance(devices, list) else [devices]:
                if device["id"] not in KEPT:
                    m.request("PUT", "vm.remove-device", {"id": device["id"], "force": True})
        m.shrink()
        m.ask("PUT", "vm.set-rate-limit", {"id": "d0", "rate_limiter_config": {"ops": {"size": 0, "refill_time": 100}}})
        m.ask("PUT", "vm.set-rate-limit", {"id": "n0", "rate_limiter_config": {"ops": {"size": 0, "refill_time": 100}}})
        m.ask("PUT", "vm.set-net", {"id": "n0", "link": "up"})


class Pinger:
    """A process of its own, which nothing of this one delays."""

    def __init__(self, path):
        self.process = subprocess.Popen(
            [sys.executable, os.path.join(HERE, "ping.py"), path],
            stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)

    def end(self):
        """Milliseconds of the slowest answer, of the 999th of a thousand, and how
        many there were."""
        out, _ = self.process.communicate()
        check(self.process.returncode == 0, "ping was not answered", out)
        return json.loads(out)
