# SPDX-License-Identifier: Apache-2.0
"""Shared directories by the programs that others test file systems with, both from
cargo's registry: pjdfstest (what each call may do, to whom, and how it fails) and fsx
(a file by random operations, whose bytes it knows)."""

import os
import re
import shutil
import subprocess

from cases import case
from cases_fs import read, share, write

# Users that Debian has, and test-rootfs.ext4.
PJDFSTEST = """
[features]
posix_fallocate = {{}}
rename_ctime = {{}}
stat_st_birthtime = {{}}
utime_now = {{}}
utimensat = {{}}
[settings]
naptime = 0.02
allow_remount = {remount}
[dummy_auth]
entries = [["nobody", "nogroup"], ["daemon", "daemon"]]
"""

FSX = """
flen = 300000
[opsize]
max = 65536
[weights]
close_open = 2
read = 10
write = 10
mapread = 10
mapwrite = 10
invalidate = 1
truncate = 5
fsync = 0.5
fdatasync = 0.5
posix_fallocate = 2
punch_hole = 2
sendfile = 2
posix_fadvise = 1
copy_file_range = 4
"""

# What fsx runs on: the share's options and those of the mount.
FSX_SHARES = {
    "auto": ((), ""),
    "back": (("writeback=on",), ""),
    "never": (("cache=never",), ""),
    "dax": (("dax=8M",), "-o dax"),
    "both": (("dax=8M", "writeback=on"), "-o dax"),
}

# A slice of pjdfstest: what a server decides by itself.
SLICE = ("rename::", "unlink::")


def outcomes(text):
    """What pjdfstest says of each of its tests: ok, skipped, FAILED."""
    return dict(re.findall(r"^([a-z0-9_:]+) +(ok|skipped|FAILED)$", text, re.M))


def pjdfstest_here(t, runs):
    """On a file system of the host, the one that guests are given a folder of."""
    disk, path = t.ext4("reference.ext4", 64), t.folder("reference")
    t.tool("mount", "-o", "loop", disk.path, path)
    t.at_end(lambda: t.tool("umount", path))
    text = ""
    for config, patterns in runs.items():
        done = subprocess.run([t.crates() + "/pjdfstest", "-c", f"{t.path('fs')}/{config}", "-p",
                               path, "-s", "/tmp", *patterns], stdout=subprocess.PIPE,
                              stderr=subprocess.STDOUT, timeout=600, check=False, text=True)
        text += done.stdout
    return text


def pjdfstest(t, guest, path, patterns):
    """None fails that passes on the host. Those that remount come by themselves: others
    leave files open. LINK_MAX is what the C library makes of a file system's name. A
    copy of the guest's own sleep, which is busybox, ends under any other name."""
    runs = {"plain.toml": patterns, "remount.toml": ("::erofs",)}
    for config, remount in zip(runs, ("false", "true")):
        write(f"{path}/{config}", PJDFSTEST.format(remount=remount).encode())
    os.mkdir(path + "/bin")
    shutil.copy(shutil.which("sleep"), path + "/bin")
    for config, words in runs.items():
        guest.do(f"PATH=/mnt/fs/bin:$PATH /mnt/tools/pjdfstest -c /mnt/fs/{config} -p /mnt/fs -s /tmp {' '.join(words)} "
                 ">>/tmp/pjd 2>&1; cp /tmp/pjd /mnt/fs/", 1200)
    text = read(path + "/pjd").decode(errors="replace")
    have, want = outcomes(text), outcomes(pjdfstest_here(t, runs))
    passed = {name for name, outcome in want.items() if outcome == "ok"}
    worse = {name: have.get(name) for name in passed if have.get(name) != "ok" and
             not name.endswith("link_count_max")}
    t.check(len(passed) > 50, f"pjdfstest passed {len(passed)} tests on the host")
    t.check(not worse, f"pjdfstest passes on the host, not in the guest: {worse}")
    if worse:
        print("#   " + "\n#   ".join(text.splitlines()))
    good = [name for name, outcome in have.items() if outcome == "ok"]
    print(f"# pjdfstest: {len(good)} of {len(have)} pass in the guest, {len(passed)} of "
          f"{len(want)} on the host", flush=True)


def field(t, patterns, nr_operations):
    tools = t.crates()
    path = t.folder("fs")
    write(path + "/fsx.toml", FSX.encode())
    options = [*share("fs", path), *share("tools", tools, "readonly=on")]
    for tag, (words, _) in FSX_SHARES.items():
        options += share(tag, t.folder(tag), *words)
    guest, _ = t.shell(root=t.root("test-rootfs.ext4"), options=options)
    guest.do("mount -t tmpfs tmpfs /mnt; mkdir /mnt/fs /mnt/tools; mount -t virtiofs fs /mnt/fs; "
             "mount -t virtiofs tools /mnt/tools")
    for seed, (tag, (_, words)) in enumerate(FSX_SHARES.items()):
        guest.do(f"mkdir /mnt/{tag}; mount -t virtiofs {words} {tag} /mnt/{tag} && "
                 f"/mnt/tools/fsx -S {seed} -N {nr_operations} -f /mnt/fs/fsx.toml "
                 f"/mnt/{tag}/file >/tmp/fsx 2>&1; say fsx {tag} $?; tail -n 2 /tmp/fsx", 600)
        t.equal(f"fsx's status on {tag}", guest.fact(f"fsx {tag}"), "0")
    pjdfstest(t, guest, path, patterns)
    t.end_shell(guest)


@case("fs-field", crates=True)
def fs_field(t):
    field(t, SLICE, 100)


@case("fs-field-long", long=3600, crates=True)
def fs_field_long(t):
    field(t, (), 2000)
