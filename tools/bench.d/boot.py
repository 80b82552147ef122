# SPDX-License-Identifier: Apache-2.0
"""Linux, from its kernel's first instruction to its init, and the exits that
takes. All of it is what the host's KVM saw, the same for every monitor:

The start is the first entry into guest memory where the kernel is loaded, by
the tracepoint kvm_entry; where there is firmware, that is after it. The end is
the guest kit's init writing 'A' to port 0x80, by kvm_pio. The exits are the
counters in KVM's debugfs from the machine's first instruction on, firmware
included; the monitor is stopped at that write, and then they are read.
"""

import glob
import os
import signal
import subprocess

from monitors import Guest
from process import Failed, Process
from report import Row, rounds
from tracing import Tracing

PEERS = ["qemu", "qemu-q35"]
TIMEOUT_S = 180
# x86_64 kernels are loaded at 16 MiB; firmware is below that, right below 4 GiB,
# or at the end of guest memory.
KERNEL_RIP = "rip >= 0x1000000 && rip < 0x2000000"
STAMP = "port == 0x80 && val == 0x41"
CMDLINE = "console=ttyS0 quiet panic=-1 vmm.stamp root=/dev/vda rw"

# Names in debugfs, by the names of the rows.
COUNTERS = {
    "exits_total": "exits",
    "exits_io": "io_exits",
    "exits_mmio": "mmio_exits",
    "exits_halt": "halt_exits",
    "exits_irq": "irq_exits",
    "exits_irq_window": "irq_window_exits",
    "exits_signal": "signal_exits",
    "exits_hypercall": "hypercalls",
}
DEBUGFS = "/sys/kernel/debug"


def read_counters(pid):
    dirs = glob.glob(f"{DEBUGFS}/kvm/{pid}-*")
    if not dirs:
        raise Failed(f"{DEBUGFS}/kvm has no machine of process {pid}")
    counters = {}
    for row, name in COUNTERS.items():
        try:
            with open(f"{dirs[0]}/{name}", encoding="ascii") as f:
                counters[row] = int(f.read())
        except FileNotFoundError:
            pass
    return counters


def open_tracing():
    if not os.path.isdir(DEBUGFS + "/kvm"):
        subprocess.run(["mount", "-t", "debugfs", "debugfs", DEBUGFS],
                       stderr=subprocess.DEVNULL, check=False)
    try:
        return Tracing({"kvm/kvm_entry": KERNEL_RIP, "kvm/kvm_pio": STAMP})
    except OSError as e:
        raise SystemExit("bench: boot needs root, tracefs and KVM's "
                         f"tracepoints: {e}") from None


def measure(context):
    if not context.kit:
        raise SystemExit("bench: boot needs --kit")
    guest = Guest(kernel=context.kit + "/vmlinux", cmdline=CMDLINE,
                  initramfs=context.kit + "/initramfs.cpio",
                  disk=context.disk("disk", 16), linux=True)
    init_ms = Row("kernel_to_init_ms", "ms", "lower")
    exits = {name: Row(name, "exits", "lower") for name in COUNTERS}
    tracing = open_tracing()

    def contender(monitor):
        argv = monitor.argv(guest, context.tmp)

        def run(_):
            tracing.clear()
            with Process(argv, context.tmp) as process:
                marks = tracing.follow("kvm_pio", TIMEOUT_S, process.pidfd)
                if not marks or marks[-1][1] != "kvm_pio":
                    process.fail("Linux did not reach its init")
                os.kill(process.pid, signal.SIGSTOP)
                counters = read_counters(process.pid)
                os.kill(process.pid, signal.SIGCONT)
                process.stop(TIMEOUT_S)
            init_ms.add(monitor.name, (marks[-1][0] - marks[0][0]) / 1e6)
            for name, value in counters.items():
                exits[name].add(monitor.name, value)

        return run

    try:
        rounds("boot", context.nr_runs(5),
               {m.name: contender(m) for m in context.monitors()}, warm=False)
    finally:
        tracing.close()
    return [init_ms] + [row for row in exits.values() if row.values]
