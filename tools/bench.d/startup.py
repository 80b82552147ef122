# SPDX-License-Identifier: Apache-2.0
"""How long until a guest runs, and how long a monitor lives for one that ends
at once. On x86_64 the guest's second instruction writes port 0x80, its next ones
reset; on aarch64 its second one is PSCI's call to reset.

The time of that is KVM's own: the tracepoint kvm_pio, or kvm_hvc_arm64, before the
monitor sees the exit. It costs no monitor anything, asks for no serial port, and counts
neither the monitor's way of handling the port nor our wake-up. The clock starts
right before posix_spawn(3), so exec, the dynamic linker and the libraries count.

limit, on x86_64, is a program that makes KVM's calls for such a machine one after the other
and nothing else (kvm_limit.c); a monitor with more than one thread may beat it.

A monitor that starts a guest again when it resets is ended once the guest has
said that it runs: it has no process_ms and no cpu_ms.
"""

import platform

from monitors import Guest
from process import Failed, Process, say
from report import LIMIT, Row, rounds
from tracing import Tracing

PEERS = ["qemu"]
TIMEOUT_S = 20
NO_MARK = "the guest did not say that it runs"
MARKS = {
    "x86_64": {"kvm/kvm_pio": "port == 0x80 && val == 1"},
    "aarch64": {"kvm/kvm_hvc_arm64": "r0 == 0x84000009"},   # PSCI's SYSTEM_RESET
}
ARCH = platform.machine()


def open_tracing(row):
    try:
        return Tracing(MARKS[ARCH])
    except OSError as e:
        say(f"no {row}: KVM's tracepoints need root and tracefs: {e}")
        return None


def measure(context):
    guest = Guest(kernel=context.guest("startup"),
                  disk=context.disk("disk", 16), serial=False)
    first_ms = Row("exec_to_guest_ms", "ms", "lower")
    process_ms = Row("process_ms", "ms", "lower")
    cpu_ms = Row("cpu_ms", "ms", "lower")
    tracing = open_tracing("exec_to_guest_ms")

    def contender(name, argv, reset_status=0):
        ends = reset_status is not None

        def run(warm_up):
            if not tracing and not ends:
                raise Failed("only KVM's tracepoints tell when its guest runs")
            if tracing:
                tracing.clear()
            mark = None
            with Process(argv, context.tmp) as process:
                if ends:
                    process.wait(TIMEOUT_S, reset_status)
                if tracing:
                    mark = tracing.wait(process, NO_MARK,
                                        0 if ends else TIMEOUT_S)
            if warm_up:
                return
            if mark:
                first_ms.add(name, (mark - process.started) / 1e6)
            if ends:
                process_ms.add(name, process.wall_ms())
                cpu_ms.add(name, process.cpu_ms())

        return run

    try:
        contenders = {m.name: contender(m.name, m.argv(guest, context.tmp),
                                        m.reset_status)
                      for m in context.monitors()}
        if ARCH == "x86_64":
            contenders[LIMIT] = contender(LIMIT, [context.program("kvm_limit"),
                                                  str(guest.memory_mib)])
        rounds("startup", context.nr_runs(20), contenders,
               (first_ms, process_ms, cpu_ms))
    finally:
        if tracing:
            tracing.close()
    return [row for row in (first_ms, process_ms, cpu_ms) if row.values]
