# SPDX-License-Identifier: Apache-2.0
"""Shared directories, and the program that hands them over in place of a
virtiofsd."""

import array
import contextlib
import os
import signal
import socket
import struct
import subprocess
import tempfile
import time

HELLO = b"vmm-fs1\0"
WAITS = "Waiting for vhost-user socket connection"


# ---- vmm-virtiofsd ----

class Daemon:
    """A vmm-virtiofsd, with the socket and the options that a shim gives it."""

    def __init__(self, context, options=(), inherited=False, shared="--shared-dir"):
        self.folder = tempfile.TemporaryDirectory(prefix="vmm-api-")
        self.path = os.path.join(self.folder.name, "fs.sock")
        self.dir = os.path.join(self.folder.name, "shared")
        self.log = os.path.join(self.folder.name, "log")
        os.mkdir(self.dir)
        program = os.path.join(os.path.dirname(context.vmmctl), "vmm-virtiofsd")
        words = [program, *(w.replace("DIR", self.dir) for w in options)]
        words += [f"{shared}={self.dir}"] if shared else []
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(open(self.log, "wb"))
            more = {}
            if inherited:
                listener = stack.enter_context(socket.socket(socket.AF_UNIX))
                listener.bind(self.path)
                listener.listen()
                words.append("--fd=3")
                # Descriptor 3 there, and the one of a listening socket.
                more = {"pass_fds": (3,), "preexec_fn": lambda n=listener.fileno():
                        os.dup2(n, 3, inheritable=True)}
            elif inherited is not None:
                words += ["--socket-path", self.path]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=log,
                                            stdout=log, **more)

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def ready(self):
        end = time.monotonic() + 20
        while WAITS not in self.said():
            assert self.process.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.01)
        return self

    def ends(self, status):
        assert self.process.wait(20) == status, (self.process.returncode, self.said())
        return self.said()

    def __enter__(self):
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        assert "Sanitizer" not in self.said(), self.said()
        self.folder.cleanup()


def hand_over(path):
    """What a monitor gets: its connection, words, and the directory's device and
    inode."""
    s = socket.socket(socket.AF_UNIX)
    s.settimeout(20)
    s.connect(path)
    s.sendall(HELLO)
    data, control, _, _ = s.recvmsg(65536, 1024)
    fds = array.array("i", control[0][2])
    assert len(fds) == 1 and data[:8] == HELLO
    assert struct.unpack("=I", data[8:12])[0] == len(data) - 12
    st = os.fstat(fds[0])
    os.close(fds[0])
    return s, data[12:].decode("ascii"), (st.st_dev, st.st_ino)


def words_of(context, *options, **more):
    with Daemon(context, options, **more) as daemon:
        connection, words, place = hand_over(daemon.ready().path)
        st = os.stat(daemon.dir)
        assert place == (st.st_dev, st.st_ino)
        assert daemon.process.poll() is None
        connection.close()
        said = daemon.ends(0)
        return dict(word.split("=", 1) for word in words.split(",")), said


PLAIN = {"cache": "auto", "readonly": "off", "writeback": "off", "xattr": "off",
         "posix_acl": "off", "locks": "off", "uidmap": "", "gidmap": ""}


def test_virtiofsd_of_shims(context):
    """As Kata's two runtimes and libvirt's older programs start one."""
    words, said = words_of(context, "--cache=auto", "--thread-pool-size=1",
                           "--announce-submounts", inherited=True)
    assert words == PLAIN, words
    assert "--thread-pool-size has no effect" in said and WAITS in said
    words, said = words_of(context, "--cache", "always", "--sandbox", "none", "--seccomp", "none",
                           "--inode-file-handles", "prefer", "--xattr")
    assert words == {**PLAIN, "cache": "always", "xattr": "on"}, words
    words, _ = words_of(context, "-f", "-o", "source=DIR,cache=none,flock,no_posix_acl",
                        "-oxattr,posix_lock,writeback,no_writeback", "-o", "sandbox=chroot",
                        shared=None)
    assert words == {**PLAIN, "cache": "never", "xattr": "on", "locks": "on"}, words


def test_virtiofsd_options(context):
    words, _ = words_of(context, "--readonly", "--cache=metadata", "--posix-acl",
                        "--uid-map=:0:100000:65536:", "--uid-map", "/70000/5/1/",
                        "--translate-gid=map:0:1000:1", "--log-level=debug")
    assert words == {**PLAIN, "readonly": "on", "cache": "never", "xattr": "on",
                     "posix_acl": "on", "uidmap": "0:100000:65536;70000:5:1",
                     "gidmap": "0:1000:1"}, words
    words, said = words_of(context, "--writeback", "--xattrmap=:map::user.virtiofs.:")
    assert words == {**PLAIN, "writeback": "on", "xattr": "map"}, words
    assert "the rules are those of xattr=map" in said
    # All that 1.13 has and we have no use for.
    _, said = words_of(context, "--allow-mmap", "--no-readdirplus", "--allow-direct-io",
                       "--modcaps=+sys_admin", "--rlimit-nofile", "1024", "--killpriv-v2",
                       "--security-label", "--preserve-noatime", "--no-announce-submounts",
                       "--migration-mode=file-handles", "--migration-on-error", "abort",
                       "--migration-verify-handles", "--migration-confirm-paths", "--tag", "x", "-d")
    assert said.count("has no effect") == 15, said


def test_virtiofsd_refuses(context):
    for options, text in ((("--cahce=auto",), "--cahce=auto: no option of virtiofsd"),
                          (("--cache=sometimes",), "--cache=sometimes"),
                          (("--cache",), "--cache=--shared-dir"),
                          (("--readonly=on",), "--readonly=on: takes no value"),
                          (("-o", "source=DIR,blah"), "blah: no option"),
                          (("-cache=auto",), "no option"), (("--",), "no option"),
                          (("auto",), "no option"), (("--fd=x",), "--fd=x"),
                          (("--fd=4",), "which socket?"),
                          (("--translate-uid=squash-guest:0:1000:5",), "--translate-uid"),
                          (("--uid-map=0:1000:5",), "--uid-map"),
                          (("--log-level=loud",), "--log-level")):
        with Daemon(context, options) as daemon:
            assert text in daemon.ends(2), (options, daemon.said())
    with Daemon(context, shared=None) as daemon:
        assert "which directory?" in daemon.ends(2)
    with Daemon(context, inherited=None) as daemon:
        assert "which socket?" in daemon.ends(2)
    with Daemon(context, ["--fd=0"], inherited=None) as daemon:
        assert "not a Unix stream socket" in daemon.ends(1)
    with Daemon(context, ["--shared-dir=/nonexistent"], shared=None) as daemon:
        assert "--shared-dir /nonexistent: No such file" in daemon.ends(1)
    with Daemon(context, ["--shared-dir=/dev/null"], shared=None) as daemon:
        assert "Not a directory" in daemon.ends(1)
    with Daemon(context, ["--print-capabilities"], inherited=None, shared=None) as daemon:
        assert '"type": "fs"' in daemon.ends(0)


def test_virtiofsd_socket(context):
    """Its file is the owner's or the group's, and goes with the hand-over; other
    clients are turned away, and the right one is served after them."""
    with Daemon(context) as daemon:
        assert os.stat(daemon.ready().path).st_mode & 0o777 == 0o600
        for words in (b"", b"\1\0\0\0\1\0\0\0\0\0\0\0", b"GET / HT", HELLO[:7]):
            with socket.socket(socket.AF_UNIX) as s:
                s.settimeout(20)
                s.connect(daemon.path)
                s.sendall(words)
                with contextlib.suppress(ConnectionResetError):
                    assert s.recv(1) == b""
        assert daemon.said().count("turned away") == 4
        connection, _, _ = hand_over(daemon.path)
        assert os.listdir(daemon.folder.name).count("fs.sock") == 0
        # Nothing that it says ends it, and no file system is kept busy.
        connection.sendall(b"x" * 1000)
        time.sleep(0.1)
        fds = f"/proc/{daemon.process.pid}/fd"
        names = [os.readlink(f"{fds}/{n}") for n in os.listdir(fds)]
        assert daemon.dir not in names and daemon.process.poll() is None, names
        connection.close()
        daemon.ends(0)
    with Daemon(context, ["--socket-group=nogroup"]) as daemon:
        st = os.stat(daemon.ready().path)
        assert st.st_mode & 0o777 == 0o660 and st.st_gid == 65534
        daemon.process.send_signal(signal.SIGTERM)
        daemon.ends(1)
        assert not os.path.exists(daemon.path)
    with Daemon(context, ["--socket-group=no-such-group"]) as daemon:
        assert "no such group" in daemon.ends(1)


def test_virtiofsd_memory(context):
    """It waits beside each machine."""
    with Daemon(context) as daemon:
        connection, _, _ = hand_over(daemon.ready().path)
        time.sleep(0.2)
        with open(f"/proc/{daemon.process.pid}/smaps_rollup", encoding="ascii") as f:
            sizes = dict(line.split(":") for line in f if line.count(":") == 1)
        mine = sum(int(sizes[name].split()[0]) for name in ("Private_Clean", "Private_Dirty"))
        assert context.sanitized or mine <= 200, f"{mine} KiB"
        connection.close()
        daemon.ends(0)
