# SPDX-License-Identifier: Apache-2.0
"""The jail, as the host sees it from outside: of root, and of a user. What a
machine needs comes by descriptor."""

import contextlib
import functools
import os
import re
import shutil
import signal
import subprocess
import tempfile
import time

import network
from cases import MIB, check, check_chain

# One who may use /dev/kvm, without a group here that owns it: a node of its own,
# in a namespace where nobody else sees it.
AS_USER = """
mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs "$1" && mknod "$1/kvm" c $2 &&
chmod 666 "$1/kvm" && mount --bind "$1/kvm" /dev/kvm || exit 77
shift 2
exec setpriv --reuid 1000 --regid 1000 --clear-groups "$@"
"""
# Of whom nobody can look at the memory, leaks cannot be searched.
ENVIRONMENT = {**os.environ, "ASAN_OPTIONS": "detect_leaks=0"}
SPACES = ("user", "mnt", "ipc", "uts", "net", "pid")


def allowed(what, argv):
    """What --check-host says of it."""
    said = subprocess.run([*argv, "--check-host"], stdin=subprocess.DEVNULL, env=ENVIRONMENT,
                          capture_output=True, text=True, timeout=60, check=False).stdout
    (word,) = re.findall(rf"^{what} +(ok|no) ", said, re.M)
    return word == "ok"


def jails(test):
    """For root, on a host that lets it have a jail."""
    @functools.wraps(test)
    def run(context):
        if os.geteuid() == 0 and allowed("jail", [context.program]):
            test(context)
        else:
            print(f"# {test.__name__}: no jail here")
    return run


def users(context):
    """May a user have a jail? In a chroot, say, nobody makes user namespaces."""
    with tempfile.TemporaryDirectory(prefix="vmm-jail-") as base:
        may = allowed("user namespaces",
                      [*words_of_user(base), program_for_all(context, base)])
    if not may:
        print("# no jail of a user here")
    return may


def words_of_user(base):
    private = os.path.join(base, "private")
    os.mkdir(private)
    node = os.stat("/dev/kvm").st_rdev
    return ["unshare", "-m", "sh", "-c", AS_USER, "sh", private,
            f"{os.major(node)} {os.minor(node)}"]


def program_for_all(context, base):
    """Where another user can come."""
    os.chmod(base, 0o777)
    return shutil.copy(context.program, base)


class Jailed:
    """A monitor in a jail, its control socket, and the process that is inside."""

    def __init__(self, context, words="", user=False, more=()):
        self.stack = contextlib.ExitStack()
        base = self.stack.enter_context(tempfile.TemporaryDirectory(prefix="vmm-jail-"))
        path = os.path.join(base, "api.sock")
        program = program_for_all(context, base)
        argv = [program, "--api-socket", path, *more, *(["--jail", words] if words
                                                        else ["--jail"])]
        if user:
            argv = words_of_user(base) + argv
        self.context = context
        self.base = base
        try:
            wrapped = _Program(context, argv[0])
            self.monitor = self.stack.enter_context(
                wrapped.monitor(*argv[1:], path=path, env=ENVIRONMENT))
            self.client = self.stack.enter_context(context.client(self.monitor))
            # Its socket is there before it is in the jail.
            check(self.client.request("GET", "vmm.ping"), 200)
        except BaseException:
            self.stack.close()
            raise
        self.outside = self.monitor.process.pid
        self.pid = only_child(self.outside) if "pid=on" in words else self.outside

    def __enter__(self):
        return self

    def __exit__(self, *error):
        return self.stack.__exit__(*error)

    def boot(self, **more):
        fds = []
        with open(self.context.guest, "rb") as kernel, \
                open(self.context.disk.name, "r+b") as disk:
            config = self.context.config(payload={"kernel_fd": 0}, disks=[{"fd": 1}])
            fds = [kernel.fileno(), disk.fileno()]
            check(self.client.request("PUT", "vm.create", {**config, **more}, fds), 204)
        check(self.client.request("PUT", "vm.boot"), 204)

    def proc(self, name):
        with open(f"/proc/{self.pid}/{name}", encoding="ascii") as f:
            return f.read()

    def tasks(self):
        """What the kernel says of each thread."""
        folder = f"/proc/{self.pid}/task"
        return [status_of(f"{folder}/{task}/status") for task in os.listdir(folder)]

    def limit(self, name):
        line = next(li for li in self.proc("limits").splitlines() if li.startswith(name))
        return line[len(name):].split()[:2]

    def own_spaces(self):
        return {s for s in SPACES if os.readlink(f"/proc/{self.pid}/ns/{s}") !=
                os.readlink(f"/proc/self/ns/{s}")}


class _Program:
    """A context whose monitor is another program."""

    def __init__(self, context, program):
        self.context = context
        self.program = program

    def monitor(self, *arguments, **popen):
        return type(self.context).monitor(self, *arguments, **popen)


def status_of(path):
    with open(path, encoding="ascii") as f:
        return dict(line.rstrip("\n").split(":\t", 1) for line in f if ":\t" in line)


def only_child(pid):
    with open(f"/proc/{pid}/task/{pid}/children", encoding="ascii") as f:
        children = f.read().split()
    assert len(children) == 1, children
    return int(children[0])


def check_jail(jailed, uid, shared=()):
    """What holds in every jail."""
    root = f"/proc/{jailed.pid}/root"
    assert os.listdir(root) == [], os.listdir(root)
    assert os.statvfs(root).f_flag & os.ST_RDONLY
    try:
        os.mkdir(f"{root}/new")
        raise AssertionError("the root can be written to")
    except OSError:
        pass
    mounts = jailed.proc("mountinfo").splitlines()
    assert len(mounts) == 1 and " / / ro,nosuid,nodev,noexec," in mounts[0], mounts
    assert {"mnt", "ipc", "uts"} <= jailed.own_spaces(), jailed.own_spaces()
    for task in jailed.tasks():
        name = task["Name"]
        assert task["Uid"].split() == [str(uid)] * 4, (name, task["Uid"])
        assert task["NoNewPrivs"] == "1", name
        for kind in ("CapInh", "CapPrm", "CapEff", "CapAmb"):
            assert int(task[kind], 16) == 0, (name, kind, task[kind])
    assert jailed.limit("Max core file size") == ["0", "0"]
    check_descriptors(jailed, shared)
    # Not of the user: nobody but root looks into it.
    assert os.stat(f"/proc/{jailed.pid}/fd").st_uid == 0


def check_descriptors(jailed, shared=()):
    """Nothing is above a directory that is open and not shared."""
    folder = f"/proc/{jailed.pid}/fd"
    for fd in os.listdir(folder):
        assert os.readlink(f"{folder}/{fd}") in shared or not os.path.isdir(f"{folder}/{fd}") or \
            os.path.samefile(f"{folder}/{fd}", f"{folder}/{fd}/.."), os.readlink(f"{folder}/{fd}")


def end_by_signal(jailed):
    jailed.monitor.process.send_signal(signal.SIGTERM)
    assert jailed.monitor.process.wait(20) == 0, jailed.monitor.errors()


@jails
def test_jail(context):
    with Jailed(context) as jailed:
        check_jail(jailed, os.geteuid())
        jailed.boot()
        check_jail(jailed, os.geteuid())
        with open(jailed.monitor.file("more", MIB), "r+b") as disk:
            check(jailed.client.request("PUT", "vm.add-disk", {"fd": 0, "id": "more"},
                                        [disk.fileno()]), 200)
        check_jail(jailed, os.geteuid())
        end_by_signal(jailed)


@jails
def test_jail_by_paths(context):
    """The opener stays outside, and opens what its user may."""
    with tempfile.TemporaryDirectory(prefix="vmm-jail-") as base:
        kernel = shutil.copy(context.guest, base)
        os.chmod(base, 0o755)
        os.chmod(kernel, 0o644)
        for name, owner in (("own", 1234), ("other", 0)):
            with open(os.path.join(base, name), "wb") as f:
                f.truncate(MIB)
            os.chmod(f.name, 0o600)
            os.chown(f.name, owner, -1)
        more = ["--kernel", kernel, "--serial", "off", "--memory", "64M",
                "--disk", f"path={base}/own"]
        with Jailed(context, "user=1234,group=1234", more=more) as jailed:
            reply = jailed.client.request("PUT", "vm.add-disk", {"path": f"{base}/other"})
            check_chain(reply, 500, "Permission denied")
            check(jailed.client.request("PUT", "vm.add-disk",
                                        {"path": kernel, "readonly": True}), 200)
            check_jail(jailed, 1234)
            end_by_signal(jailed)


@jails
def test_jail_with_terminal(context):
    """It has a path outside alone, for a client and for the command line."""
    with Jailed(context, "user=1234,group=1234") as jailed:
        jailed.boot(serial={"mode": "Pty"})
        shown = check(jailed.client.request("GET", "vm.info"), 200).json()["config"]
        assert os.stat(shown["serial"]["file"]).st_uid == 1234
        check_jail(jailed, 1234)
        end_by_signal(jailed)
    more = ["--kernel", context.guest, "--memory", "64M", "--serial", "pty",
            "--disk", f"path={context.disk.name}"]
    with Jailed(context, more=more) as jailed:
        shown = check(jailed.client.request("GET", "vm.info"), 200).json()["config"]
        assert os.path.exists(shown["serial"]["file"])
        end_by_signal(jailed)


@jails
def test_jail_of_user(context):
    if not users(context):
        return
    with Jailed(context, user=True) as jailed:
        assert "user" in jailed.own_spaces()
        with open(f"/proc/{jailed.pid}/uid_map", encoding="ascii") as f:
            assert f.read().split() == ["1000", "1000", "1"]
        jailed.boot()
        check_jail(jailed, 1000)
        end_by_signal(jailed)


@jails
def test_jail_becomes_user(context):
    with Jailed(context, "user=1234,group=1235,nofile=512,fsize=1G,memlock=1M") as jailed:
        jailed.boot()
        check_jail(jailed, 1234)
        status = status_of(f"/proc/{jailed.pid}/status")
        assert status["Gid"].split() == ["1235"] * 4 and not status["Groups"].split(), status
        assert "user" not in jailed.own_spaces()
        assert jailed.limit("Max open files") == ["512", "512"]
        assert jailed.limit("Max file size") == [str(1 << 30)] * 2
        assert jailed.limit("Max locked memory") == [str(MIB)] * 2
        end_by_signal(jailed)


def bits(*numbers):
    return sum(1 << n for n in numbers)


# CHOWN, DAC_OVERRIDE, FOWNER, FSETID, SETGID, SETUID, MKNOD, SETFCAP; DAC_READ_SEARCH
CAPS_TO_WRITE = bits(0, 1, 3, 4, 6, 7, 27, 31)
CAPS_TO_READ = bits(2)


def capabilities(jailed, of_fs):
    """Kinds of threads, and which of them have not what they should have."""
    seen, wrong = set(), []
    for task in jailed.tasks():
        kind = task["Name"].rstrip("0123456789")
        seen.add(kind)
        has = {k: int(task["Cap" + k], 16) for k in ("Inh", "Prm", "Eff", "Bnd", "Amb")}
        permitted = of_fs if kind in ("fs", "spawn", "share") else 0
        if has != {"Inh": 0, "Prm": permitted, "Eff": of_fs if kind == "fs" else 0,
                   "Bnd": 0, "Amb": 0}:
            wrong.append((task["Name"], has))
    return seen, wrong


def check_capabilities(jailed, of_fs):
    """Of fs threads alone they are in force; those that hand them on have them. A new
    thread gives up what it may not have when it first runs."""
    jailed.monitor.wait_for(lambda: not capabilities(jailed, of_fs)[1])
    return capabilities(jailed, of_fs)[0]


@contextlib.contextmanager
def folder_of_guest():
    """With what the guest reads, without which it ends."""
    with tempfile.TemporaryDirectory(prefix="vmm-jail-") as base:
        os.mkdir(os.path.join(base, "dir"))
        yield base


@jails
def test_jail_with_share(context):
    user = context.other_guest("fsbench")
    for words, caps in (("", CAPS_TO_WRITE), (",readonly=on", CAPS_TO_READ),
                        (",xattr=map", CAPS_TO_WRITE & ~bits(31))):
        with folder_of_guest() as base, \
                Jailed(context, more=["--kernel", user, "--cmdline", "op=readdirplus run_ms=600000",
                                      "--serial", "off", "--memory", "64M",
                                      "--fs", f"tag=t,path={base}{words}"]) as jailed:
            jailed.monitor.wait_for(lambda j=jailed, c=caps: "fs" in capabilities(j, c)[0])
            check(jailed.client.request("PUT", "vm.add-disk",
                                        {"path": jailed.monitor.file("more", MIB)}), 200)
            assert check_capabilities(jailed, caps) >= {"fs", "spawn"}
            # What another share would need is not there any more.
            reply = jailed.client.request("PUT", "vm.add-fs",
                                          {"tag": "more", "path": base, "readonly": True})
            if caps == CAPS_TO_READ:
                check(reply, 200)
            else:
                check_chain(reply, 500, "--jail shares=on")
            check_chain(jailed.client.request("PUT", "vm.add-fs", {
                "tag": "clone", "path": base, "mounts": "frozen",
                "readonly": caps == CAPS_TO_READ}), 500, "mounts=frozen")


@jails
def test_jail_with_shares_later(context):
    with tempfile.TemporaryDirectory(prefix="vmm-jail-") as base:
        for seccomp in ("true", "false"):
            with Jailed(context, "shares=on", more=["--seccomp", seccomp]) as jailed:
                jailed.boot()
                assert "fs" not in check_capabilities(jailed, CAPS_TO_WRITE | CAPS_TO_READ)
                check(jailed.client.request("PUT", "vm.add-fs", {"tag": "t", "path": base}), 200)
        if not users(context):
            return
        # A user has what is its own.
        with Jailed(context, user=True) as jailed:
            jailed.boot()
            os.chmod(base, 0o755)
            check(jailed.client.request("PUT", "vm.add-fs", {"tag": "t", "path": base}), 200)
            check_jail(jailed, 1000, (base,))


def check_outside(jailed):
    status = status_of(f"/proc/{jailed.outside}/status")
    assert int(status["CapPrm"], 16) == 0 and status["NoNewPrivs"] == "1", status
    assert os.listdir(f"/proc/{jailed.outside}/fd") == []
    with open(f"/proc/{jailed.outside}/smaps_rollup", encoding="ascii") as f:
        kib = sum(int(line.split()[1]) for line in f if line.startswith("Private_"))
    assert jailed.context.sanitized or kib <= 64, kib


@jails
def test_jail_with_spaces(context):
    for user in (False, True) if users(context) else (False,):
        with Jailed(context, "newnet=on,pid=on", user=user) as jailed:
            jailed.boot()
            check_jail(jailed, 1000 if user else os.geteuid())
            assert {"net", "pid"} <= jailed.own_spaces(), jailed.own_spaces()
            check_outside(jailed)
            assert check(jailed.client.request("GET", "vmm.ping"), 200).json()["pid"] == jailed.pid
            end_by_signal(jailed)


@jails
def test_jail_has_networks_made(context):
    """Where vmm was started, and the opener still is; they go with the machine."""
    with network.namespace() as good:
        if not good:
            return
        before = network.links()
        for kill in (False, True):
            with Jailed(context, "newnet=on") as jailed:
                jailed.boot()
                check(jailed.client.request("PUT", "vm.add-net", {"tap": "jail0"}), 200)
                assert network.links() == before | {"jail0"}
                if kill:
                    jailed.monitor.process.kill()
                else:
                    check(jailed.client.request("PUT", "vmm.shutdown"), 200)
                assert jailed.monitor.process.wait(20) == (-signal.SIGKILL if kill else 0)
                jailed.monitor.wait_for(lambda: network.links() == before)


def test_jail_ends_as_it_was_told(context):
    """The process outside says how the one inside has ended, and does not outlive it."""
    with Jailed(context, "pid=on") as jailed:
        jailed.boot()
        os.kill(jailed.pid, signal.SIGKILL)
        assert jailed.monitor.process.wait(20) == -signal.SIGKILL
    with Jailed(context, "pid=on") as jailed:
        jailed.boot()
        with open(f"/proc/{jailed.pid}/status", "rb") as inside:
            jailed.monitor.process.kill()
            jailed.monitor.process.wait()
            jailed.monitor.wait_for(lambda: gone(inside))
    with Jailed(context, "pid=on") as jailed:
        jailed.boot()
        check(jailed.client.request("PUT", "vmm.shutdown"), 200)
        assert jailed.monitor.process.wait(20) == 0


def gone(status):
    """The process that the file is of has ended."""
    try:
        status.seek(0)
        return b"State:\tZ" in status.read()
    except ProcessLookupError:
        return True


def refuse(context, words, *texts, user=False):
    with tempfile.TemporaryDirectory(prefix="vmm-jail-") as base:
        argv = [program_for_all(context, base), "--api-socket", os.path.join(base, "api.sock"),
                "--jail", words]
        done = subprocess.run((words_of_user(base) if user else []) + argv, env=ENVIRONMENT,
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=60, check=False)
    assert done.returncode == 1, (words, done)
    for text in ("vmm: --jail", *texts):
        assert text in done.stderr, (text, done.stderr)


@jails
def test_jail_in_control_group(context):
    """Where there is one that can be joined, both processes are in it."""
    with open("/proc/mounts", encoding="utf-8") as f:
        mounts = [line.split() for line in f]
    found = [m[1] for m in mounts if m[2] == "cgroup2"]
    group = os.path.join(found[0], f"vmm-jail-{os.getpid()}") if found else None
    try:
        os.mkdir(group or "")
    except OSError:
        return
    try:
        with Jailed(context, f"cgroup={group},pid=on") as jailed:
            with open(f"{group}/cgroup.procs", encoding="ascii") as f:
                assert {jailed.pid, jailed.outside} <= {int(pid) for pid in f.read().split()}
            end_by_signal(jailed)
    finally:
        wait_empty(group)
        os.rmdir(group)


def wait_empty(group):
    """The last process of it has gone, and not only ended."""
    end = time.monotonic() + 20
    while time.monotonic() < end:
        with open(f"{group}/cgroup.procs", encoding="ascii") as f:
            if not f.read():
                return
        time.sleep(0.01)


@jails
def test_jail_that_cannot_be(context):
    refuse(context, "user=nobody-knows", "user=nobody-knows", "/etc/passwd")
    refuse(context, "group=nobody-knows", "group=nobody-knows", "/etc/group")
    refuse(context, "user=123456", "user=123456", "add group=")
    refuse(context, "cgroup=/nowhere", "cgroup=/nowhere", "No such file", "control group")
    refuse(context, "newnet=maybe", "newnet=maybe")
    refuse(context, "nofile=1000000000", "nofile=1000000000", "give no more")
    refuse(context, "user=1234,group=1234", "only root", user=True)
    refuse(context, "shares=on,user=1234,group=1234", "shares=on", "stays root")
    refuse(context, "shares=on", "shares=on", "stays root", user=True)
    refuse(context, "pid=on,user=1234,group=1234", "only root", user=True)


def test_core_scheduling(context):
    """What cannot be had is an error; what follows from the host alone is not."""
    with context.monitor() as monitor, context.client(monitor) as client:
        check(client.request("PUT", "vm.create", context.config(
            cpus={"boot_vcpus": 2, "max_vcpus": 2, "core_scheduling": "Vcpu"})), 204)
        reply = client.request("PUT", "vm.boot")
        if reply.status != 204:
            check_chain(reply, 500, "core_scheduling=vcpu")
        check(client.request("PUT", "vm.delete"), 204)
        check_chain(client.request("PUT", "vm.create", context.config(
            cpus={"boot_vcpus": 1, "core_scheduling": "core"})), 400, "core_scheduling")
        check(client.request("PUT", "vm.create", context.config()), 204)
        cpus = client.request("GET", "vm.info").json()["config"]["cpus"]
        assert cpus["core_scheduling"] == "Auto" and cpus["nested"] is False, cpus
        check(client.request("PUT", "vm.boot"), 204)
