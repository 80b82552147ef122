# SPDX-License-Identifier: Apache-2.0
"""Shared directories, and the program that hands them over in place of a
virtiofsd."""

import array
import contextlib
import os
import re
import signal
import socket
import struct
import subprocess
import tempfile
import time

from cases import check, check_chain

HELLO = b"vmm-fs1\0"
WAITS = "Waiting for vhost-user socket connection"


# ---- vmm-virtiofsd ----

class Daemon:
    """A vmm-virtiofsd, with the socket and the options that a shim gives it. whole:
    these are all its words, with DIR and SOCKET in the place of paths."""

    def __init__(self, context, options=(), inherited=False, shared="--shared-dir", whole=False):
        self.folder = tempfile.TemporaryDirectory(prefix="vmm-api-")
        self.path = os.path.join(self.folder.name, "fs.sock")
        self.dir = os.path.join(self.folder.name, "shared")
        self.log = os.path.join(self.folder.name, "log")
        os.mkdir(self.dir)
        program = os.path.join(os.path.dirname(context.vmmctl), "vmm-virtiofsd")
        words = [program, *(w.replace("DIR", self.dir).replace("SOCKET", self.path)
                            for w in options)]
        words += [f"{shared}={self.dir}"] if shared and not whole else []
        with contextlib.ExitStack() as stack:
            log = stack.enter_context(open(self.log, "wb"))
            more = {}
            if inherited:
                listener = stack.enter_context(socket.socket(socket.AF_UNIX))
                listener.bind(self.path)
                listener.listen()
                words += [] if whole else ["--fd=3"]
                # Descriptor 3 there, and the one of a listening socket.
                more = {"pass_fds": (3,), "preexec_fn": lambda n=listener.fileno():
                        os.dup2(n, 3, inheritable=True)}
            elif inherited is not None and not whole:
                words += ["--socket-path", self.path]
            self.process = subprocess.Popen(words, stdin=subprocess.DEVNULL, stderr=log,
                                            stdout=log, **more)

    def said(self):
        with open(self.log, encoding="utf-8") as f:
            return f.read()

    def until(self, condition):
        end = time.monotonic() + 20
        while not condition():
            assert self.process.poll() is None and time.monotonic() < end, self.said()
            time.sleep(0.01)

    def ready(self):
        self.until(lambda: WAITS in self.said())
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
        # With --syslog it says nothing here; its socket listens before it is started.
        connection, words, place = hand_over(
            daemon.path if "--syslog" in options else daemon.ready().path)
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


# Each line of options that Kata's sources make: src/runtime/virtcontainers/virtiofsd.go
# args(), with virtio_fs_extra_args of src/runtime/Makefile, --xattr where the guest has
# SELinux (qemu.go) and what the configuration's comments propose; the same of runtime-rs,
# share_virtio_fs_standalone.rs virtiofsd_args(), and agent-ctl, which adds nothing.
# (descriptor 3 listens, words, what of them is not as without any)
GO = ["--syslog", "--cache=auto", "--shared-dir=DIR", "--fd=3"]
GO_MORE = ["--thread-pool-size=1", "--announce-submounts"]
RS = ["--socket-path", "SOCKET", "--shared-dir", "DIR", "--cache", "auto"]
RS_MORE = ["--thread-pool-size=1", "-o", "announce_submounts"]
NEVER, ALWAYS, XATTR = {"cache": "never"}, {"cache": "always"}, {"xattr": "on"}


def with_cache(line, mode):
    return [word.replace("auto", mode) for word in line]


KATA = (
    (True, GO + GO_MORE, {}),
    (True, GO, {}),
    (True, with_cache(GO, "always") + GO_MORE, ALWAYS),
    (True, with_cache(GO, "metadata") + GO_MORE, NEVER),
    (True, with_cache(GO, "never") + GO_MORE, NEVER),
    (True, GO + GO_MORE + ["--xattr"], XATTR),
    (True, GO + GO_MORE + ["--log-level=debug"], {}),
    # As those before 3.2 had it.
    (True, ["--syslog", "-o", "cache=auto", "-o", "no_posix_lock", "-o", "source=DIR",
            "--fd=3", "-f", *RS_MORE], {}),
    (False, RS + RS_MORE, {}),
    (False, RS, {}),
    (False, with_cache(RS, "always") + RS_MORE, ALWAYS),
    (False, with_cache(RS, "metadata") + RS_MORE, NEVER),
    (False, with_cache(RS, "never") + RS_MORE, NEVER),
    (False, RS + RS_MORE + ["--xattr"], XATTR),
    (False, RS + ["--log-level", "debug"], {}),
)


def test_virtiofsd_of_kata(context):
    for inherited, line, differs in KATA:
        words, said = words_of(context, *line, inherited=inherited, whole=True)
        assert words == {**PLAIN, **differs}, (line, words)
        # Go reads no pipe, and the other one waits for a line of it.
        assert ("" == said) if "--syslog" in line else WAITS in said, (line, said)


def test_virtiofsd_rootless(context):
    """runtime-rs without root: the socket's name alone, in its directory, and the
    other end of stderr goes with the shim."""
    with contextlib.ExitStack() as stack:
        folder = stack.enter_context(tempfile.TemporaryDirectory(prefix="vmm-api-"))
        process = stack.enter_context(subprocess.Popen(
            [os.path.abspath(os.path.join(os.path.dirname(context.vmmctl), "vmm-virtiofsd")),
             "--socket-path", "virtiofsd.sock", "--shared-dir", folder, "--cache", "auto", *RS_MORE],
            cwd=folder, stdin=subprocess.DEVNULL, stderr=subprocess.PIPE, text=True))
        stack.callback(process.kill)
        while WAITS not in (line := process.stderr.readline()):
            assert line
        process.stderr.close()
        connection, _, _ = hand_over(os.path.join(folder, "virtiofsd.sock"))
        connection.close()
        assert process.wait(20) == 0, process.returncode


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
        daemon.until(lambda: not os.path.exists(daemon.path))
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


# ---- the device ----

def shown(client):
    return check(client.request("GET", "vm.info"), 200).json()["config"].get("fs")


def test_fs_in_create(context, profile):
    """As Kata's runtimes send it and read it back, but for the socket."""
    with context.session() as (monitor, client):
        sent = {"tag": "kataShared", "path": monitor.folder.name, "num_queues": 1,
                "queue_size": 1024, "pci_segment": 1, "id": None}
        config = context.config(fs=[sent, {"tag": "b", "path": "/", "readonly": True,
                                           "cache": "always", "uidmap": "0:100000:65536"}])
        check(client.request("PUT", "vm.create", config), 204)
        one, two = shown(client)
        assert (one["tag"], one["socket"], one["num_queues"], one["queue_size"],
                one["pci_segment"], one["id"]) == ("kataShared", "", 1, 1024, 1, "_fs1"), one
        assert (two["readonly"], two["cache"], two["uidmap"], two["num_queues"]) == \
            (True, "always", "0:100000:65536", 0), two
        check(client.request("PUT", "vm.delete"), 204)
        # What was shown can be sent again.
        check(client.request("PUT", "vm.create", context.config(fs=[one])), 204)
        assert shown(client) == [one]
        check(client.request("PUT", "vm.boot"), 204)
        for verbs in (("reboot",), ("pause", "resume"), ("shutdown", "boot")):
            for verb in verbs:
                check(client.request("PUT", "vm." + verb), 204)
        assert shown(client) == [one]
    with context.session() as (monitor, client):
        check(client.request("PUT", "vm.create", context.config(fs=[])), 204)
        assert shown(client) == []


def test_add_fs(context, profile):
    """Before boot and after it; it goes again, and leaves nothing open."""
    with context.session() as (monitor, client):
        body = {"tag": "a", "path": monitor.folder.name}
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.add-fs", body), 204)
        assert [fs["id"] for fs in shown(client)] == ["_fs1"]
        check(client.request("PUT", "vm.remove-device", {"id": "_fs1"}), 204)
        check(client.request("PUT", "vm.boot"), 204)
        before = monitor.settled_fds()
        for number in range(3):
            added = check(client.request("PUT", "vm.add-fs", body), 200).json()
            assert re.fullmatch(r"0000:00:[0-9a-f]{2}\.0", added["bdf"])
            counters = check(client.request("GET", "vm.counters"), 200).json()[added["id"]]
            assert counters["requests"] == counters["opens"] == counters["errors"] == 0
            limit = {"bandwidth": {"size": 5000000, "refill_time": 100}}
            check(client.request("PUT", "vm.set-rate-limit",
                                 {"id": added["id"], "rate_limiter_config": limit}), 204)
            have = shown(client)[0]["rate_limiter_config"]
            assert have["bandwidth"] == {**limit["bandwidth"], "one_time_burst": 0}, have
            check_chain(client.request("PUT", "vm.add-fs", {**body, "id": "x"}), 409, "tag=a")
            check(client.request("PUT", "vm.remove-device", {"id": added["id"], "force": True}),
                  204)
            monitor.wait_for(lambda: monitor.fds() == before)
        assert not shown(client)
        assert monitor.event_names().count(("vm", "device-removed")) == 3
        # The other clients here send no descriptors.
        if profile != "curl":
            folder = os.open(monitor.folder.name, os.O_RDONLY)
            check(client.request("PUT", "vm.add-fs", {"tag": "fd", "fd": 0}, [folder]), 200)
            os.close(folder)
            with tempfile.TemporaryFile() as f:
                check_chain(client.request("PUT", "vm.add-fs", {"tag": "f", "fd": 0},
                                           [f.fileno()]), 500, "directory")


def test_fs_refused(context):
    with context.session() as (monitor, client):
        path = monitor.folder.name
        bad = (({"path": path}, "tag"), ({"tag": "", "path": path}, "tag"),
               ({"tag": "x" * 37, "path": path}, "36"), ({"tag": "a"}, "path=DIRECTORY"),
               ({"tag": "a", "path": path, "socket": "/s"}, "path=DIRECTORY"),
               ({"tag": "a", "path": path, "fd": 0}, "fd"),
               ({"tag": "a", "socket": "/" + "x" * 107}, "socket"),
               ({"tag": "a", "socket": "/s", "cache": "always"}, "cache"),
               ({"tag": "a", "path": path, "cache": "sometimes"}, "auto, always, never"),
               ({"tag": "a", "path": path, "uidmap": "0:0"}, "GUEST:HOST:COUNT"),
               ({"tag": "a", "path": path, "gidmap": "0:5:2;1:9:1"}, "in common"),
               ({"tag": "a", "path": path, "num_queues": 65}, "num_queues"),
               ({"tag": "a", "path": path, "num_queues": -1}, "num_queues"),
               ({"tag": "a", "path": path, "queue_size": 1000}, "power of two"),
               ({"tag": "a", "path": path, "writeback": True, "readonly": True}, "writeback"),
               ({"tag": "a", "path": path, "posix_acl": True, "xattr": "off"}, "posix_acl"),
               ({"tag": "a", "path": path, "pci_segment": "1"}, "pci_segment"),
               ({"tag": 5, "path": path}, "tag"), ({"tag": "a", "path": [path]}, "path"))
        for body, text in bad:
            check_chain(client.request("PUT", "vm.create", context.config(fs=[body])), 400,
                        "fs", text)
        for body in ({}, "x", [3]):
            check_chain(client.request("PUT", "vm.create", context.config(fs=body)), 400, "fs")
        twice = [{"tag": "a", "path": path}] * 2
        check_chain(client.request("PUT", "vm.create", context.config(fs=twice)), 409, "tag=a")
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        for body, text in bad:
            check_chain(client.request("PUT", "vm.add-fs", body), 400, text)
        for name, text in (("/nonexistent", "No such file"), ("/dev/null", "directory")):
            check_chain(client.request("PUT", "vm.add-fs", {"tag": "a", "path": name}), 500,
                        name, text)
        assert not shown(client)


# ---- directories that are handed over ----

def test_fs_by_socket(context):
    """The whole life, from the shim's view: the program lives as long as the
    device."""
    with context.session() as (monitor, client), Daemon(context, inherited=True) as daemon:
        sent = {"tag": "kataShared", "socket": daemon.ready().path, "num_queues": 1,
                "queue_size": 1024, "pci_segment": 1}
        check(client.request("PUT", "vm.create", context.config(fs=[sent])), 204)
        assert daemon.process.poll() is None and "was given" not in daemon.said()
        check(client.request("PUT", "vm.boot"), 204)
        assert "was given to the monitor" in daemon.said()
        fs = shown(client)[0]
        assert {key: fs[key] for key in sent} == sent, fs
        check(client.request("PUT", "vm.reboot"), 204)
        assert daemon.process.poll() is None
        with Daemon(context, ["--readonly", "--cache=never", "--writeback"]) as other:
            added = check(client.request("PUT", "vm.add-fs", {
                "tag": "b", "socket": other.ready().path}), 200).json()
            check(client.request("PUT", "vm.remove-device", {"id": added["id"], "force": True}),
                  204)
            other.ends(0)
        check(client.request("PUT", "vmm.shutdown"), 200)
        daemon.ends(0)


def test_fs_of_kata(context):
    """The same with each runtime's own words, on both sides."""
    for inherited, line, more in ((True, GO + GO_MORE, {"pci_segment": 1}),
                                  (False, RS + RS_MORE, {"pci_segment": 0, "id": None})):
        with context.session() as (monitor, client), \
                Daemon(context, line, inherited=inherited, whole=True) as daemon:
            if not inherited:
                daemon.ready()
            sent = {"tag": "kataShared", "socket": daemon.path, "num_queues": 1,
                    "queue_size": 1024, **more}
            config = context.config(fs=[sent])
            config["memory"]["shared"] = True
            check(client.request("PUT", "vm.create", config), 204)
            check(client.request("PUT", "vm.boot"), 204)
            fs = shown(client)[0]
            assert (fs["tag"], fs["socket"], fs["num_queues"], fs["queue_size"]) == \
                ("kataShared", daemon.path, 1, 1024), fs
            assert daemon.process.poll() is None
            check(client.request("PUT", "vmm.shutdown"), 200)
            daemon.ends(0)


def test_fs_by_nothing(context):
    """Whatever else is at the socket: a message that says what to start, within
    seconds, and the monitor answers others meanwhile."""
    with context.session() as (monitor, client):
        path = monitor.file("fs.sock")
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        before = monitor.settled_fds()
        check_chain(client.request("PUT", "vm.add-fs", {"tag": "a", "socket": path}), 500,
                    "No such file", "vmm-virtiofsd")
        with socket.socket(socket.AF_UNIX) as s:
            s.bind(path)
            check_chain(client.request("PUT", "vm.add-fs", {"tag": "a", "socket": path}), 500,
                        "refused", "vmm-virtiofsd")
            s.listen()
            # As a virtiofsd: it waits for the rest of a header.
            with context.client(monitor) as other:
                client.send("PUT", "vm.add-fs", {"tag": "a", "socket": path})
                begun = time.monotonic()
                for _ in range(20):
                    check(other.request("GET", "vmm.ping"), 200)
                assert context.sanitized or time.monotonic() - begun < 0.9
                check_chain(client.wire.reply(), 500, "no answer within a second", "virtiofsd")
            assert time.monotonic() - begun < 10
            s.accept()[0].close()
            # Words that no --fs has, from something that speaks like ours.
            for words, text in ((b"cahce=auto", "cahce"), (b"path=/etc", "path"),
                                (b"cache=loud", "cache"), (b"readonly=on,writeback=on", "writeback"),
                                (b"\xff", "another answer")):
                client.send("PUT", "vm.add-fs", {"tag": "a", "socket": path})
                peer, _ = s.accept()
                assert peer.recv(8, socket.MSG_WAITALL) == HELLO
                folder = os.open("/", os.O_RDONLY)
                peer.sendmsg([HELLO, struct.pack("=I", len(words)), words],
                             [(socket.SOL_SOCKET, socket.SCM_RIGHTS, array.array("i", [folder]))])
                os.close(folder)
                check_chain(client.wire.reply(), 500, text)
                assert peer.recv(1) == b""
                peer.close()
        monitor.wait_for(lambda: monitor.fds() == before)
        assert not shown(client)


def test_vmmctl_fs(context):
    with context.session() as (monitor, client):
        def ctl(*words):
            return subprocess.run([os.path.abspath(context.vmmctl), "--api-socket", monitor.path, *words],
                                  cwd=monitor.folder.name, capture_output=True, text=True,
                                  timeout=60, check=False)
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        done = ctl("add-fs", "tag=a,path=.,cache=never,id=share")
        assert done.returncode == 0 and "share" in done.stdout, done
        assert os.path.samefile(shown(client)[0]["path"], monitor.folder.name)
        done = ctl("set-rate-limit", "share", "--ops_size", "500")
        assert done.returncode == 0 and \
            shown(client)[0]["rate_limiter_config"]["ops"]["size"] == 500, done
        top = ctl("top", "--once").stdout
        assert re.search(r"^SHARE .*\nshare +0( +\d+){6}$", top, re.M), top
        assert not re.search(r"^DISK .*\n(.+\n)*share", top, re.M), top
        done = ctl("add-fs", "path=.")
        assert done.returncode == 2 and "tag is missing" in done.stderr, done
        done = ctl("add-fs", "tag=b,socket=nothing")
        assert done.returncode == 1 and "vmm-virtiofsd" in done.stderr, done
