# SPDX-License-Identifier: Apache-2.0
"""What a guest that has gone silent was doing.

Everything is read twice, a moment apart, for what moves is alive. The report
tells four states from each other: vmm's main loop is stuck (vmm.ping has no
answer), a vCPU does not run (its exits stand still and its thread waits for
something), the guest runs and only its serial line is stuck (exits go on, of
any kind but I/O), the guest's kernel crashed (the console says so). A host
whose own processor stands still shows in its timer interrupts.
"""

import json
import os
import re
import socket
import subprocess
import time

PAUSE = 0.5
NMI_SECONDS = 3
API_SECONDS = 2
LINES_MAX = 160
LINE_MAX = 160
KVM = "/sys/kernel/debug/kvm"
# KVM's figures that tell most, shown even where they stand still.
FIGURES = ("exits", "io_exits", "mmio_exits", "halt_exits", "irq_exits",
           "irq_window_exits", "irq_injections", "signal_exits", "halt_wakeup",
           "blocking")


def read(path):
    try:
        with open(path, encoding="utf-8", errors="replace") as f:
            return f.read().strip()
    except OSError as why:
        return f"({why.strerror})"


def ask(path, verb, method="GET"):
    """The body of the control socket's answer, or why there is none."""
    request = f"{method} /api/v1/{verb} HTTP/1.1\r\nHost: vmm\r\n\r\n"
    answer = b""
    try:
        with socket.socket(socket.AF_UNIX) as s:
            s.settimeout(API_SECONDS)
            s.connect(path)
            s.sendall(request.encode())
            while True:
                head, found, body = answer.partition(b"\r\n\r\n")
                length = re.search(rb"Content-Length: (\d+)", head)
                if found and len(body) >= int(length[1] if length else 0):
                    return body.decode(errors="replace")
                data = s.recv(65536)
                if not data:
                    return "(the connection ended)"
                answer += data
    except OSError as why:      # a time-out, too
        return f"(no answer: {why})"


def threads(pid):
    """For each thread its state, processor and times, where it waits."""
    base = f"/proc/{pid}/task"
    try:
        ids = sorted(os.listdir(base), key=int)
    except OSError:
        return ["no threads: the process is gone"]
    lines = []
    for tid in ids:
        task = f"{base}/{tid}"
        stat = read(f"{task}/stat").rpartition(") ")[2].split()
        if len(stat) < 37:
            continue
        lines.append(f"thread {read(task + '/comm')}: {stat[0]} on CPU {stat[36]}, "
                     f"utime {stat[11]} stime {stat[12]}, "
                     f"in {read(task + '/wchan')}, "
                     f"syscall {read(task + '/syscall')}")
        stack = re.findall(r"\] (\S+?)\+", read(task + "/stack"))
        if stack:
            lines.append("  stack " + " < ".join(stack[:8]))
    return lines


def kvm_figures(pid):
    """{name: value}: the kernel's own view, for when vmm does not answer."""
    try:
        names = os.listdir(KVM)
    except OSError as why:
        return {"(not there)": why.strerror}
    return {item: read(f"{KVM}/{name}/{item}") for name in names
            if name.startswith(f"{pid}-") for item in FIGURES}


def flat(value, name=""):
    """{"vcpu0.io": 5} of nested JSON objects."""
    if not isinstance(value, dict):
        return {name: str(value)}
    return {key: leaf for part, inner in value.items()
            for key, leaf in flat(inner, f"{name}.{part}".lstrip(".")).items()}


def stats(api):
    """Of memory, threads, exits, KVM and devices; vm.counters are among them."""
    body = ask(api, "vm.stats")
    try:
        return flat(json.loads(body))
    except ValueError:
        return {"(none)": body}


def host_interrupts():
    """{name: counts by CPU}, of those that have been seen."""
    figures = {}
    for line in read("/proc/interrupts").splitlines()[1:]:
        name, _, rest = line.partition(":")
        counts = re.match(r"[\d ]*", rest)[0].split()
        if any(count != "0" for count in counts):
            figures[f"irq {name.strip()}"] = " ".join(counts)
    return figures


def look(pid, api):
    return {"kvm": kvm_figures(pid), "host": host_interrupts(),
            "stats": stats(api), "threads": threads(pid)}


def moved(what, before, after, shown):
    """What has changed, and those figures whose standing still tells much."""
    lines = []
    for name, value in after.items():
        old = before.get(name)
        if old != value:
            lines.append(f"{what} {name}: {old} -> {value}")
        elif re.search(shown, name):
            lines.append(f"{what} {name}: stands at {value}")
    return lines


def dmesg():
    done = subprocess.run(["dmesg"], capture_output=True, text=True,
                          check=False, stdin=subprocess.DEVNULL, timeout=20)
    return [line for line in done.stdout.splitlines()
            if "Unhandled WRMSR" not in line]


def report(pid, api):
    """All that can be found out, as lines."""
    lines = [f"vmm.ping: {ask(api, 'vmm.ping')}"]
    first = look(pid, api)
    time.sleep(PAUSE)
    second = look(pid, api)
    lines += second["threads"]
    lines += moved("kvm", first["kvm"], second["kvm"], "")
    lines += moved("host", first["host"], second["host"], "LOC|RES|CAL")
    lines += moved("stats", first["stats"], second["stats"], r"^exits\.|\(")
    lines += [f"dmesg: {line}" for line in dmesg()[-12:]]
    return lines


def shake(api):
    """The guest's kernel, if it still runs, panics and says where it was."""
    answer = ask(api, "vm.nmi", "PUT")
    time.sleep(NMI_SECONDS)
    return [f"vm.nmi: {answer or 'sent'}"]


def bounded(lines):
    """As it can stand in a test's output."""
    return [line[:LINE_MAX] for line in lines[:LINES_MAX]]
