# SPDX-License-Identifier: Apache-2.0
"""System call filters, as they can be seen from outside. What they allow, all
other cases show."""

import contextlib
import os
import subprocess

from cases import MIB, check


def of_threads(monitor):
    """Of each thread, by name: what the kernel says of its filter."""
    folder = f"/proc/{monitor.process.pid}/task"
    threads = {}
    for task in os.listdir(folder):
        # Some end meanwhile.
        with contextlib.suppress(FileNotFoundError, ProcessLookupError):
            with open(f"{folder}/{task}/status", encoding="ascii") as f:
                lines = dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)
            threads[lines["Name"]] = lines
    return threads


def unfiltered(context, threads):
    """Those that are not there, or have not their own filter and that of the thread
    that made them. A new one is there a little before it takes its own."""
    firsts = ("spawn", os.path.basename(context.program))
    left = [name for name in ("spawn", "vcpu0", "io0") if name not in threads]
    for name, says in threads.items():
        filters = "1" if name in firsts else "2"
        # Older kernels do not count them.
        if (says["Seccomp"], says["NoNewPrivs"], says.get("Seccomp_filters", filters)) != \
                ("2", "1", filters):
            left.append((name, says))
    return left


def test_threads_are_filtered(context):
    """By default."""
    with context.monitor() as monitor, context.client(monitor) as client:
        config = context.config(cpus={"boot_vcpus": 1, "max_vcpus": 2})
        check(client.request("PUT", "vm.create", config), 204)
        check(client.request("PUT", "vm.boot"), 204)
        check(client.request("PUT", "vm.add-disk",
                             {"path": monitor.file("more", MIB)}), 200)
        monitor.wait_for(lambda: not unfiltered(context, of_threads(monitor)))


def test_without_filters(context):
    with context.monitor() as monitor:
        path = monitor.file("other.sock")
        with subprocess.Popen([context.program, "--api-socket", path, "--seccomp", "false"],
                              stdin=subprocess.DEVNULL) as process:
            monitor.wait_for(lambda: os.path.exists(path) or process.poll() is not None)
            with open(f"/proc/{process.pid}/status", encoding="ascii") as f:
                assert "Seccomp:\t0\n" in f.read()
            process.terminate()
            assert process.wait(20) == 0


def test_modes_of_filters(context):
    for mode in ("log", "errno"):
        done = subprocess.run([context.program, "--kernel", context.guest, "--serial", "off",
                               "--memory", "64M", "--seccomp", mode],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
        assert done.returncode == 0, done
    done = subprocess.run([context.program, "--kernel", context.guest, "--seccomp", "maybe"],
                          capture_output=True, text=True, timeout=60, check=False)
    assert done.returncode == 1 and "--seccomp maybe" in done.stderr, done
    assert "errno" in done.stderr, done
