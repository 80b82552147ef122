# SPDX-License-Identifier: Apache-2.0
"""The serial port on a terminal that a shell with job control shares."""

import contextlib
import functools
import os
import pty
import re
import select
import signal
import subprocess
import tempfile
import termios
import time

from cases import check
from client import GoProfile

SECONDS = 15


class Shell:
    """An interactive sh(1) on a terminal of its own."""

    def __init__(self):
        self.text = ""
        self.pid, self.fd = pty.fork()
        if self.pid == 0:
            os.environ.update(PS1="shell$ ", ENV="")
            os.execvp("sh", ["sh", "-i"])
        self.wait(r"shell\$ ")

    def type(self, text):
        os.write(self.fd, text.encode())

    def wait(self, pattern, seconds=SECONDS):
        """What was printed up to the end of pattern; the next look begins
        there."""
        end = time.monotonic() + seconds
        while not (match := re.search(pattern, self.text)):
            left = end - time.monotonic()
            assert left > 0, f"no {pattern!r} in {self.text!r}"
            if select.select([self.fd], [], [], left)[0]:
                self.text += os.read(self.fd, 65536).decode(errors="replace")
        self.text = self.text[match.end():]
        return match

    def is_canonical(self):
        return bool(termios.tcgetattr(self.fd)[3] & termios.ICANON)

    def close(self):
        os.close(self.fd)
        os.waitpid(self.pid, 0)


def process_state(pid):
    """As ps(1) says it; a shell may not have noticed yet that it ended (Z)."""
    try:
        with open(f"/proc/{pid}/stat", encoding="ascii") as f:
            return f.read().rpartition(") ")[2][0]
    except OSError:
        return "Z"


def until(condition, seconds=SECONDS):
    end = time.monotonic() + seconds
    while not condition():
        assert time.monotonic() < end, "it did not happen in time"
        time.sleep(0.02)


@contextlib.contextmanager
def shell_with_vmm(context, background):
    """(shell, pid of vmm, its socket), once its guest is up; it is ended."""
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
        path = os.path.join(folder, "socket")
        note = os.path.join(folder, "pid")
        shell = Shell()
        pid = None
        try:
            command = (f"{context.program} --kernel {context.guest} --memory 64M"
                       f" --disk path={context.disk.name} --api-socket {path}")
            # The job is the monitor itself, for exec keeps its process.
            shell.type(f"sh -c 'echo $$ >{note}; exec {command}'"
                       f"{' &' if background else ''}\n")
            shell.wait("READY")
            with open(note, encoding="ascii") as f:
                pid = int(f.read())
            yield shell, pid, path
        finally:
            if pid and process_state(pid) != "Z":
                os.kill(pid, signal.SIGKILL)
            os.kill(shell.pid, signal.SIGKILL)
            shell.close()


def ping(path):
    client = GoProfile(path)
    check(client.request("GET", "vmm.ping"), 200)
    client.close()


def end(shell, pid):
    os.kill(pid, signal.SIGTERM)
    until(lambda: process_state(pid) == "Z", 5)
    shell.type("echo d''one\n")
    shell.wait("done")


def test_no_standard_files(context):
    """Nothing of the monitor's own takes the place of what was closed."""
    close = functools.partial(os.closerange, 0, 3)
    with tempfile.TemporaryDirectory(prefix="vmm-api-") as folder:
        path = os.path.join(folder, "socket")
        command = [context.program, "--kernel", context.guest, "--memory", "64M", "--disk",
                   f"path={context.disk.name}", "--api-socket", path]
        with subprocess.Popen(command, preexec_fn=close) as process:
            try:
                until(lambda: os.path.exists(path))
                ping(path)
                for fd in range(3):
                    assert os.readlink(f"/proc/{process.pid}/fd/{fd}") == "/dev/null"
            finally:
                process.terminate()
        assert process.returncode == 0


def test_terminal_in_background(context):
    """A job that was sent to the background leaves what is typed to the shell,
    runs on, and ends by SIGTERM with the shell's settings untouched."""
    with shell_with_vmm(context, False) as (shell, pid, path):
        assert not shell.is_canonical()
        os.kill(pid, signal.SIGSTOP)
        shell.wait(r"shell\$ ")
        shell.type("stty sane; bg\n")
        shell.wait(r"shell\$ ")
        shell.type("echo typ''ed\n")
        shell.wait("typed")
        for _ in range(20):
            shell.type("echo ag''ain\n")
            shell.wait("again")
        ping(path)
        assert process_state(pid) in "SR"
        assert shell.is_canonical()
        end(shell, pid)
        assert shell.is_canonical()


def test_terminal_quit(context):
    """Ctrl-A x ends a machine that reads nothing of what is typed, as its guest
    does not or it is paused."""
    for verb in None, "vm.pause":
        with shell_with_vmm(context, False) as (shell, pid, path):
            if verb:
                client = GoProfile(path)
                check(client.request("PUT", verb), 204)
                client.close()
            shell.type("x" * 300 + "\x01x")
            until(lambda: process_state(pid) == "Z", 5)
            until(shell.is_canonical)


def test_terminal_to_foreground(context):
    """A job that comes to the foreground has the keyboard, also one that was
    started in the background."""
    with shell_with_vmm(context, True) as (shell, pid, path):
        shell.type("echo typ''ed\n")
        shell.wait("typed")
        ping(path)
        shell.type("fg\n")
        until(lambda: not shell.is_canonical())
        os.kill(pid, signal.SIGSTOP)
        shell.wait(r"shell\$ ")
        shell.type("stty sane; echo s''ane\n")
        shell.wait("sane")
        shell.type("fg\n")
        until(lambda: not shell.is_canonical())
        shell.type("\x01x")
        until(lambda: process_state(pid) == "Z", 5)
        until(shell.is_canonical)
        shell.type("echo d''one\n")
        shell.wait("done")
