# SPDX-License-Identifier: Apache-2.0
"""What a program does outside of a directory, as others than it tell: the host's
kernel says what is made, removed, moved and changed on its file systems (fanotify),
and strace what is opened."""

import ctypes
import errno
import os
import re
import struct
import subprocess
import sys
import time

LIBC = ctypes.CDLL(None, use_errno=True)


class Missing(Exception):
    """This machine has no way to watch."""


def call(function, *args):
    r = function(*args)
    if r < 0:
        raise OSError(ctypes.get_errno(), os.strerror(ctypes.get_errno()))
    return r


# ---- what is changed: fanotify(7) ----

FAN_NONBLOCK, FAN_CLOEXEC, FAN_UNLIMITED_QUEUE = 0x2, 0x1, 0x10
# The object, the directory and the name, and what was made.
FAN_REPORT_ALL = 0x200 | 0x400 | 0x800 | 0x1000
FAN_MARK_ADD, FAN_MARK_FILESYSTEM = 0x1, 0x100
EVENTS = {"modify": 0x2, "attributes": 0x4, "moved from": 0x40, "moved to": 0x80,
          "create": 0x100, "delete": 0x200}
FAN_ONDIR, FAN_Q_OVERFLOW = 0x40000000, 0x4000
OF_OBJECT, OF_NAME = 1, 2
AT_FDCWD = -100


def handle_of(path):
    """What the kernel calls this file in an event: file system and handle."""
    size = 128
    buffer = ctypes.create_string_buffer(struct.pack("Ii", size, 0), 8 + size)
    call(LIBC.name_to_handle_at, AT_FDCWD, os.fsencode(path), buffer,
         ctypes.byref(ctypes.c_int()), 0)
    length, kind = struct.unpack_from("Ii", buffer)
    system = os.statvfs(os.path.dirname(path) if os.path.islink(path) else path).f_fsid
    return struct.pack("Q", system), kind, buffer.raw[8:8 + length]


def open_handle(fd, handle):
    _, kind, data = handle
    buffer = ctypes.create_string_buffer(struct.pack("Ii", len(data), kind) + data)
    return call(LIBC.open_by_handle_at, fd, buffer, os.O_RDONLY | os.O_NONBLOCK)


class Watch:
    """All changes on the file systems of / and of a directory, from now on; but for
    one where strace leaves its record, which it begins as the process to be."""

    def __init__(self, tree, records):
        self.tree = tree
        self.records = records
        self.fd = -1

    def __enter__(self):
        try:
            self.fd = call(LIBC.fanotify_init, FAN_CLOEXEC | FAN_NONBLOCK | FAN_UNLIMITED_QUEUE |
                           FAN_REPORT_ALL, os.O_RDONLY)
            for path in {os.stat(p).st_dev: p for p in ("/", self.tree)}.values():
                call(LIBC.fanotify_mark, self.fd, FAN_MARK_ADD | FAN_MARK_FILESYSTEM,
                     ctypes.c_uint64(sum(EVENTS.values()) | FAN_ONDIR), AT_FDCWD,
                     os.fsencode(path))
            # All that is in the tree; more comes when it is made there.
            self.inside = {handle_of(self.tree), handle_of(self.records)}
            for folder, folders, files in os.walk(self.tree):
                self.inside.update(handle_of(os.path.join(folder, name))
                                   for name in folders + files)
        except OSError as why:
            self.__exit__()
            raise Missing(f"no watch of whole file systems here: {why.strerror}") from why
        return self

    def __exit__(self, *_):
        if self.fd >= 0:
            os.close(self.fd)

    def outside(self, pid):
        """What this process changed that is not in the tree: a line each."""
        lines = []
        while True:
            try:
                data = os.read(self.fd, 1 << 20)
            except BlockingIOError:
                return lines
            at = 0
            while at < len(data):
                length, mask, who = struct.unpack_from("I4xQ4xi", data, at)
                if mask & FAN_Q_OVERFLOW:
                    lines.append("events were lost")
                elif who == pid:
                    lines += self.judge(mask, data[at + 24:at + length])
                at += length

    def judge(self, mask, records):
        folder, name, thing = None, b"", None
        while records:
            kind, length = struct.unpack_from("BxH", records)
            system = records[4:12]
            size, handle_type = struct.unpack_from("Ii", records, 12)
            handle = (system, handle_type, records[20:20 + size])
            if kind == OF_NAME:
                folder, name = handle, records[20 + size:length].split(b"\0")[0]
            elif kind == OF_OBJECT:
                thing = handle
            records = records[length:]
        # What has no name any more, or was found by its handle, has no directory.
        if (folder or thing) in self.inside:
            self.inside.add(thing)
            return []
        where = self.name_of(folder or thing)
        if not folder and not where:
            return []    # a file that never had a name: of others it was seen to go
        what = ", ".join(text for text, bit in EVENTS.items() if mask & bit)
        return [f"{what}: {os.path.normpath(os.path.join(where, os.fsdecode(name)))}"]

    def name_of(self, handle):
        """"": it is gone."""
        for path in ("/", self.tree):
            mount = os.open(path, os.O_RDONLY)
            try:
                fd = open_handle(mount, handle)
            except OSError as why:
                if why.errno != errno.ESTALE:
                    raise
            else:
                path = os.readlink(f"/proc/self/fd/{fd}")
                os.close(fd)
                return path
            finally:
                os.close(mount)
        return ""


# ---- what is opened: strace(1) ----

CALLS = ("%file,open_by_handle_at,close,write,ftruncate,fchmod,fchown,fallocate,"
         "preadv2,pwritev2,getdents64")


def traced(records):
    """Words before a program's, which goes on as this process, and leaves there what
    it says as errors and strace's record. No tracer is looked for leaks by another."""
    return ["sh", "-c", 'exec "$@" 2>"$0"', os.path.join(records, "errors"),
            "env", "ASAN_OPTIONS=detect_leaks=0", "strace", "-D", "-f", "-y", "-q", "-s", "200",
            "--seccomp-bpf", "-e", "trace=" + CALLS, "-o", os.path.join(records, "trace")]


def read(records, name):
    with open(os.path.join(records, name), encoding="utf-8", errors="replace") as f:
        return f.read()


def read_trace(records, pid, seconds=20):
    """The record, when strace has seen the end."""
    deadline = time.monotonic() + seconds
    while True:
        text = read(records, "trace")
        if re.search(rf"^{pid} +\+\+\+ (exited|killed)", text, re.M):
            return text
        if time.monotonic() > deadline:
            raise Missing("strace has seen no end of the program")
        time.sleep(0.01)


def whole_calls(text):
    """(call, arguments, result), with what strace says in two pieces put together."""
    begun = {}
    for line in text.splitlines():
        pid, _, line = line.partition(" ")
        line = line.strip()
        if line.endswith("<unfinished ...>"):
            begun[pid] = line[:-len("<unfinished ...>")]
            continue
        resumed = re.match(r"<\.\.\. \w+ resumed>(.*)", line)
        if resumed:
            line = begun.pop(pid, "") + resumed[1]
        match = re.match(r"(\w+)\((.*)\) += (.*)", line)
        if match:
            yield match[1], match[2], match[3]


FD = re.compile(r"\b(\d+|AT_FDCWD)<(/[^>]*)>")
# Of the program itself: names and figures of its threads; a descriptor it has.
ITS_OWN = re.compile(r"/proc/(self|thread-self|\d+)/(task/\d+/comm|(task/\d+/)?schedstat|"
                     r"fd(/\d+)?)$")
# The first of these has words of its own in front of its path.
PATHS_OF = {"symlinkat": 1, "symlink": 1}


def opened_outside(text, tree):
    """Calls of the record that had to do with what is not in the tree, from when the
    program first wrote into a pipe, which is what it or its guest says: what it opens
    at its start is its own affair."""
    tree = os.path.realpath(tree)
    by_handle, has_begun, bad = set(), False, []

    def is_inside(path):
        path = path.removesuffix(" (deleted)")
        return path == tree or path.startswith(tree + "/") or ITS_OWN.match(path)

    for name, words, result in whole_calls(text):
        fd = re.match(r"\d+", words)
        if name == "write":
            has_begun = has_begun or "<pipe:" in words.split('"')[0]
            continue
        if not has_begun:
            continue
        if name == "close" and not (fd and fd[0] in by_handle):
            continue    # opened before
        by_handle.discard(fd and fd[0])
        made = re.match(r"\d+", result)
        if name == "open_by_handle_at" and made:
            by_handle.add(made[0])    # named where it is used: not by every strace here
        strings = re.findall(r'"((?:[^"\\]|\\.)*)"', words) if name not in (
            "preadv2", "pwritev2", "getdents64") else []
        paths = strings[PATHS_OF.get(name, 0):][:2 if "rename" in name or "link" in name else 1]
        named = [path for who, path in FD.findall(words.split('"')[0] if paths else words)
                 if who != "AT_FDCWD"]
        named += [path for _, path in FD.findall(result)]
        bad_paths = [p for p in paths if ".." in p.split("/") or
                     (p.startswith("/") and not is_inside(p)) or
                     ("/" in p and not p.startswith("/"))]
        relative_to_nothing = "AT_FDCWD<" in words and any(not p.startswith("/") for p in paths)
        if bad_paths or relative_to_nothing or not all(map(is_inside, named)):
            bad.append(f"{name}({words}) = {result}"[:200])
    return bad if has_begun else ["nothing was said"]


# ---- that they see what they are there for ----

PID = """
import os, sys
os.write(1, b"%d\\n" % os.getpid())
"""
INSIDE = """
tree = os.open(sys.argv[1], os.O_RDONLY)
fd = os.open("watched", os.O_CREAT | os.O_RDWR, dir_fd=tree)
os.write(fd, b"x")
os.mkdir("made", dir_fd=tree)
below = os.open("made", os.O_RDONLY, dir_fd=tree)
os.rename("watched", "moved", src_dir_fd=tree, dst_dir_fd=below)
os.chmod("moved", 0o600, dir_fd=below)
os.unlink("moved", dir_fd=below)
os.rmdir("made", dir_fd=tree)
"""
# One of them a run would do; each is looked for.
OUTSIDE = """
sys.path.insert(0, sys.argv[3])
import fs_watch
handle = fs_watch.handle_of(sys.argv[2] + "/secret")
tree = os.open(sys.argv[1], os.O_RDONLY)
os.open("../outside/secret", os.O_RDONLY, dir_fd=tree)
os.open("absolute", os.O_RDONLY, dir_fd=tree)
os.open(sys.argv[2], os.O_RDONLY)
above = os.open("..", os.O_RDONLY, dir_fd=tree)
os.close(fs_watch.open_handle(tree, handle))
os.mkdir("outside/made", dir_fd=above)
os.rename("outside/made", "outside/moved", src_dir_fd=above, dst_dir_fd=above)
os.rmdir("outside/moved", dir_fd=above)
os.symlink("../outside", "way", dir_fd=tree)
os.chmod("way", 0o700, dir_fd=tree)
os.unlink("way", dir_fd=tree)
os.truncate(sys.argv[2] + "/secret", 3)
os.link("outside/secret", "share/linked", src_dir_fd=above, dst_dir_fd=above)
os.unlink("linked", dir_fd=tree)
"""
OPENED = ("../outside/secret", '"absolute"', '/outside", O_RDONLY', '".."', "close(", "mkdir",
          "rename", "REMOVEDIR", "truncate", "share/linked")
# chmod() follows the last link, of which the record tells nothing.
CHANGED = ("create: made", "moved from: made", "moved to: moved", "delete: moved",
           "attributes: secret", "modify: secret", "attributes: outside")


def run_traced(program, share, records):
    """Its process id, when it has ended."""
    process = subprocess.run([*traced(records), sys.executable, "-B", "-c", PID + program,
                              share.path, share.outside,
                              os.path.dirname(os.path.abspath(__file__))],
                             stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, text=True,
                             timeout=60, check=False)
    if process.returncode:
        raise Missing("no strace here: " + read(records, "errors").strip()[-200:])
    return int(process.stdout.split()[0])


def prove(share, records):
    """Both see nothing where nothing is, and each of OUTSIDE. What they miss, or None."""
    with Watch(share.path, records) as watch:
        pid = run_traced(INSIDE, share, records)
        seen = watch.outside(pid) + opened_outside(read_trace(records, pid), share.path)
        if seen:
            return f"what is inside is taken for outside: {seen}"
        pid = run_traced(OUTSIDE, share, records)
        opened = opened_outside(read_trace(records, pid), share.path)
        changed = watch.outside(pid)
    missed = [want for want in OPENED if not any(want in line for line in opened)]
    missed += [want for want in CHANGED if not any(
        line.endswith("/" + want.split(": ")[1]) and want.split(":")[0] in line
        for line in changed)]
    return f"not seen: {missed} in {opened} and {changed}" if missed else None
