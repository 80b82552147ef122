# SPDX-License-Identifier: Apache-2.0
"""Lives of a monitor in which one system call fails, each of them once: it boots with
all devices, plugs and unplugs them, or reboots. It ends in order, in time, and when it
could not do something it says so.

strace counts calls for each thread: number N of a name fails in every thread that has
so many of them. It makes call number -1 of one that is to fail, which a filter ends the
process for: there is none."""

import collections
import contextlib
import os
import random
import re
import select
import shutil
import signal
import subprocess
import time

from machine import GoProfile, MIB, Skipped, check, environment, small_disk

# What a host can answer, by chance: one for each call.
ERRORS = ("ENOMEM", "EIO", "EPERM", "ENOSYS")
# Nothing comes of these, or there is nobody left to tell.
NEVER_FAIL = {"exit", "exit_group", "rt_sigreturn", "brk", "execve", "arch_prctl",
              "restart_syscall", "set_robust_list", "rseq", "futex", "sched_yield",
              "getppid", "shutdown",
              # no host refuses these, and the C library does not ask
              "rt_sigprocmask", "rt_sigaction", "getpid", "gettid", "getuid", "geteuid",
              "getgid", "getegid", "munmap", "close", "tgkill", "set_tid_address", "uname",
              "clock_gettime", "clock_nanosleep", "sched_getaffinity", "epoll_wait",
              "epoll_pwait", "epoll_pwait2", "madvise", "mprotect",
              # most are wake-ups of other threads by eventfds, and changes of what is
              # watched: no host refuses these
              "write", "epoll_ctl"}
# Sanitizers make these, too, and end when they fail.
SANITIZERS = {"mmap", "prlimit64", "readlink", "getrandom", "sigaltstack"}
NO_LEAKS = "LeakSanitizer does not work under ptrace"
MOST = 60           # of a name, in a thread
IN_TIME = 30
TAPS = ("l0", "l1")
GUEST_SPEAKS = 4    # seconds; then something has failed


# What a life may leave in its directory; a socket that it cannot find out about, or
# lock, may be another's by now.
LEFT = {"share", "d0", "x0", "log", "trace", "events"}
MAY_LEAVE = {"newfstatat", "fstat", "stat", "lstat", "flock", "unlink"}


class Wreck(Exception):
    """How a life ended that should not have ended so."""


def signal_children(parent, number):
    with contextlib.suppress(OSError):
        with open(f"/proc/{parent}/task/{parent}/children", encoding="ascii") as f:
            for child in f.read().split():
                os.kill(int(child), number)


class Life:
    def __init__(self, args, folder):
        self.args = args
        self.folder = folder

    def argv(self):
        path = self.folder + "/"
        return [self.args.vmm, "--kernel", self.args.guest, "--memory", "64M,hotplug_size=128M",
                "--cpus", "1,max=2", "--api-socket", path + "api",
                "--event-monitor", "path=" + path + "events",
                "--disk", f"path={path}d0,id=d0", "--net", "tap=l0,id=n0,ip=192.0.2.1",
                "--vsock", f"cid=3,socket={path}v,id=v0",
                "--fs", f"tag=f0,path={path}share,id=f0,dax=4M", "--seccomp", "false"]

    def live(self, life, strace, call=None):
        """Its exit status and what it said. call: the one that fails."""
        with contextlib.suppress(FileNotFoundError):
            os.unlink(self.folder + "/api")
        log = open(self.folder + "/log", "wb")
        process = subprocess.Popen(strace + self.argv(), stdin=subprocess.PIPE,
                                   stdout=subprocess.PIPE, stderr=log,
                                   env={**environment(), "LSAN_OPTIONS": "detect_leaks=0"})
        killer = None
        try:
            LIVES[life](self, process)
            process.stdin.close()
            process.wait(IN_TIME)
        except (subprocess.TimeoutExpired, TimeoutError) as why:
            killer = why
        finally:
            if process.poll() is None:
                # strace ends with what it traces
                signal_children(process.pid, signal.SIGKILL)
                process.kill()
            process.wait()
            process.stdout.close()
            log.close()
        with open(self.folder + "/log", encoding="utf-8", errors="replace") as f:
            said = f.read()
        if killer:
            raise Wreck(f"it does not end: {killer}; {said[-500:]}")
        if process.returncode < 0 or process.returncode in (128 + signal.SIGSEGV,
                                                            128 + signal.SIGABRT):
            raise Wreck(f"signal {process.returncode}: {said[-1500:]}")
        # A sanitizer reads its options itself; without them it looks for leaks at the end.
        if "runtime error" in said or ("Sanitizer" in said and NO_LEAKS not in said):
            raise Wreck(said[-3000:])
        left = set(os.listdir(self.folder)) - LEFT
        with open("/proc/self/net/dev", encoding="ascii") as f:
            interfaces = f.read()
        left |= {name for name in TAPS if f"{name}:" in interfaces}
        if left and call not in MAY_LEAVE:
            raise Wreck(f"left behind: {left}; {said[-500:]}")
        return process.returncode, said

    # -- the three lives
    def tell(self, process, command):
        """When the guest listens; False: it does not."""
        said = b""
        end = time.monotonic() + GUEST_SPEAKS
        while b"READY" not in said:
            left = end - time.monotonic()
            if left <= 0 or not select.select([process.stdout], [], [], left)[0]:
                return False
            chunk = os.read(process.stdout.fileno(), 4096)
            if not chunk:
                return False
            said += chunk
        with contextlib.suppress(BrokenPipeError):
            process.stdin.write(b"cmd=" + command + b"\n")
            process.stdin.flush()
        return True

    def end(self, process):
        """A guest that does not, is ended: the console may be what has failed."""
        with contextlib.suppress(subprocess.TimeoutExpired):
            process.wait(GUEST_SPEAKS)
            return
        signal_children(process.pid, signal.SIGTERM)

    def boot(self, process):
        self.tell(process, b"off")
        self.end(process)

    def reboot(self, process):
        self.tell(process, b"reset")
        self.tell(process, b"off")
        self.end(process)

    def plug(self, process):
        path = self.folder + "/"
        end = time.monotonic() + IN_TIME
        while not os.path.exists(path + "api"):
            if process.poll() is not None:
                return
            if time.monotonic() > end:
                raise TimeoutError("no control socket")
            time.sleep(0.01)
        with contextlib.suppress(EOFError, ConnectionError, FileNotFoundError):
            client = GoProfile(path + "api")
            client.wire.socket.settimeout(IN_TIME)
            for request in (
                    ("vm.add-disk", {"path": path + "x0", "id": "x"}),
                    ("vm.add-net", {"tap": "l1", "id": "y"}),
                    ("vm.add-fs", {"tag": "z", "path": path + "share", "id": "z"}),
                    ("vm.remove-device", {"id": "v0", "force": True}),
                    ("vm.add-vsock", {"cid": 4, "socket": path + "w", "id": "w"}),
                    ("vm.resize", {"desired_vcpus": 2, "desired_ram": 192 * MIB}),
                    ("vm.pause",), ("vm.resume",),
                    ("vm.remove-device", {"id": "x", "force": True}),
                    ("vm.remove-device", {"id": "y", "force": True}),
                    ("vm.remove-device", {"id": "z", "force": True}),
                    ("vm.shutdown",), ("vm.boot",), ("vmm.shutdown",)):
                reply = client.request("PUT", *request)
                if reply.status >= 300 and not reply.body:
                    raise Wreck(f"{request[0]} is refused without a word")
        self.end(process)


LIVES = {"boot": Life.boot, "plug": Life.plug, "reboot": Life.reboot}


def count_calls(life, name):
    """Names and numbers of calls that may fail."""
    with open(life.args.vmm, "rb") as f:
        never = NEVER_FAIL | (SANITIZERS if b"libasan" in f.read() else set())
    trace = life.folder + "/trace"
    status, said = life.live(name, ["strace", "-f", "-qq", "-o", trace])
    check(status == 0, "a life without failures ends with", status, said)
    seen = collections.Counter()
    cases = set()
    with open(trace, encoding="utf-8", errors="replace") as f:
        for match in filter(None, (re.match(r"(\d+) +(\w+)\(", line) for line in f)):
            thread, call = match.groups()
            seen[thread, call] += 1
            if call not in never and seen[thread, call] <= MOST:
                cases.add((call, seen[thread, call]))
    return sorted(cases)


def fresh(folder):
    for name in os.listdir(folder):
        path = os.path.join(folder, name)
        if os.path.isdir(path):
            shutil.rmtree(path)
        else:
            os.unlink(path)
    os.mkdir(folder + "/share")
    for name in ("d0", "x0"):
        with open(f"{folder}/{name}", "wb") as f:
            f.truncate(MIB)


def need_strace():
    try:
        tried = subprocess.run(["strace", "-f", "-qq", "-o", "/dev/null", "true"],
                               capture_output=True, text=True, check=False)
    except FileNotFoundError:
        raise Skipped("no strace") from None
    if tried.returncode:
        raise Skipped("strace: " + tried.stderr.strip())


def lives(args):
    """Each call of each life, in any order, as far as the time goes."""
    need_strace()
    rand = random.Random(args.seed)
    wrecks = []
    end = time.monotonic() + args.seconds
    with small_disk(64) as folder:
        life = Life(args, folder)
        cases = []
        for name in LIVES:
            fresh(folder)
            cases += [(name, *case) for case in count_calls(life, name)]
        rand.shuffle(cases)
        nr = silent = 0
        for name, call, n in cases:
            if time.monotonic() > end:
                break
            nr += 1
            error = rand.choice(ERRORS)
            fresh(folder)
            what = f"{name}: {call} number {n} fails with {error}"
            try:
                status, said = life.live(name, [
                    "strace", "-f", "-qq", "-o", "/dev/null", "-e", f"trace={call}",
                    "-e", f"inject={call}:error={error}:when={n}"], call)
                if status and not said.strip():
                    raise Wreck(f"exit status {status} without a word")
                silent += not status and not said.strip()
                if args.verbose:
                    print(f"# {what}: {status}, {said.strip().splitlines()[-1:]}", flush=True)
            except Wreck as why:
                wrecks.append(what)
                print(f"# {what}: {why}", flush=True)
    print(f"# {nr} lives of {len(cases)}, {silent} of them as if nothing had been")
    check(not wrecks, len(wrecks), "lives ended badly:", *wrecks[:5])
