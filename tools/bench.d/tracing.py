# SPDX-License-Identifier: Apache-2.0
"""KVM's own tracepoints, for moments that only the kernel sees."""

import os
import re
import select
import subprocess
import time

MOUNT = "/sys/kernel/tracing"


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

    def parse(self, text):
        """(nanoseconds, event, text) in the order of time."""
        return [(int(s) * 10**9 + int(us) * 1000, event, words)
                for _, s, us, event, words in self.LINE.findall(text)]

    def read(self):
        """All there is."""
        with open(self.dir + "/trace", encoding="utf-8") as f:
            return self.parse(f.read())

    def follow(self, event, timeout, pidfd):
        """What comes until this event does, as soon as that is; without it
        when the time is over or the process has ended."""
        text = ""
        deadline = time.monotonic() + timeout
        self._write("buffer_percent", "0")
        pipe = os.open(self.dir + "/trace_pipe", os.O_RDONLY | os.O_NONBLOCK)
        try:
            poll = select.poll()
            poll.register(pipe, select.POLLIN)
            poll.register(pidfd, select.POLLIN)
            while f": {event}: " not in text:
                left = deadline - time.monotonic()
                left = max(0, left * 1000)
                if pipe not in (fd for fd, _ in poll.poll(left)):
                    break
                try:
                    text += os.read(pipe, 65536).decode()
                except BlockingIOError:
                    pass
        finally:
            os.close(pipe)
        return self.parse(text)

    def close(self):
        try:
            self._write("events/enable", "0")
        finally:
            os.rmdir(self.dir)
