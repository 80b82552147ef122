# SPDX-License-Identifier: Apache-2.0
"""A shared directory: a guest that keeps one queue at a depth and polls for the ends,
on files in the host's page cache, on two cores (two_cores.py). limit is a plain program
that makes the same calls, on the core that the monitor has, while the guest's is kept
busy. QEMU has Debian's virtiofsd beside it, whose CPU time counts as its own.

The rows _cpu_ns are CPU time a request of all of the monitor but its guest; at depth 1
the time it polls is part of it, so these are measured with poll_us=0.

fs_create_unlink: on files in memory. Disks' file systems have their own mind about
that: ext4 without a journal searched for an inode for 5 us or 250 us, whoever asked.

fs_dax_gbps: what a guest copies of a mapped file that it has read before; limit is the
same guest's copy of its memory. No peer has DAX.
"""

import os
import tempfile

import monitors
from process import Process
from report import LIMIT, RUN_MS, WARM_MS, Row, rounds
from two_cores import measure_guest, measure_limit

PEERS = ["qemu-virtiofsd"]
DATA_MIB = 64
DIR_FILES = 2000
MEMORY = "/dev/shm"

# name, unit, operation, length, depth, whether CPU time is told
FIGURES = [
    ("fs_getattr_qd1", "req/s", "getattr", 4096, 1, True),
    ("fs_lookup_qd1", "req/s", "lookup", 4096, 1, True),
    ("fs_read4k_qd1", "req/s", "read", 4096, 1, True),
    ("fs_write4k_qd1", "req/s", "write", 4096, 1, True),
    ("fs_getattr_qd16", "req/s", "getattr", 4096, 16, True),
    ("fs_lookup_qd16", "req/s", "lookup", 4096, 16, True),
    ("fs_read4k_qd16", "req/s", "read", 4096, 16, True),
    ("fs_write4k_qd16", "req/s", "write", 4096, 16, True),
    ("fs_read128k_gbps", "GB/s", "read", 131072, 8, False),
    ("fs_read1m_gbps", "GB/s", "read", 1 << 20, 4, False),
    ("fs_write1m_gbps", "GB/s", "write", 1 << 20, 4, False),
    ("fs_create_unlink", "req/s", "create", 4096, 1, False),
    ("fs_readdirplus", "entry/s", "readdirplus", 4096, 1, False),
]


def prepare(context):
    """What is shared."""
    path = os.path.join(context.tmp, "share")
    os.makedirs(os.path.join(path, "dir"))
    os.rename(context.disk("data", DATA_MIB), os.path.join(path, "data"))
    for i in range(DIR_FILES):
        with open(os.path.join(path, "dir", f"file-{i}"), "w", encoding="ascii"):
            pass
    return path


def prepare_memory(path):
    """A directory in which files are made."""
    os.mkdir(os.path.join(path, "dir"))
    with open(os.path.join(path, "data"), "wb") as f:
        f.truncate(DATA_MIB << 20)
    return path


def run_guest(context, monitor, figure, path, poll, dax_mib=0):
    _, _, op, length, depth, _ = figure
    guest = monitors.Guest(
        kernel=context.guest("fsbench"), share=path, poll=poll, dax_mib=dax_mib,
        cmdline=f"op={op} len={length} qd={depth} warm_ms={WARM_MS} run_ms={RUN_MS}")
    with monitor.beside(guest, context.tmp) as helpers:
        with Process(monitor.argv(guest, context.tmp), context.tmp) as process:
            return measure_guest(process, monitor, lambda: None, also=helpers)[:2]


def run_limit(context, figure, path):
    _, _, op, length, depth, _ = figure
    argv = [context.program("fs_limit"), op, path, str(RUN_MS)]
    argv += [str(length), str(depth)] * (op in ("read", "write"))
    return measure_limit(context, argv)


def value(figure, result):
    rate = result["ops"] * 1e9 / result["ns"]
    return rate * figure[3] / 1e9 if figure[1] == "GB/s" else rate


def measure_dax(context, path):
    row = Row("fs_dax_gbps", "GB/s", "higher")

    def copies(name, op):
        def run(_):
            figure = (None, row.unit, op, 1 << 20, 1, False)
            result, _ = run_guest(context, context.ours, figure, path, True, DATA_MIB)
            row.add(name, value(figure, result))
        return run

    rounds(row.name, context.nr_runs(5),
           {context.ours.name: copies(context.ours.name, "dax"), LIMIT: copies(LIMIT, "ram")},
           [row], warm=False)
    return row


def measure(context):
    with tempfile.TemporaryDirectory(prefix="vmm-bench.", dir=MEMORY) as memory:
        return measure_in(context, prepare(context), prepare_memory(memory))


def measure_in(context, disk, memory):
    rows = []
    for figure in FIGURES:
        path = memory if figure[2] == "create" else disk
        row = Row(figure[0], figure[1], "higher")
        cpu = Row(figure[0] + "_cpu_ns", "ns", "lower") if figure[5] else None

        def guest(monitor, figure=figure, row=row, cpu=cpu, path=path):
            def run(_):
                result, spent = run_guest(context, monitor, figure, path, True)
                row.add(monitor.name, value(figure, result))
                if not cpu:
                    return
                if figure[4] == 1:
                    result, spent = run_guest(context, monitor, figure, path, False)
                cpu.add(monitor.name, spent / result["ops"])
            return run

        def limit(_, figure=figure, row=row, cpu=cpu, path=path):
            result, spent = run_limit(context, figure, path)
            row.add(LIMIT, value(figure, result))
            if cpu:
                cpu.add(LIMIT, spent / result["ops"])

        contenders = {m.name: guest(m) for m in context.monitors()}
        contenders[LIMIT] = limit
        both = [row] + [cpu] * bool(cpu)
        rounds(row.name, context.nr_runs(5), contenders, both, warm=False)
        rows += both
    return rows + [measure_dax(context, disk)]
