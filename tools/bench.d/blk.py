# SPDX-License-Identifier: Apache-2.0
"""The disk: a guest that keeps one queue at a depth and polls for the ends, on
an image in the host's page cache, so that the monitor is what is measured. The
limit is fio on the same image, at the same depth, in the same rounds.
"""

import json
import os
import re
import shutil
import subprocess

from monitors import Guest
from process import Failed, Process, say
from report import LIMIT, RUN_MS, WARM_MS, Row, rounds

PEERS = ["qemu", "qemu-iothread"]
IMAGE_MIB = 256
TIMEOUT_S = 30

# name, unit, rw, block size, depth
FIGURES = [
    ("randread4k_qd1_iops", "IO/s", "randread", 4096, 1),
    ("randread4k_qd32_iops", "IO/s", "randread", 4096, 32),
    ("randread4k_qd128_iops", "IO/s", "randread", 4096, 128),
    ("seqread128k_mbps", "MB/s", "read", 131072, 32),
    ("randwrite4k_qd32_iops", "IO/s", "randwrite", 4096, 32),
]


def run_guest(context, monitor, image, figure):
    _, unit, rw, size, depth = figure
    guest = Guest(kernel=context.guest("blkbench"), disk=image,
                  cmdline=f"rw={rw} bs={size} qd={depth} warm_ms={WARM_MS} "
                          f"run_ms={RUN_MS}")
    with Process(monitor.argv(guest, context.tmp), context.tmp) as process:
        line = process.read_until(b"RESULT", TIMEOUT_S)
        # Where a guest finds no way to power off, it resets.
        process.wait(TIMEOUT_S, monitor.reset_status)
    result = {key: int(number) for key, number in
              re.findall(r"\b(\w+)=(\d+)", line)}
    if result["qd"] < depth:
        say(f"{monitor.name}'s queue holds {result['qd']} requests, not {depth}")
    return result["mbps" if unit == "MB/s" else "iops"]


def run_fio(image, figure):
    """Without what fio does for itself and a guest does not: a map of the
    blocks it has seen, and a time stamp for every request."""
    _, unit, rw, size, depth = figure
    fio = shutil.which("fio")
    if not fio:
        raise Failed("no fio: install it")
    argv = [fio, "--name=limit", f"--filename={image}",
            f"--size={IMAGE_MIB}m", f"--rw={rw}", f"--bs={size}",
            f"--iodepth={depth}", "--ioengine=io_uring", "--direct=0",
            "--invalidate=0", "--norandommap", "--gtod_reduce=1",
            "--time_based", f"--ramp_time={WARM_MS}ms",
            f"--runtime={RUN_MS}ms", "--output-format=json"]
    try:
        done = subprocess.run(argv, stdin=subprocess.DEVNULL, timeout=TIMEOUT_S,
                              capture_output=True, text=True, check=True)
    except (subprocess.SubprocessError, OSError) as e:
        raise Failed(f"fio: {e}") from None
    job = json.loads(done.stdout[done.stdout.index("{"):])["jobs"][0]
    side = job["write" if rw == "randwrite" else "read"]
    return side["bw_bytes"] / 1e6 if unit == "MB/s" else side["iops"]


def flush(image):
    """Nobody pays for what the one before wrote."""
    fd = os.open(image, os.O_RDONLY)
    try:
        os.fsync(fd)
    finally:
        os.close(fd)


def measure(context):
    image = context.disk("disk", IMAGE_MIB)
    rows = []
    for figure in FIGURES:
        row = Row(figure[0], figure[1], "higher")

        def contender(who, function, *args, row=row):
            def run(_):
                flush(image)
                row.add(who, function(*args))
            return run

        contenders = {m.name: contender(m.name, run_guest, context, m, image,
                                        figure)
                      for m in context.monitors()}
        contenders[LIMIT] = contender(LIMIT, run_fio, image, figure)
        # Each run has a warm-up of its own.
        rounds(row.name, context.nr_runs(5), contenders, [row], warm=False)
        rows.append(row)
    return rows
