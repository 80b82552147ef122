# SPDX-License-Identifier: Apache-2.0
"""Starts a monitor, times it, listens to its guest, and ends it."""

import os
import select
import signal
import sys
import time


class Failed(Exception):
    """A monitor did not do what it was started for."""


def say(text):
    print(f"bench: {text}", file=sys.stderr, flush=True)


class Process:
    """A child with its output in a pipe and its errors in a file.

    It is made by posix_spawn(3): a fork of Python would cost more than some of
    what is measured here. started is read right before that."""

    def __init__(self, argv, tmp):
        self.argv = argv
        self.errors = os.path.join(tmp, "stderr")
        self.output = b""
        self.status = None
        self.usage = None
        self.ended = None
        self.pipe, end = os.pipe()
        flags = os.O_WRONLY | os.O_CREAT | os.O_TRUNC
        actions = [(os.POSIX_SPAWN_OPEN, 0, "/dev/null", os.O_RDONLY, 0),
                   (os.POSIX_SPAWN_DUP2, end, 1),
                   (os.POSIX_SPAWN_OPEN, 2, self.errors, flags, 0o600)]
        try:
            self.started = time.monotonic_ns()
            self.pid = os.posix_spawn(argv[0], argv, os.environ,
                                      file_actions=actions)
        finally:
            os.close(end)
        self.pidfd = os.pidfd_open(self.pid)

    def __enter__(self):
        return self

    def __exit__(self, *_):
        if self.status is None:
            os.kill(self.pid, signal.SIGKILL)
            self._reap()
        os.close(self.pidfd)
        os.close(self.pipe)

    def _reap(self):
        _, status, self.usage = os.wait4(self.pid, 0)
        self.ended = time.monotonic_ns()
        self.status = os.waitstatus_to_exitcode(status)

    def fail(self, what):
        with open(self.errors, encoding="utf-8", errors="replace") as f:
            errors = f.read().strip()
        said = self.output.decode(errors="replace").strip()
        raise Failed("\n  ".join([f"{os.path.basename(self.argv[0])}: {what}",
                                  "command: " + " ".join(self.argv)]
                                 + (said.splitlines() + errors.splitlines())[-12:]))

    def wait(self, timeout, good=0):
        """Its end; a Failed when it does not come, or has a status that is not
        0 and not good."""
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(timeout * 1000):
            self.fail(f"no end after {timeout} s")
        self._reap()
        if self.status not in (0, good):
            self.fail(f"ended with status {self.status}")

    def stop(self, timeout):
        """Asks it to end and waits for that, so that nothing of it, such as a
        lock on the disk image, is left for the next one."""
        os.kill(self.pid, signal.SIGTERM)
        poll = select.poll()
        poll.register(self.pidfd, select.POLLIN)
        if not poll.poll(timeout * 1000):
            self.fail(f"no end {timeout} s after SIGTERM")
        self._reap()

    def read_until(self, marker, timeout):
        """The output line that begins so."""
        deadline = time.monotonic() + timeout
        poll = select.poll()
        poll.register(self.pipe, select.POLLIN)
        while True:
            for line in self.output.split(b"\n")[:-1]:
                # Firmware may have cleared the screen in front of it.
                at = line.find(marker)
                if at >= 0:
                    return line[at:].decode(errors="replace").strip()
            left = deadline - time.monotonic()
            if left <= 0 or not poll.poll(left * 1000):
                self.fail(f"no {marker.decode()} after {timeout} s")
            chunk = os.read(self.pipe, 65536)
            if not chunk:
                self.fail(f"ended without {marker.decode()}")
            self.output += chunk

    def cpu_ms(self):
        return (self.usage.ru_utime + self.usage.ru_stime) * 1000

    def wall_ms(self):
        return (self.ended - self.started) / 1e6
