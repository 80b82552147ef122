# SPDX-License-Identifier: Apache-2.0
"""Directories of the host that guests mount, and boot from."""

import hashlib
import os
import random
import re
import subprocess
import threading
import time

from cases import case, MIB
from cases_stuck import stuck, until

TEST_ROOT = "test-rootfs.ext4"
MODES = ("auto", "always", "never")


def write(path, data):
    with open(path, "wb") as f:
        f.write(data)


def read(path):
    with open(path, "rb") as f:
        return f.read()


def md5(path):
    return hashlib.md5(read(path)).hexdigest()


def share(tag, path, *words):
    return "--fs", ",".join((f"tag={tag}", f"path={path}") + words)


def seen(guest, line, key="seen"):
    """What the guest says of a command, in one line."""
    guest.do(f"say {key} $({line} 2>&1)")
    return guest.fact(key)


# ---- roots ----

ROOT_JOB = """
say root $(sed -n 's/ / /;s/^\\([^ ]*\\) \\/ \\([^ ]*\\) \\(r.\\).*/\\1 \\2 \\3/p' /proc/mounts)
say sum $(md5sum </bin/busybox)
if [ -e /root/made ]; then
	say again $(cat /root/made)
else
	mkdir /root/d && echo data >/root/d/file && ln /root/d/file /root/hard &&
	ln -s d/file /root/soft && chown -h 7:8 /root/soft && chown 1000:1001 /root/d/file &&
	chmod 4750 /root/d/file && touch -d '2020-02-02 02:02:02' /root/d &&
	mkfifo /root/fifo && mknod /root/null c 1 3 && echo x >/root/null &&
	echo first >/root/made && sync && say made
	reboot -f
	sleep 20
fi
"""


@case("fs-root", smoke=True)
def fs_root(t):
    """A kernel boots from a directory, with nothing else; it resets with all
    that it has open, and boots again."""
    tree = t.root_folder()
    guest = t.guest(ROOT_JOB, root=tree, initramfs=None, on_reset="reboot").start()
    t.end(guest)
    t.equal("its root", guest.facts("root"), ["rootfs virtiofs rw"] * 2)
    t.equal("what it reads", guest.facts("sum"), [f"{md5(tree + '/bin/busybox')} -"] * 2)
    t.equal("what it could make", len(guest.facts("made")), 1)
    t.equal("what is there after the reset", guest.facts("again"), ["first"])
    st, link = os.stat(tree + "/root/d/file"), os.lstat(tree + "/root/soft")
    t.equal("the file's owner and mode", (st.st_uid, st.st_gid, st.st_mode, st.st_nlink),
            (1000, 1001, 0o104750, 2))
    t.equal("the link's owner", (link.st_uid, link.st_gid), (7, 8))
    t.equal("the directory's time", os.stat(tree + "/root/d").st_mtime, 1580608922.0)
    t.equal("the device", os.stat(tree + "/root/null").st_rdev, os.makedev(1, 3))
    t.log_is_clean(guest)


@case("fs-root-read-only")
def fs_root_read_only(t):
    tree = t.root_folder()
    guest = t.run("""
say words $(cat /proc/cmdline)
touch /root/x 2>/dev/null && say written
mount -o remount,rw / && say remounted
tell no touch /root/x
tell no mkdir /root/d
tell no chmod 700 /root
tell no rm /bin/busybox
tell no mv /bin/busybox /bin/other
""", root=f"{tree},readonly=on")
    t.check(guest.fact("words").startswith("root=rootfs rootfstype=virtiofs ro "),
            f"the command line is {guest.fact('words')}")
    t.check(not guest.facts("written") and guest.facts("remounted"), "it is not as asked for")
    t.equal("refusals", [("Read-only file system" in text) for text in guest.facts("no")],
            [True] * 5)
    t.check(not os.path.exists(tree + "/root/x"), "the guest has written")


# ---- files ----

FILES = """
cd /mnt/{tag} &&
dd if=/dev/urandom of=big bs=1M count=6 2>/dev/null && say sum $(md5sum <big) &&
mkdir -p a/b/c && echo one >a/b/c/f && mv a/b a/moved && cp -a a copy &&
[ "$(cat copy/moved/c/f)" = one ] && ln copy/moved/c/f hard && rm copy/moved/c/f &&
[ "$(cat hard)" = one ] && ln -s hard soft && [ "$(cat soft)" = one ] &&
echo two >>hard && [ $(wc -l <soft) = 2 ] && truncate -s 5000 hard &&
dd if=/dev/zero of=hard bs=1 seek=100000 count=1 conv=notrunc 2>/dev/null &&
[ $(stat -c %s hard) = 100001 ] && (umask 027; mkdir private) &&
[ $(stat -c %a private) = 750 ] && i=0 && mkdir many &&
while [ $i -lt 300 ]; do echo $i >many/file-$i || break; i=$((i + 1)); done &&
[ $(ls many | wc -l) = 300 ] && [ $(cat many/* | wc -l) = 300 ] &&
exec 7<many/file-7 && rm -r many && [ "$(cat <&7)" = 7 ] && exec 7<&- && [ ! -e many ] &&
say files good;
cd /
"""

FIO = ("fio --name=v --directory=/mnt/{tag} --size=4M --bsrange=4k-64k --bs_unaligned=0 "
       "--rw=randwrite --verify=crc32c --verify_fatal=1 --do_verify=1 --end_fsync=1 "
       "--ioengine={io} --iodepth=8 --direct={direct} >/tmp/fio 2>&1; say fio {tag} {io} $?; "
       "rm -f /mnt/{tag}/v*")


def mount(guest, *tags):
    for tag in tags:
        guest.do(f"mkdir -p /mnt/{tag}; mount -t virtiofs {tag} /mnt/{tag} && say mounted {tag}")


@case("fs-files-long", long=True)
def fs_files(t):
    """Four shares, one a cache mode and one that keeps back what is written: what
    is written is what is there, on both sides and in each way of writing."""
    folders = {tag: t.folder(tag) for tag in MODES + ("back",)}
    options = [word for tag in MODES for word in share(tag, folders[tag], f"cache={tag}")]
    options += share("back", folders["back"], "writeback=on", "num_queues=1", "queue_size=64")
    guest, vm = t.shell(root=t.root(TEST_ROOT), cpus=2, options=[
        *options, *share("ro", folders["auto"], "readonly=on")])
    guest.do("mount -t tmpfs tmpfs /mnt")
    mount(guest, *folders, "ro")
    t.equal("mounts", guest.facts("mounted"), [*folders, "ro"])
    for tag, path in folders.items():
        guest.do(FILES.format(tag=tag).replace("\n", " "))
        t.equal(f"files of {tag}", guest.fact("files"), "good")
        guest.do("sync; usleep 100000")
        t.equal(f"the sum in {tag}", guest.fact("sum"), f"{md5(path + '/big')} -")
        t.equal(f"lines in {tag}", read(path + "/hard")[:8], b"one\ntwo\n")
        for io, direct in (("psync", 0), ("libaio", 1), ("mmap", 0)):
            guest.do(FIO.format(tag=tag, io=io, direct=direct), t.settings.seconds * 2)
            t.equal(f"fio's status of {io} on {tag}", guest.fact(f"fio {tag} {io}"), "0")
        guest.do(f"rm -rf /mnt/{tag}/*; say left $(ls -A /mnt/{tag})")
        t.equal(f"what is left in {tag}", (os.listdir(path), guest.fact("left")), ([], ""))
    for line in ("touch /mnt/ro/x", "mkdir /mnt/ro/x", "mount -o remount,rw /mnt/ro"):
        said = seen(guest, line)
        t.check("Read-only" in said or line.startswith("mount"), f"{line}: {said}")
    t.equal("writes through ro", os.listdir(folders["auto"]), [])
    counters = vm.get("counters")
    t.check(all(counters[f"_fs{n}"]["errors"] >= 0 for n in range(2, 5)), f"{counters}")
    t.end_shell(guest)


# ---- DAX ----

DAX_FIO = ("fio --name=v --directory=/mnt/{tag} --size=6M --bsrange=4k-64k --bs_unaligned=0 "
           "--rw=randwrite --verify=crc32c --verify_fatal=1 --do_verify=1 --end_fsync=1 "
           "--ioengine={io} {more} >/tmp/fio 2>&1; say fio {tag} {io} $?; rm -f /mnt/{tag}/v*")


@case("fs-dax")
def fs_dax(t):
    """Mapped files through a window that is smaller than they are: as a stock mount
    does it, and for all files. The host cuts one that a program has mapped."""
    folders = {tag: t.folder(tag) for tag in ("stock", "all")}
    guest, vm = t.shell(root=t.root(TEST_ROOT), cpus=2, options=[
        word for tag, path in folders.items() for word in share(tag, path, "id=" + tag, "dax=8M")])
    guest.do("mount -t tmpfs tmpfs /mnt; mkdir /mnt/stock /mnt/all; "
             "mount -t virtiofs stock /mnt/stock && mount -t virtiofs -o dax all /mnt/all && "
             "say dax $(grep -c 'virtiofs.*dax' /proc/mounts)")
    t.equal("mounts that say dax", guest.fact("dax"), "1")
    write(folders["all"] + "/cut", b"x" * (4 * MIB))
    # fio says how far it is only when it reads.
    guest.do("fio --name=c --filename=/mnt/all/cut --ioengine=mmap --rw=randread --size=4M "
             "--time_based --runtime=600 --status-interval=1 >/tmp/fio 2>&1 & reader=$!; "
             "until grep -q IOPS= /tmp/fio; do sleep 1; done; say reads", t.settings.seconds * 2)
    os.truncate(folders["all"] + "/cut", 4096)
    until(t, "zeroes for what was cut", lambda: vm.get("counters")["all"]["dax_faults"] > 0)
    guest.do("say runs $(kill -0 $reader && echo on); kill $reader; wait", t.settings.seconds * 2)
    t.equal("what the guest says", guest.fact("runs"), "on")
    for tag, path in folders.items():
        data = os.urandom(12 * MIB)
        write(path + "/big", data)
        t.equal(f"the sum of {tag}", seen(guest, f"md5sum </mnt/{tag}/big"),
                hashlib.md5(data).hexdigest() + " -")
        # 2 MiB by 2 MiB, each mapped and unmapped: the data comes by no request.
        before = vm.get("counters")[tag]
        seen(guest, f"md5sum /mnt/{tag}/big")
        after = vm.get("counters")[tag]
        t.check(after["requests"] - before["requests"] < 40 and
                after["read_bytes"] == before["read_bytes"],
                f"requests and bytes to read {tag}: {before} {after}")
        # To and from a file by way of another that is mapped.
        for io, more in (("mmap", ""), ("sync", f"--direct=1 --iomem=mmapshared:/mnt/{tag}/big")):
            guest.do(DAX_FIO.format(tag=tag, io=io, more=more), t.settings.seconds * 2)
            t.equal(f"fio's status of {io} on {tag}", guest.fact(f"fio {tag} {io}"), "0")
    guest.do("umount /mnt/stock /mnt/all && say unmounted both")
    t.equal("umount", guest.fact("unmounted"), "both")
    t.end_shell(guest)


@case("fs-failing-device")
def fs_failing_device(t):
    """The pages of a mapped file cannot be read any more: zeroes instead, and the
    guest runs on."""
    path = t.folder("fs")
    with stuck(t) as device:
        t.tool("mke2fs", "-q", "-t", "ext4", "-O", "^has_journal", device.path)
        t.tool("mount", "-o", "noatime", device.path, path)
        t.at_end(lambda: subprocess.run(["umount", path], check=False, capture_output=True))
        write(path + "/lost", os.urandom(MIB))
        os.sync()
        write("/proc/sys/vm/drop_caches", b"3")
        guest, vm = t.shell(root=t.root(TEST_ROOT), cpus=2,
                            options=share("fs", path, "id=fs", "dax=8M"))
        guest.do("mount -t tmpfs tmpfs /mnt; mkdir /mnt/fs; mount -t virtiofs -o dax fs /mnt/fs; "
                 "exec 8</mnt/fs/lost")
        device.fail()
        t.equal("the sum of what cannot be read", seen(guest, "md5sum <&8"),
                hashlib.md5(bytes(MIB)).hexdigest() + " -")
        t.check(vm.get("counters")["fs"]["dax_faults"] > 0, "no fault was counted")
        guest.do("exec 8<&-; umount /mnt/fs; say runs on")
        t.equal("what the guest says", guest.fact("runs"), "on")
        t.end_shell(guest)
        t.tool("umount", path)


# ---- what the host does meanwhile ----

@case("fs-host")
def fs_host(t):
    """The host edits, replaces, mounts and unmounts while a guest looks."""
    folders = {tag: t.folder(tag) for tag in ("auto", "never")}
    guest, _ = t.shell(root=t.root(TEST_ROOT), options=[
        word for tag, path in folders.items() for word in share(tag, path, f"cache={tag}")])
    guest.do("mount -t tmpfs tmpfs /mnt")
    mount(guest, *folders)
    for tag, path in folders.items():
        host_edits(t, guest, tag, path)
    replaced(t, guest, folders["auto"])
    submounts(t, guest, folders["auto"])
    t.end_shell(guest)


def host_edits(t, guest, tag, path):
    """Seen by who opens or looks anew: after a second at most, at once without a
    cache."""
    wait = "sleep 1.2; " if tag == "auto" else ""
    write(path + "/f", b"old")
    t.equal("a file", seen(guest, f"cat /mnt/{tag}/f"), "old")
    write(path + "/f", b"newer and longer")
    t.equal(f"a changed file with {tag}", seen(guest, f"{wait}cat /mnt/{tag}/f"),
            "newer and longer")
    write(path + "/g", b"g")
    os.unlink(path + "/f")
    t.equal(f"names with {tag}", seen(guest, f"{wait}ls /mnt/{tag}"), "g")
    os.chmod(path + "/g", 0o640)
    t.equal(f"a mode with {tag}", seen(guest, f"{wait}stat -c %a /mnt/{tag}/g"), "640")
    os.rename(path + "/g", path + "/h")
    t.check("No such file" in seen(guest, f"{wait}cat /mnt/{tag}/g"), "a file that was renamed")
    # One that is held open is still there when its name is not.
    guest.do(f"exec 8</mnt/{tag}/h")
    os.unlink(path + "/h")
    t.equal(f"an open file without a name, {tag}", seen(guest, "cat <&8"), "g")
    guest.do("exec 8<&-")


def pace(guest, path):
    """Seconds that the host has to leave alone what it has replaced. Linux looks a
    second time for what was another file meanwhile, and not a third time: a host
    that is as quick as that twice, beside a guest that is slow, would be seen."""
    start = time.monotonic()
    guest.do(f"for n in 1 2 3 4 5 6 7 8 9 10; do stat {path} >/dev/null; done")
    return max(0.02, (time.monotonic() - start) / 10)


def replaced(t, guest, path):
    """A file that is always there is always found, by an old or a new name."""
    write(path + "/f", b"x" * 100)
    pause = pace(guest, "/mnt/auto/f")
    os.mkdir(path + "/d")
    write(path + "/d/in", b"y")
    stop = threading.Event()

    def turn():
        rng = random.Random(1)
        while not stop.is_set():
            write(path + "/new", b"x" * rng.randrange(1, 100))
            os.rename(path + "/new", path + "/f")
            os.mkdir(path + "/e")
            write(path + "/e/in", b"y")
            os.rename(path + "/d", path + "/away")
            os.rename(path + "/e", path + "/d")
            os.unlink(path + "/away/in")
            os.rmdir(path + "/away")
            time.sleep(pause * rng.uniform(1, 5))
    thread = threading.Thread(target=turn)
    thread.start()
    try:
        guest.do("i=0; while [ $i -lt 100 ]; do cat /mnt/auto/f >/dev/null; stat /mnt/auto/f "
                 ">/dev/null; echo /mnt/auto/* >/dev/null; i=$((i + 1)); done 2>/tmp/errors; "
                 "say stale $(grep -ci stale /tmp/errors); say missed $(wc -l </tmp/errors)",
                 t.settings.seconds * 2)
    finally:
        stop.set()
        thread.join()
    t.equal("ESTALE of a user's call", guest.fact("stale"), "0")
    t.equal("other errors", guest.fact("missed"), "0")
    t.check("allocate memory" not in guest.errors.text(), "vmm says that it has no memory")


def submounts(t, guest, path):
    """What is mounted below is a file system of its own, and a plain umount does
    soon what it does without us."""
    os.mkdir(path + "/sub")
    devices = seen(guest, "stat -c %d /mnt/auto /mnt/auto/sub").split()
    t.equal("devices without a mount", len(set(devices)), 1)
    for turn in ("one", "two"):
        t.tool("mount", "-t", "tmpfs", "tmpfs", path + "/sub")
        write(path + "/sub/in", turn.encode())
        t.equal("a file in the submount", seen(guest, "sleep 1.2; cat /mnt/auto/sub/in"), turn)
        devices = seen(guest, "stat -c %d /mnt/auto /mnt/auto/sub").split()
        t.equal("devices with a mount", len(set(devices)), 2)
        time.sleep(2)
        t.tool("umount", path + "/sub")
        t.equal("names after umount", seen(guest, "sleep 1.2; ls /mnt/auto/sub"), "")


# ---- overlayfs ----

OVERLAY = """
mount -t overlay overlay -o lowerdir=/mnt/lower,upperdir=/mnt/fs/upper,workdir=/mnt/fs/work
/mnt/merged && say overlay mounted; cd /mnt/merged;
echo more >>file && chmod 600 exec && rm gone && mv dir renamed && mkdir dir && echo new >dir/new
&& rm -r deep && mkdir deep && chown -h 5:6 soft && touch fifo && chmod 644 null &&
mv hard1 hard3 && echo x >fresh && ln fresh fresh2 && say overlay written;
cd /; sync; umount /mnt/merged && mount -t overlay overlay
-o lowerdir=/mnt/lower,upperdir=/mnt/fs/upper,workdir=/mnt/fs/work /mnt/merged;
cd /mnt/merged; say file $(cat file); say names $(ls); say deep $(ls deep);
say dir $(ls dir renamed); cd /; umount /mnt/merged
""".replace("\n", " ")


@case("fs-overlay")
def fs_overlay(t):
    """Upper and lower of an overlayfs of the guest, which copies up every type of
    file; on the host nothing is what its own overlayfs would believe."""
    path = t.folder("fs")
    guest, _ = t.shell(root=t.root(TEST_ROOT), options=share("fs", path))
    guest.do("modprobe overlay; mount -t tmpfs tmpfs /mnt; mkdir /mnt/merged /mnt/lower")
    mount(guest, "fs")
    guest.do("cd /mnt/fs; mkdir upper work low; mount --bind low /mnt/lower; cd low; "
             "echo text >file; echo a >exec; chmod 4755 exec; touch gone; mkdir -p dir/in deep/er; "
             "ln -s file soft; mkfifo fifo; mknod null c 1 3; touch hard1; ln hard1 hard2; cd /")
    guest.do(OVERLAY, t.settings.seconds)
    t.equal("what overlayfs says", guest.facts("overlay"), ["mounted", "written"])
    t.equal("the file", guest.fact("file"), "text more")
    t.equal("names", guest.fact("names"), "deep dir exec fifo file fresh fresh2 hard2 hard3 null "
            "renamed soft")
    t.equal("an opaque directory", guest.fact("deep"), "")
    t.equal("a directory that was renamed", guest.fact("dir"), "dir: new renamed: in")
    upper = path + "/upper"
    for name in ("deep", "dir"):
        names = os.listxattr(f"{upper}/{name}")
        t.check(not [n for n in names if n.startswith("trusted.")], f"{name} has {names}")
        t.check([n for n in names if n.startswith("user.vmm.")], f"{name} has {names}")
    t.equal("a whiteout", os.stat(upper + "/gone").st_rdev, 0)
    t.equal("the lower file", read(path + "/low/file"), b"text\n")
    text = seen(guest, "dmesg | grep -c 'overlayfs.*\\(fall\\|fail\\|not support\\)'")
    t.equal("complaints of overlayfs", text, "0")
    t.end_shell(guest)


# ---- shares that come and go ----

def add(t, vm, guest, path, number, **options):
    tag = f"hot{number}"
    at = vm.put("add-fs", {"tag": tag, "path": path, **options})
    t.check_bdf(at["bdf"])
    mount(guest, tag)
    return at, tag


def remove(t, vm, at):
    vm.put("remove-device", {"id": at["id"]})
    event = vm.wait_event("device-removed", "device-remove-failed", id=at["id"])
    t.equal("how the removal ended", event["event"], "device-removed")


def cycles(t, nr):
    """Added, written, and removed with a file open and the mount in place."""
    path = t.folder("fs")
    guest, vm = t.shell()
    # The kernel tells what fails in the middle of other lines.
    guest.do("dmesg -n 1; mount -t tmpfs tmpfs /mnt")
    fds = None
    for number in range(nr):
        at, tag = add(t, vm, guest, path, number)
        guest.do(f"echo {number} >/mnt/{tag}/f{number} && exec 8</mnt/{tag}/f{number} && "
                 f"say in {number}")
        t.equal("what the guest could write", guest.fact("in"), str(number))
        remove(t, vm, at)
        t.check(seen(guest, f"cat /mnt/{tag}/f{number}") != str(number),
                "a file of a device that is gone")
        guest.do(f"exec 8<&-; umount /mnt/{tag} && say out {number}")
        t.equal("what it could unmount", guest.fact("out"), str(number))
        t.equal("the file", read(f"{path}/f{number}"), f"{number}\n".encode())
        have = guest.nr_fds()
        fds = fds or have
        if not t.equal(f"open files after cycle {number}", have, fds):
            break
    # What a driver says of a device that has gone (ENOTCONN).
    t.end_shell(guest, r"virtio_fs_enqueue_req\(\) failed -107")


@case("fs-hotplug")
def fs_hotplug(t):
    cycles(t, 4)


@case("fs-hotplug-long", long=True)
def fs_hotplug_long(t):
    cycles(t, 50)


@case("fs-reboot")
def fs_reboot(t):
    """A share that was added stays over resets, and holds nothing of before; one
    comes from a shim's program, by a socket."""
    path = t.folder("fs")
    write(path + "/f", b"data")
    guest, vm = t.shell(on_reset="reboot")
    guest.do("mount -t tmpfs tmpfs /mnt")
    daemon, at = handed_over(t, vm, path)
    mount(guest, "shim")
    fds = guest.nr_fds()
    for number in range(2):
        guest.do("for n in 1 2 3 4 5 6; do echo $n >/mnt/shim/made$n; done; exec 8</mnt/shim/f")
        t.equal("a file", seen(guest, "cat <&8"), "data")
        start = len(guest.text())
        guest.type("reboot -f\n")
        guest.restarted(start)
        t.check(guest.nr_fds() <= fds, f"{guest.nr_fds()} files are open, {fds} at first")
        guest.do("mount -t tmpfs tmpfs /mnt")
        mount(guest, "shim")
        t.equal(f"made before reset {number}", seen(guest, "cat /mnt/shim/made3"), "3")
    t.check(daemon.poll() is None, "vmm-virtiofsd has ended")
    remove(t, vm, at)
    t.equal("vmm-virtiofsd's status", daemon.wait(t.settings.seconds), 0)
    t.end_shell(guest)


def handed_over(t, vm, path):
    """By a program that stands where virtiofsd would."""
    sock = os.path.join(vm.directory, "fs.sock")
    program = os.path.join(os.path.dirname(t.settings.vmm), "vmm-virtiofsd")
    daemon = subprocess.Popen([program, "--socket-path", sock, "--shared-dir", path,
                               "--cache=auto", "--announce-submounts", "--xattr"],
                              stderr=subprocess.DEVNULL)
    t.at_end(daemon.kill)
    while not os.path.exists(sock):
        time.sleep(0.01)
    at = vm.put("add-fs", {"tag": "shim", "socket": sock, "num_queues": 1, "queue_size": 1024,
                           "pci_segment": 1, "id": None})
    t.equal("socket in vm.info", vm.get("info")["config"]["fs"][0]["socket"], sock)
    return daemon, at


@case("fs-two-guests")
def fs_two_guests(t):
    """One tree in two guests: what one has done the other sees."""
    path = t.folder("fs")
    guests = [t.shell(options=share("fs", path, "cache=never" if n else "cache=auto"))[0]
              for n in range(2)]
    for guest in guests:
        guest.do("mount -t tmpfs tmpfs /mnt")
        mount(guest, "fs")
    for turn in range(3):
        one, other = guests[turn % 2], guests[1 - turn % 2]
        one.do(f"echo {turn} >/mnt/fs/f; mkdir /mnt/fs/d{turn}; sync")
        t.equal("a file of the other guest", seen(other, "sleep 1.2; cat /mnt/fs/f"), str(turn))
        t.equal("its directory", seen(other, f"rmdir /mnt/fs/d{turn} && echo gone"), "gone")
    for guest in guests:
        t.end_shell(guest)


# ---- volume ----

FOLDERS, FILES_EACH, TURN = 100, 1000, 10


def by_turns(t, guest, what, line):
    """A line for some folders at a time, and how long that takes: the last ones no
    longer than the first."""
    for first in range(0, FOLDERS, TURN):
        start = time.monotonic()
        folders = f"$(seq {first} {first + TURN - 1})"
        guest.do(f"cd /mnt/fs; {line.format(folders)}; cd /; sync", 1800)
        print(f"# {TURN * FILES_EACH} more files are {what} in {time.monotonic() - start:.0f} s",
              flush=True)


@case("fs-many-files-long", long=7200)
def fs_many_files(t):
    """100,000 files, made and removed: descriptors and memory stay."""
    path = t.folder("fs")
    guest, vm = t.shell(root=t.root(TEST_ROOT), cpus=2, options=share("fs", path, "id=fs"))
    guest.do("mount -t tmpfs tmpfs /mnt")
    mount(guest, "fs")
    fds = guest.nr_fds()
    by_turns(t, guest, "made",
             f"for d in {{}}; do mkdir $d; (cd $d; seq {FILES_EACH} | xargs touch); done")
    t.check(guest.nr_fds() < fds + 4200, f"{guest.nr_fds()} files are open, {fds} before")
    guest.do("say files $(find /mnt/fs -type f | wc -l)", 600)
    t.equal("files", guest.fact("files"), str(FOLDERS * FILES_EACH))
    by_turns(t, guest, "removed", "rm -rf {}")
    t.equal("what is left", os.listdir(path), [])
    guest.do("echo 3 >/proc/sys/vm/drop_caches; sleep 2")
    known = vm.get("counters")["fs"]["inodes"]
    t.check(known < 100, f"{known} inodes are known")
    t.check(guest.nr_fds() <= fds + 200, f"{guest.nr_fds()} files are open, {fds} before")
    t.end_shell(guest)
