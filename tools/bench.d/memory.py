# SPDX-License-Identifier: Apache-2.0
"""What a monitor weighs beside the memory of its guest, which has used its
disk and is at rest."""

import os
import re
import time
from dataclasses import dataclass

from monitors import Guest
from process import Process
from report import Row, rounds

PEERS = ["qemu"]
TIMEOUT_S = 30
SETTLE_S = 0.3

HEADER = re.compile(r"^([0-9a-f]+)-([0-9a-f]+) (\S+) \S+ \S+ (\d+) *(.*)$")


@dataclass
class Area:
    """One entry of /proc/PID/smaps."""

    start: int
    end: int
    inode: int
    name: str
    rss_kib: int = 0
    pss_kib: int = 0

    def size(self):
        return self.end - self.start


def read_areas(pid):
    areas = []
    with open(f"/proc/{pid}/smaps", encoding="utf-8") as f:
        for line in f:
            header = HEADER.match(line)
            if header:
                areas.append(Area(int(header[1], 16), int(header[2], 16),
                                  int(header[4]), header[5]))
            elif line.startswith("Rss:"):
                areas[-1].rss_kib = int(line.split()[1])
            elif line.startswith("Pss:"):
                areas[-1].pss_kib = int(line.split()[1])
    return areas


def guest_areas(areas, memory, kernel):
    """The areas that are guest memory: the one with at least half of it, and
    its neighbours up to the whole: pieces of the same kind, and the kernel
    file where its segments are mapped into guest memory."""
    big = max(range(len(areas)), key=lambda i: areas[i].size())
    if areas[big].size() < memory // 2:
        raise LookupError("no area is as large as half of guest memory")
    first = last = big
    inodes = (areas[big].inode, os.stat(kernel).st_ino)

    def belongs(i, neighbour):
        if not 0 <= i < len(areas) or areas[i].inode not in inodes:
            return False
        touches = (areas[i].end == areas[neighbour].start or
                   areas[i].start == areas[neighbour].end)
        total = sum(area.size() for area in areas[first:last + 1])
        return touches and total + areas[i].size() <= memory

    while belongs(first - 1, first):
        first -= 1
    while belongs(last + 1, last):
        last += 1
    return areas[first:last + 1]


def measure(context):
    guest = Guest(kernel=context.guest("idle"), disk=context.disk("disk", 16))
    pss = Row("vmm_pss_kib", "KiB", "lower")
    rss = Row("vmm_rss_kib", "KiB", "lower")
    threads = Row("threads", "threads", "lower")

    def contender(monitor):
        argv = monitor.argv(guest, context.tmp)

        def run(warm_up):
            with Process(argv, context.tmp) as process:
                process.read_until(b"READY", TIMEOUT_S)
                time.sleep(SETTLE_S)
                areas = read_areas(process.pid)
                nr_threads = len(os.listdir(f"/proc/{process.pid}/task"))
                try:
                    ram = guest_areas(areas, guest.memory_mib << 20,
                                      guest.kernel)
                except LookupError as e:
                    process.fail(e)
                process.stop(TIMEOUT_S)
            if warm_up:
                return
            pss.add(monitor.name, sum(a.pss_kib for a in areas) -
                    sum(a.pss_kib for a in ram))
            rss.add(monitor.name, sum(a.rss_kib for a in areas) -
                    sum(a.rss_kib for a in ram))
            threads.add(monitor.name, nr_threads)

        return run

    rounds("memory", context.nr_runs(5),
           {m.name: contender(m) for m in context.monitors()},
           (pss, rss, threads))
    return [pss, rss, threads]
