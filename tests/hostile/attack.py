# SPDX-License-Identifier: Apache-2.0
"""The attack: rounds of hostile.elf, and between them a look at what is left."""

import random
import re
import time
from collections import Counter

from chaos import KEPT, Chaos, Pinger
from floods import floods
from machine import ANSWER, MIB, SLOW_OPS, Machine, Peers, Wrong, check, small_disk

ROUND = 40_000          # accesses
ROUND_MS = 3000
ROUNDS = 5              # between two looks
# Of the monitor's own memory: from the first look on, and in the second half. A
# sanitizer's allocator keeps some, and remembers where all was allocated: Debian 13's
# has taken 80 MiB more after a minute, and no more after that.
GROWS, GROWS_LATE = 2 * MIB, MIB
GROWS_SANITIZED, GROWS_LATE_SANITIZED = 112 * MIB, 32 * MIB
LINES_A_SECOND = 20     # of the log
EVENT_BYTES_A_SECOND = 20_000  # of a dozen devices with ten events each
LINES_OF_DEVICE = 6     # in a second, of all its queues
EVENTS_OF_DEVICE = 33   # ten a second, which may be two of its seconds, and what was left out;
                        # a network's link may have changed ten times as well
IDLE_CPU = 0.05         # of a second, when no CPU of the guest runs,
IDLE_SECONDS = 3        # in each of so many


class Tally:
    """What was done to all machines together."""

    def __init__(self, args):
        self.args = args
        self.random = random.Random(args.seed)
        self.start = time.monotonic()
        self.accesses = self.nr_rounds = self.nr_died = self.nr_given_up = 0
        self.pings = []

    def is_over(self):
        return self.accesses >= self.args.accesses or self.seconds() > self.args.seconds

    def seconds(self):
        return time.monotonic() - self.start


class Attack:
    def __init__(self, m, tally):
        self.m = m
        self.tally = tally
        self.args = tally.args
        self.nr_rounds = 0
        self.first = self.middle = None

    def one_round(self):
        """Its end; or the machine's, after which it is started again."""
        seed = self.tally.random.randrange(1 << 30)
        reset = int(self.tally.random.random() < 0.3)
        self.nr_rounds += 1
        self.tally.nr_rounds += 1
        if self.args.verbose:
            print(f"# round {self.tally.nr_rounds} seed={seed} reset={reset}", flush=True)
        self.m.hello()
        self.m.guest.tell(f"cmd=attack seed={seed} accesses={ROUND} ms={ROUND_MS} reset={reset} "
                          "end=reset")
        end = time.monotonic() + ROUND_MS / 1000 + 15
        said = None
        while said is None and time.monotonic() < end:
            said = self.m.guest.hear(0.2)
            self.m.check_alive()
            if said is None and self.m.ask("GET", "vm.info")["state"] == "Shutdown":
                break
        if said and said.startswith("OK accesses="):
            self.tally.accesses += int(said.split("=")[1].split(" ")[0])
            return
        self.tally.nr_died += 1
        if self.args.verbose:
            print(f"# round {self.tally.nr_rounds} died: {said}", self.m.guest.last_words,
                  self.m.ask("GET", "vm.info")["state"], *self.m.threads(), flush=True)
        if said != "READY":
            self.m.restart()

    def settled(self):
        """What it weighs, when what was removed has gone."""
        end = time.monotonic() + ANSWER
        while True:
            now = self.m.weight()
            if time.monotonic() > end or not self.first or all(
                    now[name] <= self.first[name] for name in ("fds", "threads")):
                return now
            time.sleep(0.1)

    def look(self):
        self.m.whole()
        if self.m.shrink():
            self.m.whole()
        now = self.settled()
        tally = self.tally
        print(f"# {tally.seconds():.0f} s, {tally.accesses} accesses, {tally.nr_rounds} rounds, "
              f"{tally.nr_died} died: {now}", flush=True)
        if not self.first:
            self.first = now
            self.start = self.m.limited()
            return
        self.check_limits()
        check(now["fds"] <= self.first["fds"], "descriptors:", self.first, now)
        check(now["threads"] <= self.first["threads"], "threads:", self.first, now)
        self.check_memory(now)

    def check_memory(self, now):
        tally = self.tally
        grows, late = ((GROWS_SANITIZED, GROWS_LATE_SANITIZED) if self.m.is_sanitized()
                       else (GROWS, GROWS_LATE))
        check(now["memory"] <= self.first["memory"] + grows, "memory:", self.first, now)
        if not self.middle and 2 * max(tally.accesses / self.args.accesses,
                                       tally.seconds() / self.args.seconds) >= 1:
            self.middle = now
        if self.middle:
            check(now["memory"] <= self.middle["memory"] + late, "memory:", self.middle, now)

    def check_limits(self):
        """Whatever the guest resets: there is no more than that."""
        (start, before), (end, after) = self.start, self.m.limited()
        most = SLOW_OPS * (end - start) * 1.05 + SLOW_OPS
        for name, count in after.items():
            check(count - before[name] <= most, name, count - before[name], "operations in",
                  end - start, "s")
        if self.args.verbose:
            counters = self.m.ask("GET", "vm.counters")
            print(f"# limited: {after}, may be {most:.0f}; not: "
                  f"{counters['d0']['read_ops'] + counters['d0']['write_ops']} of the disk, "
                  f"{counters['n0']['tx_frames']} frames, {counters['f0']['requests']} of the "
                  f"directory, {counters['v0']['tx_packets']} packets")

    def check_rates(self, chaos, seconds):
        """What a device makes the monitor say, in any second; and all of it together."""
        lines = re.findall(r"^\[ *(\d+)\.\d+\] \S+ [A-Z]+: (\w+)[ :]", self.m.errors(),
                           re.MULTILINE)
        with open(self.m.events, encoding="utf-8") as f:
            events = re.findall(
                r'"secs": (\d+),[^}]*}[^{]*"virtio-device"[^{]*{[^}]*"id": "(\w+)"', f.read())
        for what, said, most in (("lines", lines, LINES_OF_DEVICE),
                                 ("events", events, EVENTS_OF_DEVICE)):
            ((second, name), nr), = Counter(
                (second, name) for second, name in said if name in KEPT).most_common(1) or (((0, ""), 0),)
            print(f"# {len(said)} {what}, at most {nr} of {name} in second {second}")
            check(nr <= most, nr, what, "of", name, "in second", second)
        check(events, "no device has told of anything")
        now = self.m.weight()
        check(now["log"] <= 100 + LINES_A_SECOND * seconds + chaos.nr, "lines in the log:", now)
        check(now["events"] <= 100_000 + 1000 * (chaos.nr + self.nr_rounds) +
              EVENT_BYTES_A_SECOND * seconds, "events:", now)

    def hold_locks(self):
        """Whatever the guest has moved on the bus, and how often, others get on."""
        m = self.m
        m.guest.tell("cmd=move seed=1 ms=2000 end=reset")
        for _ in range(10):
            m.ask("PUT", "vm.add-disk", {"path": m.path("x0"), "id": "x0"})
            m.ask("PUT", "vm.remove-device", {"id": "x0", "force": True})
        check((m.guest.hear(ANSWER) or "").startswith("OK"), "the guest does not come back")

    def rest(self):
        """No CPU of the guest runs: nothing else does, whatever it left behind."""
        self.one_round()
        self.rest_now(0)
        self.m.restart()
        self.rest_now(1)

    def rest_now(self, nmi):
        self.m.guest.tell(f"cmd=rest nmi={nmi}")
        self.m.until("OK")
        quiet = 0
        end = time.monotonic() + ANSWER
        while quiet < IDLE_SECONDS:
            before = self.m.cpu()
            time.sleep(1)
            used = self.m.cpu() - before
            quiet = quiet + 1 if used < IDLE_CPU else 0
            check(time.monotonic() < end, "threads run for nobody:", used, "s of a second:",
                  self.m.threads())


def attack_machine(tally, m):
    args = tally.args
    start = time.monotonic()
    with m:
        a = Attack(m, tally)
        chaos = Chaos(m, tally.random.randrange(1 << 30))
        with Peers(m, tally.random.randrange(1 << 30)) as peers:
            m.until("READY")
            pinger = Pinger(m.api_path)
            a.look()
            m.restart()
            floods(m)
            chaos.start()
            try:
                while not tally.is_over():
                    peers.busy.set()
                    chaos.go.set()
                    for _ in range(ROUNDS):
                        a.one_round()
                    chaos.calm()
                    peers.busy.clear()
                    a.look()
                a.hold_locks()
                a.rest()
                m.whole()
            finally:
                chaos.over.set()
                chaos.join()
                pings = pinger.end()
                print(f"# {chaos.nr} requests, {chaos.nr_done} of them done; ping: {pings}",
                      flush=True)
        a.check_rates(chaos, time.monotonic() - start)
        if args.quiet_host:
            check(pings["p999"] < 100, "ping takes its time:", pings)
        m.ask("PUT", "vmm.shutdown")
        check(m.process.wait(ANSWER) == 0, "exit status", m.process.returncode)
        check("Sanitizer" not in m.errors(), "a sanitizer speaks")


def attack(args):
    """Again, when a guest has put an end to its machine, which is its own affair."""
    tally = Tally(args)
    while True:
        with small_disk(256) as folder:
            m = Machine(args.vmm, args.guest, folder)
            try:
                attack_machine(tally, m)
                break
            except (Wrong, OSError, EOFError):
                if not m.was_given_up() or tally.nr_given_up > 3 + tally.nr_rounds // 5:
                    raise
                tally.nr_given_up += 1
                print("# KVM gave up on the guest: another one", flush=True)
    print(f"# {tally.accesses} accesses in {tally.seconds():.0f} s, {tally.nr_rounds} rounds; "
          f"{tally.nr_died} ended early, {tally.nr_given_up} machines were given up")
