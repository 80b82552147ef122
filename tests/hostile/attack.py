# SPDX-License-Identifier: Apache-2.0
"""The attack: rounds of hostile.elf, and between them a look at what is left."""

import random
import time

from chaos import Chaos, Pinger
from machine import ANSWER, MIB, SLOW_OPS, Machine, Peers, Wrong, check, small_disk

ROUND = 40_000          # accesses
ROUND_MS = 3000
ROUNDS = 5              # between two looks
GROWS = 64 * MIB        # of the monitor's own memory: a sanitizer's allocator keeps some
LINES_A_SECOND = 20     # of the log: one a device and a second
IDLE_CPU = 0.2          # of a second, when no CPU of the guest runs


class Attack:
    def __init__(self, m, args):
        self.m = m
        self.args = args
        self.random = random.Random(args.seed)
        self.accesses = self.nr_rounds = self.nr_died = self.nr_looks = 0
        self.first = None

    def one_round(self):
        """Its end; or the machine's, after which it is started again."""
        seed = self.random.randrange(1 << 30)
        reset = int(self.random.random() < 0.3)
        self.nr_rounds += 1
        if self.args.verbose:
            print(f"# round {self.nr_rounds} seed={seed} reset={reset}", flush=True)
        self.m.hello()
        self.m.guest.tell(f"cmd=attack seed={seed} accesses={ROUND} ms={ROUND_MS} reset={reset} end=reset")
        end = time.monotonic() + ROUND_MS / 1000 + 15
        said = None
        while said is None and time.monotonic() < end:
            said = self.m.guest.hear(0.2)
            self.m.check_alive()
            if said is None and self.m.ask("GET", "vm.info")["state"] == "Shutdown":
                break
        if said and said.startswith("OK accesses="):
            self.accesses += int(said.split("=")[1].split(" ")[0])
            return
        self.nr_died += 1
        if self.args.verbose:
            print(f"# round {self.nr_rounds} died: {said}", self.m.guest.last_words,
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
        now = self.settled()
        self.nr_looks += 1
        print(f"# {self.accesses} accesses, {self.nr_rounds} rounds, {self.nr_died} died: {now}",
              flush=True)
        if not self.first:
            self.first = now
            self.start = self.m.limited()
            return
        self.check_limits()
        check(now["fds"] <= self.first["fds"], "descriptors:", self.first, now)
        check(now["threads"] <= self.first["threads"], "threads:", self.first, now)
        check(now["rss"] <= self.first["rss"] + GROWS, "memory:", self.first, now)

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
        now = self.m.weight()
        check(now["log"] <= 100 + LINES_A_SECOND * seconds + chaos.nr, "lines in the log:", now)
        check(now["events"] <= 100_000 + 1000 * (chaos.nr + self.nr_rounds), "events:", now)

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
        self.m.guest.tell("cmd=rest")
        self.m.until("OK")
        best = ANSWER
        for _ in range(10):
            before = self.m.cpu()
            time.sleep(1)
            best = min(best, self.m.cpu() - before)
            if best < IDLE_CPU:
                break
        check(best < IDLE_CPU, "threads run for nobody:", best, "s of a second")


def attack_machine(args, m):
    start = time.monotonic()
    with m:
        a = Attack(m, args)
        chaos = Chaos(m, args.seed)
        with Peers(m, args.seed) as peers:
            m.until("READY")
            pinger = Pinger(m.api_path)
            a.look()
            chaos.start()
            try:
                while a.accesses < args.accesses and time.monotonic() < start + args.seconds:
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
        a.check_rates(chaos, time.monotonic() - start)
        print(f"# {chaos.nr} requests, {chaos.nr_done} of them done; ping: {pings}")
        if args.quiet_host:
            check(pings["p999"] < 100, "ping takes its time:", pings)
        m.ask("PUT", "vmm.shutdown")
        check(m.process.wait(ANSWER) == 0, "exit status", m.process.returncode)
        check("Sanitizer" not in m.errors(), "a sanitizer speaks")


def attack(args):
    """Again, when a guest has put an end to its machine, which is its own affair."""
    for last in (False, False, True):
        with small_disk(256) as folder:
            m = Machine(args.vmm, args.guest, folder)
            try:
                attack_machine(args, m)
                return
            except (Wrong, OSError, EOFError):
                if last or not m.was_given_up():
                    raise
                print("# KVM gave up on the guest: another one")
        args.seed += 1
