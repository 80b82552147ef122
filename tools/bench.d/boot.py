# SPDX-License-Identifier: Apache-2.0
"""Linux, from its kernel's first instruction to its init, and the exits that
takes. It is seen from outside, the same for every monitor.

The start is the first entry into guest memory where the kernel is loaded, by
KVM's tracepoint kvm_entry, on aarch64 together with the few instructions that QEMU
has before it; where there is firmware, that is after it. The end is
the first line of the guest kit's init on the serial console: its stamp on port
0x80 would be finer, but in the lab a q35 guest's user space faults on that.
The exits are the counters in KVM's debugfs from the machine's first instruction
on, firmware included; the monitor is stopped at that line, and then they are read.

On aarch64 all is measured twice: machines to which no devices can come, and such
to which 31 can, each by a root port.
"""

import glob
import os
import platform
import signal
import subprocess
import time

from monitors import Guest
from process import Failed, Process
from report import Row, rounds
from tracing import Tracing

IS_X86 = platform.machine() == "x86_64"
PEERS = ["qemu", "qemu-q35"] if IS_X86 else ["qemu"]
TIMEOUT_S = 180
PORTS = [0] if IS_X86 else [0, 31]
# x86_64 kernels are loaded at 16 MiB; firmware is below that, right below 4 GiB,
# or at the end of guest memory. On aarch64 they are where RAM begins.
IN_KERNEL = "rip >= 0x1000000 && rip < 0x2000000" if IS_X86 else \
    "vcpu_pc >= 0x40000000 && vcpu_pc < 0x44000000"
UP = b"vmm-guest: userspace"
CMDLINE = ("console=ttyS0" if IS_X86 else "console=ttyAMA0") + " quiet panic=-1 root=/dev/vda rw"

# Names in debugfs, by the names of the rows; no architecture has all.
COUNTERS = {
    "exits_total": "exits",
    "exits_io": "io_exits",
    "exits_mmio": "mmio_exits" if IS_X86 else "mmio_exit_user",
    "exits_mmio_kernel": "mmio_exit_kernel",
    "exits_page_fault": "pf_taken",
    "exits_halt": "halt_exits" if IS_X86 else "wfi_exit_stat",
    "exits_irq": "irq_exits",
    "exits_irq_window": "irq_window_exits",
    "exits_signal": "signal_exits",
    "exits_hypercall": "hypercalls" if IS_X86 else "hvc_exit_stat",
}
DEBUGFS = "/sys/kernel/debug"


def read_counters(pid):
    # A machine is there by the thread that made it.
    dirs = [path for thread in os.listdir(f"/proc/{pid}/task")
            for path in glob.glob(f"{DEBUGFS}/kvm/{thread}-*")]
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
        return Tracing({"kvm/kvm_entry": IN_KERNEL})
    except OSError as e:
        raise SystemExit("bench: boot needs root, tracefs and KVM's "
                         f"tracepoints: {e}") from None


def measure(context):
    if not context.kit:
        raise SystemExit("bench: boot needs --kit")
    tracing = open_tracing()
    disk = context.disk("disk", 16)
    try:
        return [row for ports in PORTS for row in measure_ports(context, tracing, disk, ports)]
    finally:
        tracing.close()


def measure_ports(context, tracing, disk, ports):
    guest = Guest(kernel=context.kit + "/vmlinux", cmdline=CMDLINE,
                  initramfs=context.kit + "/initramfs.cpio",
                  disk=disk, linux=True, ports=ports)
    suffix = "_ports" if ports else ""
    init_ms = Row(f"kernel_to_init{suffix}_ms", "ms", "lower")
    exits = {name: Row(name + suffix, "exits", "lower") for name in COUNTERS}

    def contender(monitor):
        argv = monitor.argv(guest, context.tmp)

        def run(_):
            tracing.clear()
            with Process(argv, context.tmp) as process:
                process.read_until(UP, TIMEOUT_S)
                end = time.monotonic_ns()
                os.kill(process.pid, signal.SIGSTOP)
                counters = read_counters(process.pid)
                os.kill(process.pid, signal.SIGCONT)
                process.stop(TIMEOUT_S)
                marks = tracing.read()
                if not marks:
                    process.fail("KVM did not trace the start of the kernel")
            init_ms.add(monitor.name, (end - marks[0][0]) / 1e6)
            for name, value in counters.items():
                exits[name].add(monitor.name, value)

        return run

    rounds(f"boot, {ports} ports" if ports else "boot", context.nr_runs(5),
           {m.name: contender(m) for m in context.monitors()},
           [init_ms, *exits.values()], warm=False)
    return [init_ms] + [row for row in exits.values() if row.values]
