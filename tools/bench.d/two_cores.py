# SPDX-License-Identifier: Apache-2.0
"""Measuring on two cores, whatever the machine has: a guest's CPU that polls has
one, and all else (the monitor's other threads, whoever is at the other end) shares
the other one. A scheduler that moves them about would decide who wins."""

import os
import re

from process import Failed, Process

GUEST_CORE, HOST_CORE = 0, 1
TIMEOUT_S = 30


def numbers(line):
    return {key: int(value) for key, value in re.findall(r"\b(\w+)=(\d+)", line)}


class Helper:
    """A program that runs beside what is measured."""

    def __init__(self, context, *words, core=HOST_CORE):
        self.process = Process(list(words), context.tmp)
        os.sched_setaffinity(self.process.pid, {core})

    def wait_ready(self):
        self.process.read_until(b"READY", TIMEOUT_S)

    def end(self):
        """What it says at its end."""
        self.process.stop(TIMEOUT_S)
        output = self.process.output + os.read(self.process.pipe, 4096)
        self.process.__exit__()
        return numbers(output.decode())


def spin(context):
    """The guest's core kept busy, as by a guest that polls."""
    return Helper(context, context.program("net_limit"), "spin", core=GUEST_CORE)


def measure_limit(context, argv):
    """What a plain program says of itself, and its CPU time."""
    busy = spin(context)
    with Process(argv, context.tmp) as limit:
        try:
            os.sched_setaffinity(limit.pid, {HOST_CORE})
            result = numbers(limit.read_until(b"RESULT", TIMEOUT_S))
        finally:
            busy.end()
    return result, result["cpu_ns"]


def is_cpu(name):
    """Is this the name of the thread of a guest's CPU?"""
    return bool(re.match(r"(fc_)?vcpu ?\d+$|CPU \d+/", name))


def threads(pid):
    for task in os.listdir(f"/proc/{pid}/task"):
        with open(f"/proc/{pid}/task/{task}/comm", encoding="utf-8") as f:
            yield int(task), f.read().strip()


def place(pid):
    """The guest's CPU on its core, the others on theirs."""
    found = False
    for task, name in threads(pid):
        os.sched_setaffinity(task, {GUEST_CORE if is_cpu(name) else HOST_CORE})
        found = found or is_cpu(name)
    if not found:
        raise Failed("no thread of the guest's CPU by its name")


def cpu_ns(pid):
    """CPU time so far of all threads but the guest's CPU."""
    total = 0
    for task, name in threads(pid):
        if is_cpu(name):
            continue
        with open(f"/proc/{pid}/task/{task}/schedstat", encoding="ascii") as f:
            total += int(f.read().split()[0])
    return total


def measure_guest(process, monitor, start_helper, placed=None, also=()):
    """Runs a guest that says READY, BEGIN and RESULT: the numbers of its result,
    the CPU time of the monitor meanwhile, and what the helper said at its end.
    start_helper() is called at READY, and gives one or None. also: processes that
    are part of the monitor."""
    helper = placed
    try:
        process.read_until(b"READY", TIMEOUT_S)
        helper = helper or start_helper()
        place(process.pid)
        for pid in also:
            for task, _ in threads(pid):
                os.sched_setaffinity(task, {HOST_CORE})
        all_pids = [process.pid, *also]
        process.read_until(b"BEGIN", TIMEOUT_S)
        before = sum(cpu_ns(pid) for pid in all_pids)
        result = numbers(process.read_until(b"RESULT", TIMEOUT_S))
        spent = sum(cpu_ns(pid) for pid in all_pids) - before
    finally:
        said = helper.end() if helper else {}
    process.wait(TIMEOUT_S, monitor.reset_status)
    return result, spent, said
