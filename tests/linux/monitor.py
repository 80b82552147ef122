# SPDX-License-Identifier: Apache-2.0
"""A vmm process and the Linux guest in it, seen from the host.

Every guest with a script gets a job disk, its last one: the script stands at
the start, and the guest leaves its kernel log after LOG_OFFSET. Answers come
over the console, as lines "T: KEY VALUE", which facts() collects.
"""

import fcntl
import os
import pty
import re
import shlex
import shutil
import signal
import subprocess
import tempfile
import termios
import threading
import time

import autopsy
import control

LOG_OFFSET = 64 << 10
JOB_BYTES = 1 << 20
# The command line's, by architecture. An NMI makes a silent guest tell where it was:
# an autopsy sends one, where there is one.
WORDS = {
    "x86_64": "console=ttyS0 quiet panic=-1 sysctl.kernel.panic_on_unrecovered_nmi=1",
    "aarch64": "console=ttyAMA0 quiet panic=-1",
}

PREAMBLE = """\
JOB=/dev/{job}
say() {{ echo "T: $*"; }}
tell() {{ key=$1; shift; "$@" 2>&1 | sed "s/^/T: $key /"; }}
# A press that acpid does not listen for yet would be lost.
await_button() {{
	for try in $(seq 100); do
		ls -l /proc/$(pidof acpid)/fd | grep -q /dev/input/event &&
			say button && return
		usleep 100000
	done
}}
keep_log() {{ dmesg -r | dd of=$JOB bs=64k seek=1 conv=notrunc,fsync 2>/dev/null; }}
"""
POSTAMBLE = "\nkeep_log\nexit 0\n"

# What a guest runs that is told over its console what to do; see Guest.do().
SHELL = """
stty -echo
say ready
turn=0
while [ -z "$over" ] && read -r line; do
	turn=$((turn + 1))
	eval "$line"
	say done $turn
done
"""

# What a kernel says when it breaks before its first userspace ran.
CRASH = re.compile(r"Oops|BUG: |Kernel panic")
INIT_KILLED = re.compile(r"Attempted to kill init! exitcode=0x0000000[4578b]")
USERSPACE = "vmm-guest: userspace"


class Late(Exception):
    """Something did not happen in time."""


class Ended(Exception):
    """The process ended before what was waited for happened."""


class Stream:
    """Reads a descriptor to its end in a thread of its own."""

    def __init__(self, fd, path):
        self.fd = fd
        self.data = bytearray()
        self.is_open = True
        self.changed = threading.Condition()
        self.file = open(path, "wb", buffering=0)
        self.thread = threading.Thread(target=self.read_all, daemon=True)
        self.thread.start()

    def read_all(self):
        while True:
            try:
                data = os.read(self.fd, 65536)
            except OSError:     # a pty whose other side has closed
                data = b""
            if data:
                self.file.write(data)
            with self.changed:
                self.data += data
                self.is_open = bool(data)
                self.changed.notify_all()
            if not data:
                self.file.close()
                return

    def text(self):
        with self.changed:
            return self.data.decode(errors="replace").replace("\r", "")

    def wait(self, pattern, seconds, start=0):
        """Waits for a match at or after start; gives where it ends."""
        deadline = time.monotonic() + seconds
        shown = pattern if len(pattern) < 40 else pattern[:40] + "..."
        while True:
            text = self.text()
            match = re.compile(pattern, re.M).search(text, start)
            if match:
                return match.end()
            with self.changed:
                if not self.is_open:
                    raise Ended(f"it ended before it said '{shown}'")
                left = deadline - time.monotonic()
                if left <= 0:
                    raise Late(f"'{shown}' not said in {seconds:.0f} s")
                self.changed.wait(min(left, 0.25))


class Disk:
    """An image and the options it is given with."""

    def __init__(self, path, size=0, **options):
        self.path = path
        self.options = options
        if size:
            with open(path, "wb") as f:
                f.truncate(size)

    def argument(self):
        words = [f"path={self.path}"]
        for key, value in self.options.items():
            if isinstance(value, bool):
                value = "on" if value else "off"
            words.append(f"{key}={value}")
        return ",".join(words)

    def read(self, size=-1, offset=0):
        with open(self.path, "rb") as f:
            f.seek(offset)
            return f.read(size)

    def blocks(self):
        """Bytes that the host's file system has given it."""
        return os.stat(self.path).st_blocks * 512

    def is_locked(self):
        """By another process. Its lock is the kind that vmm takes."""
        with open(self.path, "rb+") as f:
            try:
                fcntl.lockf(f, fcntl.LOCK_EX | fcntl.LOCK_NB)
            except OSError:
                return True
        return False


class Guest:
    """One run of vmm. Made by Case.guest(); see there for the arguments."""

    def __init__(self, vmm, base, seconds):
        self.vmm = vmm
        self.base = base        # of the names of its files
        self.seconds = seconds  # for anything that takes a boot
        self.argv = [vmm]
        self.process = None
        self.console = None
        self.errors = None
        self.terminal = -1      # our side of the guest's terminal
        self.job = None
        self.fds = []
        self.api = None         # directory of its control socket and events
        self.control = None
        self.turn = 0           # how many lines it was told
        self.findings = []      # what an autopsy found
        self.said = None        # how much it had said before that

    # -- making it -------------------------------------------------------
    def add(self, *words):
        self.argv += [str(word) for word in words]

    def add_job(self, script, letter):
        with open(self.base + ".job", "wb") as f:
            text = PREAMBLE.format(job=f"vd{letter}") + script + POSTAMBLE
            data = text.encode()
            assert len(data) < LOG_OFFSET
            # Not NULs: the guest's shell reads it as it is.
            f.write(data + b"\n" * (LOG_OFFSET - len(data)))
            f.truncate(JOB_BYTES)
        self.job = Disk(self.base + ".job", serial="job")
        self.add("--disk", self.job.argument())
        return f'vmm.exec="sh /dev/vd{letter}"'

    def add_api(self):
        """A control socket, for the autopsy if for nothing else."""
        # Not beside the logs: a socket's path is short and local.
        self.api = tempfile.mkdtemp(prefix="vmm-api.")
        self.add("--api-socket", os.path.join(self.api, "socket"),
                 "--event-monitor", "path=" + os.path.join(self.api, "events"))

    # -- its life --------------------------------------------------------
    def start(self, mode="pipe"):
        """mode: stdin and stdout are a "pipe" whose output is recorded, a
        "terminal", or a "blocked" pipe that nobody reads."""
        self.add_api()
        with open(self.base + ".command", "w", encoding="utf-8") as f:
            f.write(shlex.join(self.argv) + "\n")
        how = {"stdin": subprocess.DEVNULL}
        child_fds = []
        if mode == "terminal":
            self.terminal, slave = pty.openpty()
            child_fds = [slave]
            self.fds = [self.terminal]
            how = {"stdin": slave, "stdout": slave,
                   "start_new_session": True,
                   "preexec_fn": lambda: fcntl.ioctl(
                       0, termios.TIOCSCTTY, 0)}
            out = self.terminal
        else:
            out, write = os.pipe()
            child_fds = [write]
            self.fds = [out]
            how["stdout"] = write
            if mode == "blocked":
                fcntl.fcntl(write, fcntl.F_SETPIPE_SZ, 4096)
        err, write = os.pipe()
        child_fds.append(write)
        self.fds.append(err)
        self.process = subprocess.Popen(self.argv, stderr=write, **how)
        for fd in child_fds:
            os.close(fd)
        if mode != "blocked":
            self.console = Stream(out, self.base + ".console")
        self.errors = Stream(err, self.base + ".stderr")
        return self

    def start_shell(self):
        """As a guest whose script is SHELL, to its first prompt."""
        self.start("terminal")
        self.wait("^T: ready")
        self.control = control.Control(self.api)
        return self

    def type(self, text):
        os.write(self.terminal, text.encode())

    def do(self, line, seconds=None):
        """Has the guest's shell run a line, and gives what it printed."""
        start = len(self.text())
        self.turn += 1
        self.type(line + "\n")
        self.wait(f"^T: done {self.turn}$", seconds, start)
        return self.text()[start:]

    def restarted(self, start):
        """It boots again, after the text up to start: it counts anew."""
        self.wait("^T: ready", start=start)
        self.turn = 0

    def wait(self, pattern, seconds=None, start=0):
        return self.console.wait(pattern, seconds or self.seconds, start)

    def end(self, seconds=None):
        """Waits for its end and gives its exit status."""
        seconds = seconds or self.seconds
        try:
            self.process.wait(seconds)
        except subprocess.TimeoutExpired:
            raise Late(f"vmm did not end in {seconds:.0f} s") from None
        for stream in (self.console, self.errors):
            if stream:
                stream.thread.join(5)
        return self.process.returncode

    def signal(self, number):
        self.process.send_signal(number)

    def stop(self):
        """Whatever state it is in: gone after this."""
        if self.process and self.process.poll() is None:
            self.process.send_signal(signal.SIGKILL)
            self.process.wait(30)
        for stream in (self.console, self.errors):
            if stream:
                stream.thread.join(5)
        for fd in self.fds:
            os.close(fd)
        self.fds = []
        if self.control:
            self.control.close()
        if self.api:
            shutil.rmtree(self.api, ignore_errors=True)

    # -- what it left ----------------------------------------------------
    def text(self):
        return self.console.text() if self.console else ""

    def facts(self, key):
        return re.findall(rf"^T: {re.escape(key)}(?: (.*))?$", self.text(),
                          re.M)

    def fact(self, key):
        values = self.facts(key)
        return values[-1] if values else None

    def log(self):
        """The guest kernel's log, as (level, text)."""
        data = self.job.read(offset=LOG_OFFSET).rstrip(b"\0")
        lines = data.decode(errors="replace").splitlines()
        return [(int(match[1]) & 7, match[2]) for match in
                (re.match(r"<(\d+)>(.*)", line) for line in lines) if match]

    def rss_mib(self):
        """Memory of the process that is in RAM."""
        with open(f"/proc/{self.process.pid}/status", encoding="ascii") as f:
            return int(re.search(r"VmRSS:\s+(\d+)", f.read())[1]) >> 10

    def nr_fds(self):
        return len(os.listdir(f"/proc/{self.process.pid}/fd"))

    def vcpu_threads(self):
        base = f"/proc/{self.process.pid}/task"
        return sorted(name for name in (autopsy.read(f"{base}/{task}/comm") for
                                        task in os.listdir(base))
                      if name.startswith("vcpu"))

    def cpu_ticks(self):
        """Time that all threads together have run, in clock ticks."""
        fields = autopsy.read(f"/proc/{self.process.pid}/stat").split()
        return int(fields[13]) + int(fields[14])

    def examine(self):
        """While it still runs: says why it may be silent, in a log in full."""
        try:
            if self.process:
                self.process.wait(1)
            return
        except subprocess.TimeoutExpired:
            pass
        api = os.path.join(self.api, "socket")
        self.said = len(self.text())
        lines = autopsy.report(self.process.pid, api)
        lines += autopsy.shake(api)
        lines += [f"guest: {line}"
                  for line in self.text()[self.said:].splitlines()]
        with open(self.base + ".autopsy", "w", encoding="utf-8") as f:
            f.writelines(line + "\n" for line in lines)
        self.findings = autopsy.bounded(lines)

    def broke_early(self):
        """The guest's kernel crashed before it had any userspace, or its init, which
        is as well tried, got a signal as for an instruction that cannot be."""
        text = self.text()[:self.said]
        return bool(USERSPACE not in text and CRASH.search(text) or
                    INIT_KILLED.search(text))
