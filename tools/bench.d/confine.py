# SPDX-License-Identifier: Apache-2.0
"""What the filters cost: the same machine with them, as by default, and without
(--seccomp false), in turns. The rows of start, disk, network, vsock and shared
directory are those of the other benchmarks, with unfiltered in the peer's place.

calls_ROLE: different system calls that a role's list has, as the build's filters are
made of it, without vhost and shared directories; always_ROLE: those of them that are
allowed whatever their arguments. opener_*: memory of the process that opens files, of
a machine that runs: what only it has, and its share of what it has with others;
outside_*: that of the process that stays outside with --jail pid=on.
"""

import os
import subprocess
import time

import blk
import fs
import monitors
import net
import startup
import vsock
from process import Process
from report import Row, rounds
from two_cores import Helper

PEERS = []
TIMEOUT_S = 30
SETTLE_S = 0.3


class Unfiltered(monitors.Vmm):
    """Ours, without filters."""

    def argv(self, guest, tmp):
        return super().argv(guest, tmp) + ["--seccomp", "false"]


class Pair:
    """The context of another benchmark, with these two to measure."""

    def __init__(self, context):
        self.context = context

    def __getattr__(self, name):
        return getattr(self.context, name)

    def monitors(self):
        return [self.ours, Unfiltered("unfiltered", self.ours.path)]


def count_calls(context):
    """As the program says that makes the filters."""
    done = subprocess.run([context.built("filters"), "--count"], capture_output=True,
                          text=True, check=True)
    rows = []
    for line in done.stdout.splitlines():
        role, calls, always = line.split()
        for name, number in (("calls_", calls), ("always_", always)):
            rows.append(Row(name + role, "calls", "lower", {context.ours.name: [int(number)]}))
    return rows


def opener_of(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        for child in f.read().split():
            with open(f"/proc/{child}/comm", encoding="ascii") as comm:
                if comm.read().strip() == "opener":
                    return child
    return None


def measure_beside(context, name, options, find):
    """Memory of the process that find(process) says, which is beside a machine."""
    guest = monitors.Guest(kernel=context.guest("idle"), disk=context.disk("opened", 16))
    private = Row(f"{name}_private_kib", "KiB", "lower")
    pss = Row(f"{name}_pss_kib", "KiB", "lower")

    def run(warm_up):
        with Process(context.ours.argv(guest, context.tmp) + options, context.tmp) as process:
            process.read_until(b"READY", TIMEOUT_S)
            time.sleep(SETTLE_S)
            pid = find(process.pid)
            if not pid:
                process.fail(f"it has no {name}")
            with open(f"/proc/{pid}/smaps_rollup", encoding="ascii") as f:
                kib = {line.split(":")[0]: int(line.split()[1])
                       for line in f if line.endswith("kB\n")}
            process.stop(TIMEOUT_S)
        if not warm_up:
            private.add(context.ours.name, kib["Private_Clean"] + kib["Private_Dirty"])
            pss.add(context.ours.name, kib["Pss"])

    rounds(name, context.nr_runs(5), {context.ours.name: run}, (private, pss))
    return [private, pss]


def rates(name, unit, better, context, run):
    """One figure of the data path: run(monitor) gives it."""
    row = Row(name, unit, better)

    def contender(monitor):
        return lambda _: row.add(monitor.name, run(monitor))

    rounds(name, context.nr_runs(10), {m.name: contender(m) for m in context.monitors()},
           [row], warm=False)
    return row


def measure_data_path(context):
    image = context.disk("disk", blk.IMAGE_MIB)
    blk.flush(image)
    rows = [rates(figure[0], figure[1], "higher", context,
                  lambda monitor, figure=figure: blk.run_guest(context, monitor, image, figure))
            for figure in blk.FIGURES if figure[2] == "randread"]
    share = fs.prepare(context)
    figure = next(f for f in fs.FIGURES if f[0] == "fs_lookup_qd1")
    rows.append(rates(figure[0], figure[1], "higher", context, lambda monitor: fs.value(
        figure, fs.run_guest(context, monitor, figure, share, True)[0])))
    path = os.path.join(context.tmp, "vsock")
    figure = next(f for f in vsock.FIGURES if f[2] == "rtt")
    helper = Helper(context, context.program("vsock_limit"), figure[4], f"{path}_{vsock.PORT}")
    helper.wait_ready()
    try:
        rows.append(rates(figure[0], figure[1], "lower", context, lambda monitor: (
            vsock.run_guest(context, monitor, figure, path)[0]["p50_ns"] / 1000)))
    finally:
        helper.end()
    net.make_tap()
    figure = net.FIGURES[0]

    def frames(monitor):
        result = net.run_guest(context, monitor, figure)[0]
        return result["frames"] * 1e6 / result["ns"]

    rows.append(rates(figure.row.name, figure.row.unit, "higher", context, frames))
    return rows


def measure(context):
    pair = Pair(context)
    rows = startup.measure(pair)
    rows += count_calls(context)
    rows += measure_beside(context, "opener", [], opener_of)
    rows += measure_beside(context, "outside", ["--jail", "pid=on"], int)
    return rows + measure_data_path(pair)
