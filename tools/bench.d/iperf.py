# SPDX-License-Identifier: Apache-2.0
"""TCP between Linux and its host through a TAP, as iperf3 measures it: with large
segments, with frames of 1514 bytes (no offloads), and on four queue pairs with four
streams; each also where the host's kernel moves the frames (vhost), if it can. tx
is what the guest sends. QEMU's network device stands beside it in the same way.

In the lab all share one processor, so a figure is what a byte costs in all: guest,
monitor, and both ends of iperf3."""

import os
import re
import statistics
import subprocess

import monitors
from process import Process
from report import Row, rounds

PEERS = ["qemu-q35"]
TIMEOUT_S = 240
SECONDS = 3
HOST, GUEST = "192.0.2.1", "192.0.2.2"
IPERF = f"iperf3 -f k -c {HOST} -t {SECONDS} -O 1"
NO_OFFLOADS = "for f in tso gso gro lro rx-gro-hw; do ethtool -K eth0 $f off; done"


class Figures:
    """What one life of a guest measures, in its order, so many times."""

    def __init__(self, names, tap, job, times=1, **options):
        suffix = "_vhost" if options.get("vhost") else ""
        self.rows = [Row(f"iperf_{name}{suffix}_mbps", "Mb/s", "higher")
                     for name in names]
        self.tap = tap
        # A kernel's command line has no more quotes to give.
        self.words = ("console=ttyS0 quiet panic=-1 root=/dev/vda ro vmm.exec=\""
                      f"/usr/bin/ip a add {GUEST}/24 dev eth0; "
                      f"/usr/bin/ip l set eth0 up; {job}\"")
        self.nr_rates = times * len(names)
        self.options = options


def both(words=""):
    return f"for way in '' -R; do {IPERF} {words} $way | grep receiver | tail -n 1; done"


def all_figures():
    vhosts = [False, True] if os.path.exists("/dev/vhost-net") else [False]
    for vhost in vhosts:
        yield Figures(["tx", "rx", "tx1514", "rx1514"], "tap0",
                      f"{both()}; {NO_OFFLOADS}; {both()}", vhost=vhost)
        # Their ports decide which queues the streams share, and that for half of the
        # rate: more than one draw.
        yield Figures(["tx_4q", "rx_4q"], "tap4",
                      f"ethtool -L eth0 combined 4; for i in 1 2 3; do {both('-P 4')}; done",
                      times=3, vhost=vhost, queue_pairs=4)


def make_network():
    monitors.new_namespace()
    for words in ("link set lo up", "tuntap add tap0 mode tap",
                  "tuntap add tap4 mode tap multi_queue",
                  "link set tap0 up", "link set tap4 up"):
        subprocess.run(["ip", *words.split()], check=True)


def run(context, monitor, figures, image):
    for words in (f"address flush to {HOST}", f"address add {HOST}/24 dev {figures.tap}"):
        subprocess.run(["ip", *words.split()], check=True)
    guest = monitors.Guest(kernel=context.kit + "/vmlinux", cmdline=figures.words,
                           initramfs=context.kit + "/initramfs.cpio", disk=image,
                           tap=figures.tap, linux=True, **figures.options)
    server = subprocess.Popen(["iperf3", "-s", "-B", HOST], stdin=subprocess.DEVNULL,
                              stdout=subprocess.DEVNULL)
    try:
        with Process(monitor.argv(guest, context.tmp), context.tmp) as process:
            process.read_until(b"vmm-guest: exit status 0", TIMEOUT_S)
            process.wait(TIMEOUT_S)
            rates = re.findall(rb"([\d.]+) Kbits/sec.*receiver", process.output)
            if len(rates) != figures.nr_rates:
                process.fail(f"{len(rates)} of {figures.nr_rates} figures")
    finally:
        server.kill()
        server.wait()
    for i, row in enumerate(figures.rows):
        row.add(monitor.name, statistics.mean(map(float, rates[i::len(figures.rows)])) / 1000)


def measure(context):
    if not context.kit:
        raise SystemExit("bench: iperf needs --kit")
    # All that it starts runs one after another here, and takes turns.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    make_network()
    image = os.path.join(context.tmp, "root.ext4")
    subprocess.run(["cp", "--sparse=always", context.kit + "/test-rootfs.ext4", image],
                   check=True)
    rows = []
    for figures in all_figures():
        def contender(monitor, figures=figures):
            return lambda _: run(context, monitor, figures, image)

        rounds(figures.rows[0].name, context.nr_runs(3),
               {m.name: contender(m) for m in context.monitors()}, figures.rows,
               warm=False)
        rows += figures.rows
    return rows
