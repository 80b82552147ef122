# SPDX-License-Identifier: Apache-2.0
"""KVM's own tracepoints, for moments that only the kernel sees."""

import os
import re
import subprocess
import time

MOUNT = "/sys/kernel/tracing"
POLL_S = 0.005


class Tracing:
    """A trace buffer of its own, for this process and all that it starts,
    stamped by CLOCK_MONOTONIC, which is the clock of time.monotonic_ns()."""

    # COMM-PID [CPU] FLAGS SECONDS: EVENT: TEXT
    LINE = re.compile(r"-(\d+) +\[\d+\] .*? (\d+)\.(\d+): (\w+): (.*)$", re.M)

    def __init__(self, events):
        """events: name -> filter; OSError where there is no tracing."""
        if not os.path.isdir(MOUNT + "/instances"):
            subprocess.run(["mount", "-t", "tracefs", "tracefs", MOUNT],
                           stderr=subprocess.DEVNULL, check=False)
        self.dir = f"{MOUNT}/instances/vmm-bench-{os.getpid()}"
        os.mkdir(self.dir)
        try:
            self._write("trace_clock", "mono")
            self._write("options/event-fork", "1")
            self._write("set_event_pid", str(os.getpid()))
            for event, condition in events.items():
                self._write(f"events/{event}/filter", condition)
                self._write(f"events/{event}/enable", "1")
        except OSError:
            self.close()
            raise

    def _write(self, name, value):
        with open(f"{self.dir}/{name}", "w", encoding="ascii") as f:
            f.write(value)

    def clear(self):
        self._write("trace", "")

    def read(self):
        """(nanoseconds, event, text) in the order of time."""
        with open(self.dir + "/trace", encoding="utf-8") as f:
            found = self.LINE.findall(f.read())
        return [(int(s) * 10**9 + int(us) * 1000, event, words)
                for _, s, us, event, words in found]

    def wait(self, process, what, timeout):
        """The time of the first event of a process that is running."""
        deadline = time.monotonic() + timeout
        while True:
            marks = self.read()
            if marks:
                return marks[0][0]
            if time.monotonic() > deadline:
                process.fail(f"{what} after {timeout} s")
            time.sleep(POLL_S)

    def close(self):
        try:
            self._write("events/enable", "0")
        finally:
            os.rmdir(self.dir)
