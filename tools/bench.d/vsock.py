# SPDX-License-Identifier: Apache-2.0
"""vsock: a guest that polls, and a program at the other end of an AF_UNIX stream, on
two cores (two_cores.py). limit is two programs on such a stream, on the core that
the monitor has, while the guest's is kept busy: a write or a read of 64 KiB at a
time, with as many buffers as the guest.

QEMU has no vsock that ends in AF_UNIX; the kernel's vhost-vsock is another thing,
and a vhost-user backend another program: nothing of it is beside ours. Peers that
have it are cloud-hypervisor and firecracker. Round trips are medians. The rows
_cpu_ns are CPU time a KiB, or a round trip, of all of the monitor but its guest.
"""

import os

import monitors
from process import Process
from report import LIMIT, RUN_MS, WARM_MS, Row, rounds
from two_cores import Helper, measure_guest, measure_limit

PEERS = []
PORT = 1024
BUFFERS = "126"

# name, unit, mode of guest and limit, length, what is at the other end
FIGURES = [
    ("vsock_tx_gbps", "Gb/s", "tx", 65536, "sink"),
    ("vsock_rx_gbps", "Gb/s", "rx", 65536, "source"),
    ("vsock_rtt_us", "us", "rtt", 64, "echo"),
]


def run_guest(context, monitor, figure, path):
    _, _, mode, length, _ = figure
    guest = monitors.Guest(
        kernel=context.guest("vsockbench"), vsock=path,
        cmdline=f"mode={mode} len={length} port={PORT} warm_ms={WARM_MS} run_ms={RUN_MS}")
    if os.path.exists(path):
        os.unlink(path)     # not every peer does
    with Process(monitor.argv(guest, context.tmp), context.tmp) as process:
        return measure_guest(process, monitor, lambda: None)[:2]


def run_limit(context, _, figure, path):
    _, _, mode, length, _ = figure
    argv = [context.program("vsock_limit"), mode, f"{path}_{PORT}", str(length)]
    argv += [BUFFERS] * (mode != "rtt") + [str(RUN_MS)]
    return measure_limit(context, argv)


def measure(context):
    path = os.path.join(context.tmp, "vsock")
    rows = []
    for figure in FIGURES:
        name, unit, mode, _, other = figure
        row = Row(name, unit, "lower" if unit == "us" else "higher")
        cpu = Row(name.rsplit("_", 1)[0] + "_cpu_ns", "ns" if unit == "us" else "ns/KiB",
                  "lower")

        def contender(who, function, monitor, figure=figure, row=row, cpu=cpu):
            def run(_):
                result, spent = function(context, monitor, figure, path)
                if figure[2] == "rtt":
                    row.add(who, result["p50_ns"] / 1000)
                    cpu.add(who, spent / result["packets"])
                else:
                    row.add(who, result["bytes"] * 8 / result["ns"])
                    cpu.add(who, spent / (result["bytes"] / 1024))
            return run

        contenders = {m.name: contender(m.name, run_guest, m) for m in context.monitors()}
        contenders[LIMIT] = contender(LIMIT, run_limit, None)
        helper = Helper(context, context.program("vsock_limit"), other, f"{path}_{PORT}")
        helper.wait_ready()
        try:
            rounds(name, context.nr_runs(5), contenders, [row, cpu], warm=False)
        finally:
            helper.end()
        rows += [row, cpu]
    return rows
