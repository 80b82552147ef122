# SPDX-License-Identifier: Apache-2.0
"""Tests of shared directories with share: what it reports, and that nothing
beside the directory was read or changed meanwhile; a device that is paused, limited
and removed while it has much to do."""

import os
import shutil
import stat
import subprocess
import tempfile
import threading
import time
from unittest import mock

import arch
import fs_watch
from net_cases import check
from net_life import Api, wait_for
from running import Running

TEXT = "what is in the file"
SECRET = "nobody of the guest's business"


class Share:
    """A directory as share wants it, and one beside it."""

    def __init__(self, run):
        self.base = os.path.join(run.tmp, "fs")
        shutil.rmtree(self.base, ignore_errors=True)
        self.path = os.path.join(self.base, "share")
        self.outside = os.path.join(self.base, "outside")
        os.makedirs(os.path.join(self.path, "dir"))
        os.mkdir(self.outside)
        self.write("file", TEXT)
        self.write("large", "x" * (1 << 20))
        self.write("../outside/secret", SECRET)
        for i in range(300):
            self.write(f"dir/f{i}", "")
        os.mkfifo(os.path.join(self.path, "fifo"))
        if os.geteuid() == 0:
            os.mknod(os.path.join(self.path, "device"), stat.S_IFCHR | 0o600,
                     os.makedev(1, 3))
        os.symlink(os.path.join(self.outside, "secret"), os.path.join(self.path, "absolute"))
        os.symlink("../outside/secret", os.path.join(self.path, "upwards"))
        self.before = self.look()

    def write(self, name, text):
        with open(os.path.join(self.path, name), "w", encoding="ascii") as f:
            f.write(text)

    def look(self):
        """All that can be seen of what is outside."""
        seen = {}
        for name in ("", "secret"):
            st = os.lstat(os.path.join(self.outside, name))
            seen[name] = (st.st_mtime_ns, st.st_ctime_ns, st.st_nlink, st.st_size, st.st_mode,
                          st.st_atime_ns if name else 0)
        seen["names"] = os.listdir(self.outside)
        seen["beside"] = sorted(os.listdir(self.base))
        return seen

    def check_outside(self):
        now = self.look()
        check(now == self.before, "the outside has changed:", self.before, now)


def judge(run, name, words="", cmdline="", more=()):
    """The guest's own tests, on a device with these options, and more of the monitor."""
    share = Share(run)
    options = f"tag=share,path={share.path},num_queues=2" + ("," + words if words else "")
    outcome = run.boot("share", f"tag=share seed={run.args.seed} {cmdline}",
                       options=["--fs", options, *more], timeout=120)
    run.judge_lines("fs", outcome, name)
    share.check_outside()
    return share


def test_opcodes(run):
    share = judge(run, "")
    with open(os.path.join(share.path, "file"), encoding="ascii") as f:
        check(f.read() == TEXT, "the file has changed")
    check(not os.path.exists("/tmp/made-by-a-guest"), "the guest made a file elsewhere")


ESCAPES = "escapes,links,special"


def test_watched(run):
    """While a guest tries all ways out, the host's kernel sees no change outside of
    the directory that is the monitor's, and strace no call that has to do with what
    is there. That both would, they show first."""
    share = Share(run)
    records = os.path.join(share.base, "records")
    os.mkdir(records)
    try:
        why = fs_watch.prove(share, records)
    except fs_watch.Missing as missing:
        run.result("fs.watch", skip=str(missing))
        return
    run.result("fs.watch", why)
    for name, words, tests in (
            ("", "", ESCAPES + ",garbage,names,rename,xattr,tmpfile,whole"),
            (".always", ",cache=always,xattr=map,posix_acl=on,locks=on", ESCAPES)):
        share = Share(run)
        os.mkdir(records)
        with fs_watch.Watch(share.path, records) as watch:
            outcome = run.boot("share", f"tag=share seed={run.args.seed} count=1000 test={tests}",
                               options=["--fs", f"tag=share,path={share.path},num_queues=2{words}"],
                               under=fs_watch.traced(records))
            changed = watch.outside(outcome.pid)
        outcome.stderr = fs_watch.read(records, "errors")
        run.judge_lines("fs", outcome, ".watched" + name)
        text = fs_watch.read_trace(records, outcome.pid)
        opened = fs_watch.opened_outside(text, share.path)
        check(f'{share.path}>, "way"' in text, "the record has nothing of the links")
        check(not changed, "changed outside:", changed)
        check(not opened, "opened outside:", opened)
        shutil.rmtree(records)
        share.check_outside()


def test_modes(run):
    share = judge(run, ".readonly", "readonly=on", "modes=1 test=readonly")
    check(sorted(os.listdir(share.path)) == sorted(os.listdir(Share(run).path)),
          "the directory has changed")
    judge(run, ".always", "cache=always", "modes=1 test=always")
    judge(run, ".never", "cache=never", "modes=1 test=never")
    judge(run, ".locks", "locks=on", "modes=1 test=locks")


def test_jailed(run):
    """With the capabilities that the options need, and no others, all is as it was."""
    if os.geteuid() != 0:
        run.result("fs.jailed", skip="a user has no capabilities to keep")
        return
    # Who cannot be looked at has no leaks that can be searched.
    with mock.patch.dict(os.environ, ASAN_OPTIONS="detect_leaks=0"):
        judge(run, ".jailed", "xattr=map,posix_acl=on", more=["--jail"])
        judge(run, ".jailed.readonly", "readonly=on", "modes=1 test=readonly", ["--jail"])
        judge(run, ".jailed.locks", "locks=on", "modes=1 test=locks", ["--jail"])


# Single-user machines open /dev/kvm by a group, or a descriptor that is handed over;
# here it is a node of its own, in a namespace where nobody else sees it.
AS_USER = """
mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs "$1" && mknod "$1/kvm" c $2 &&
chmod 666 "$1/kvm" && mount --bind "$1/kvm" /dev/kvm || exit 77
shift 2
ulimit -n 1024
exec setpriv --reuid 1000 --regid 1000 --clear-groups "$@"
"""
WALK_FOLDERS, WALK_FILES = 100, 500


def make_many(path):
    """Folders in folders; a tenth of the files hold their name."""
    for number in range(WALK_FOLDERS):
        folder = os.path.join(path, *(f"d{digit}" for digit in str(number)))
        os.makedirs(folder, exist_ok=True)
        for name in (f"{number}-{i}" for i in range(WALK_FILES)):
            with open(os.path.join(folder, name), "w", encoding="ascii") as f:
                f.write(name if name.endswith("0") else "")


def test_single_user(run):
    """As uid 1000 with 1024 descriptors, a guest knows 50,000 files at once, looks at
    each, and then opens as many as there may be."""
    if os.geteuid() != 0:
        run.result("fs.single_user", skip="needs root, who becomes another user")
        return
    # Where another user can come, and so many files are made soon.
    shm = "/dev/shm" if os.access("/dev/shm", os.W_OK) else "/tmp"
    with tempfile.TemporaryDirectory(prefix="vmm-user.", dir="/tmp") as base, \
            tempfile.TemporaryDirectory(prefix="vmm-many.", dir=shm) as many:
        os.chmod(base, 0o755)
        os.chmod(many, 0o755)
        private = os.path.join(base, "private")
        os.mkdir(private)
        make_many(many)
        for path in (run.monitor.path, arch.guest(run.guests, "walk")):
            shutil.copy(path, base)
        node = os.stat("/dev/kvm").st_rdev
        argv = [os.path.join(base, os.path.basename(run.monitor.path)),
                "--kernel", arch.guest(base, "walk"), "--memory", "256M",
                "--serial", "tty", "--on-reset", "exit",
                "--cmdline", f"tag=share files={WALK_FOLDERS * WALK_FILES + 200}",
                "--fs", f"tag=share,path={many},num_queues=1"]
        done = subprocess.run(["unshare", "-m", "sh", "-c", AS_USER, "sh", private,
                               f"{os.major(node)} {os.minor(node)}", *argv],
                              stdin=subprocess.DEVNULL, capture_output=True, text=True,
                              timeout=200, check=False)
    if done.returncode == 77:
        run.result("fs.single_user", skip="no mount here: " + done.stderr.strip()[-100:])
        return
    lines = [line.strip() for line in done.stdout.splitlines()]
    print("# " + ", ".join(lines))
    check(done.returncode == 0 and "DONE" in lines, lines[-3:], done.stderr[-500:])
    check(f"FOUND {WALK_FOLDERS * WALK_FILES} in {WALK_FOLDERS}" in lines and
          f"LOOKED AT {WALK_FOLDERS * WALK_FILES}" in lines, lines)
    held = next(int(line[5:]) for line in lines if line.startswith("HELD "))
    check(256 <= held < 1024, "files that may be open with 1024 descriptors:", held)


DAX = 64 << 20


def boot_dax(run, share, words="", cmdline=""):
    """The guest's tests of a window; the host cuts a file when it is told to."""
    argv = run.monitor.argv(arch.guest(run.guests, "share"),
                            f"tag=share seed={run.args.seed} dax={DAX} {cmdline}", [],
                            options=["--fs", f"tag=share,id=shared,path={share.path},num_queues=2,"
                                             f"dax={DAX}{words}"])
    lines = []
    with subprocess.Popen(argv, stdin=subprocess.DEVNULL, stdout=subprocess.PIPE,
                          stderr=subprocess.PIPE, text=True) as process:
        killer = threading.Timer(120, process.kill)
        killer.start()
        for line in process.stdout:
            lines.append(line.strip())
            if lines[-1] == "CUT":
                time.sleep(0.05)
                os.truncate(os.path.join(share.path, "cut"), 4096)
        error = process.stderr.read()
        killer.cancel()
    return lines, error, process.returncode


def test_dax(run):
    share = Share(run)
    lines, error, status = boot_dax(run, share)
    tests = [line for line in lines if line[:5] in ("PASS ", "FAIL ")]
    for line in tests:
        run.result("fs." + line[5:].split(":")[0], None if line[:4] == "PASS" else line)
    check(status == 0 and "DONE" in lines, "the guest did not finish:", lines[-3:], error)
    check(error.count("finds zeroes where a file") == 1, "not said once:", error)
    share.check_outside()


def test_dax_end(run):
    """A guest that writes where it may only read ends, and the log says by what."""
    share = Share(run)
    lines, error, status = boot_dax(run, share, ",readonly=on", "dax_end=1")
    check("WRITES" in lines and status not in (None, 0), lines[-3:], error)
    check("shared: the guest cannot have memory" in error, "nothing names it:", error)
    check("KVM gave up on the guest" in error, error)
    share.check_outside()


class Load(Running):
    """share that never has enough, and the control socket."""

    def __init__(self, run, words=""):
        super().__init__()
        self.share = Share(run)
        self.api_path = os.path.join(run.tmp, "fs.api")
        self.argv = [run.monitor.path, "--kernel", arch.guest(run.guests, "share"),
                     "--cmdline", "load=1", "--memory", "256M", "--serial", "tty",
                     "--api-socket", self.api_path, "--fs",
                     f"tag=share,id=fs,path={self.share.path},num_queues=2{words}"]

    def __enter__(self):
        super().__enter__()
        self.until("LOAD")
        self.api = Api(self.api_path)
        return self

    def __exit__(self, *_):
        super().__exit__()
        self.share.check_outside()

    def counters(self):
        return self.api("counters", method="GET")["fs"]

    def descriptors(self):
        """What of the directory the monitor has open."""
        base = f"/proc/{self.process.pid}/fd"
        links = []
        for fd in os.listdir(base):
            try:
                links.append(os.readlink(os.path.join(base, fd)))
            except FileNotFoundError:
                pass  # closed since it was listed
        return [link for link in links if link.startswith(self.share.path)]

    def check_works(self):
        before = self.counters()["requests"]
        wait_for(lambda: self.counters()["requests"] > before + 100)


def test_pause(run):
    """Nothing is in flight while it is paused, and nothing is lost."""
    with Load(run) as load:
        for _ in range(20):
            load.api("pause")
            before = load.counters()
            time.sleep(0.02)
            check(load.counters() == before, "requests go on while it is paused")
            load.api("resume")
            load.check_works()


def test_remove(run):
    """Removed with much to do and no reset, and added again."""
    with Load(run) as load:
        for turn in range(1, 6):
            load.check_works()
            load.api("remove-device", {"id": "fs"})
            load.until("EJECT", turn)
            wait_for(lambda: not load.api("info", method="GET")["config"].get("fs"))
            wait_for(lambda: not load.descriptors())
            load.api("add-fs", {"id": "fs", "tag": "share", "path": load.share.path,
                                "num_queues": 2})
            load.until("LOAD", turn + 1)


def test_remove_dax(run):
    """The same with a window, which is hot-added as well."""
    with Load(run, f",dax={DAX}") as load:
        for turn in range(1, 4):
            load.check_works()
            load.api("remove-device", {"id": "fs"})
            load.until("EJECT", turn)
            wait_for(lambda: not load.api("info", method="GET")["config"].get("fs"))
            load.api("add-fs", {"id": "fs", "tag": "share", "path": load.share.path,
                                "num_queues": 2, "dax": 2 * DAX})
            load.until("LOAD", turn + 1)


def test_limit(run):
    """Requests a second, and bytes, changed as it runs."""
    with Load(run, ",ops_size=20,ops_refill_time=100") as load:
        before, start = load.counters(), time.monotonic()
        time.sleep(1)
        rate = (load.counters()["requests"] - before["requests"]) / (time.monotonic() - start)
        # How many less a busy machine makes of it is no matter.
        check(0 < rate < 260, "requests a second:", rate)
        wait_for(lambda: load.counters()["throttled_ns"] > before["throttled_ns"])
        load.api("set-rate-limit", {"id": "fs", "rate_limiter_config": {"ops": {"size": 0}}})
        load.check_works()


CASES = (
    ("opcodes", test_opcodes),
    ("watched", test_watched),
    ("modes", test_modes),
    ("jailed", test_jailed),
    ("single_user", test_single_user),
    ("dax", test_dax),
    ("dax_end", test_dax_end),
    ("pause", test_pause),
    ("remove", test_remove),
    ("remove_dax", test_remove_dax),
    ("limit", test_limit),
)
