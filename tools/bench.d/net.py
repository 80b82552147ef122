# SPDX-License-Identifier: Apache-2.0
"""The network: a guest that polls, and a TAP in a network namespace of its own,
on two cores (two_cores.py). limit is a program that makes a monitor's calls on the
same TAP, on the core that the monitor has, while the guest's is kept busy: a write
or a read a frame, 16 writes a call, with as many buffers as the guest.

What is received comes from a program that gives way after each 64 frames;
flood_kpps is what that one sent meanwhile, and what is missing was dropped, as
the TAP was full. Round trips go to a program that sends back what it gets, and
are medians. The rows _cpu_ns are CPU time a frame, or a KiB, of all of the monitor
but its guest.
"""

import os
import subprocess

import monitors
from process import Process
from report import LIMIT, RUN_MS, WARM_MS, Row, rounds
from two_cores import HOST_CORE, TIMEOUT_S, Helper, measure_guest, numbers, spin

PEERS = ["qemu"]
TAP = "vmmbench0"
SEGMENT = 45 * 1448 + 54        # TCP segments of 64 KiB


class Figure:
    """What one run of guest or limit is, and the rows that it gives."""

    def __init__(self, name, unit, length, words, limit, helper=None):
        self.row = Row(name, unit, "lower" if unit == "us" else "higher")
        self.cpu = Row(name.rsplit("_", 1)[0] + "_cpu_ns",
                       "ns/KiB" if unit == "Gb/s" else "ns", "lower")
        self.flood = Row("flood_kpps", "kpps", "higher")
        self.length = length
        self.words = f"{words} len={length} warm_ms={WARM_MS} run_ms={RUN_MS}"
        self.limit = limit
        self.helper = helper

    def rows(self):
        return [self.row, self.cpu] + [self.flood] * (self.helper == "flood")

    def add(self, who, result, cpu_ns, said):
        frames = result["frames"]
        if self.row.unit == "us":
            self.row.add(who, result["p50_ns"] / 1000)
        elif self.row.unit == "Gb/s":
            self.row.add(who, frames * self.length * 8 / result["ns"])
        else:
            self.row.add(who, frames * 1e6 / result["ns"])
        kib = self.length / 1024 if self.cpu.unit == "ns/KiB" else 1
        self.cpu.add(who, cpu_ns / (frames * kib))
        if self.helper == "flood":
            self.flood.add(who, said["frames"] * 1e6 / said["ns"])

    def start_helper(self, context):
        if not self.helper:
            return None
        words = [self.helper, TAP] + [str(self.length), "0", "0"] * (self.helper == "flood")
        return Helper(context, context.program("net_limit"), *words)


FIGURES = [
    Figure("tx1514_kpps", "kpps", 1514, "mode=tx", ["tx", TAP, "1514", "0", "256"]),
    Figure("tx64k_gbps", "Gb/s", SEGMENT, "mode=tx gso=1448",
           ["tx", TAP, str(SEGMENT), "1448", "256"]),
    Figure("rx1514_kpps", "kpps", 1514, "mode=rx", ["rx", TAP, "256"], "flood"),
    Figure("net_rtt_us", "us", 64, "mode=rtt", ["rtt", TAP, "64"], "echo"),
]


def make_tap():
    """A namespace for this process and all that it starts, with the TAP in it."""
    monitors.new_namespace()
    for words in (["tuntap", "add", TAP, "mode", "tap"], ["link", "set", TAP, "up"]):
        subprocess.run(["ip", *words], check=True)


def run_guest(context, monitor, figure):
    guest = monitors.Guest(kernel=context.guest("netbench"), tap=TAP, cmdline=figure.words)
    with Process(monitor.argv(guest, context.tmp), context.tmp) as process:
        # Who answers has to be there before the first one asks.
        early = figure.start_helper(context) if figure.helper == "echo" else None
        return measure_guest(process, monitor, lambda: figure.start_helper(context), early)


def run_limit(context, _, figure):
    busy = spin(context)
    helper = figure.start_helper(context) if figure.helper == "echo" else None
    argv = [context.program("net_limit"), *figure.limit, str(RUN_MS)]
    said = {}
    with Process(argv, context.tmp) as limit:
        try:
            os.sched_setaffinity(limit.pid, {HOST_CORE})
            if figure.helper == "flood":
                limit.read_until(b"READY", TIMEOUT_S)
                helper = figure.start_helper(context)
            result = numbers(limit.read_until(b"RESULT", TIMEOUT_S))
        finally:
            said = helper.end() if helper else {}
            busy.end()
    return result, result["cpu_ns"], said


def measure(context):
    make_tap()
    rows = []
    for figure in FIGURES:
        def contender(who, function, monitor, figure=figure):
            def run(_):
                figure.add(who, *function(context, monitor, figure))
            return run

        contenders = {m.name: contender(m.name, run_guest, m) for m in context.monitors()}
        contenders[LIMIT] = contender(LIMIT, run_limit, None)
        rounds(figure.row.name, context.nr_runs(5), contenders, figure.rows(), warm=False)
        rows += figure.rows()
    return rows
