# SPDX-License-Identifier: Apache-2.0
"""What programs, users and administrators do with shared directories."""

import os
import random
import shutil
import subprocess
import threading
import time

from cases import case, Skip
from cases_fs import (FILES, TEST_ROOT, add, host_edits, md5, mount, pace, read, remove,
                      seen, share, write)

REPO = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))

# ---- whose a file is ----


def capabilities(t, guest, path):
    """A program with one that its user does not have. It goes when somebody writes."""
    guest.do("cd /mnt/fs; cp /bin/busybox chown; setcap cap_chown+ep chown; echo x >file")
    t.check("not permitted" in seen(guest, "su daemon -c 'chown 1:1 file'"),
            "a user gives a file away")
    t.equal("with a capability", seen(guest, "su daemon -c '/mnt/fs/chown 1:1 file'; "
                                      "stat -c %u:%g file"), "1:1")
    t.equal("what getcap says", seen(guest, "getcap chown"), "chown cap_chown=ep")
    t.check("security.capability" in os.listxattr(path + "/chown"), "the host has none")
    guest.do("chmod 777 chown; su daemon -c 'echo >>chown'")
    t.equal("after a write", seen(guest, "getcap chown"), "")
    t.check("security.capability" not in os.listxattr(path + "/chown"), "the host has it still")
    guest.do("cp /bin/busybox other; setcap cap_chown+ep other; chown 1 other")
    t.equal("after chown", seen(guest, "getcap other"), "")
    guest.do("cp /bin/busybox suid; chmod 6777 suid; su daemon -c 'echo >>suid'")
    t.equal("set-id bits after a write", seen(guest, "stat -c %a suid"), "777")
    t.equal("their mode on the host", os.stat(path + "/suid").st_mode & 0o7777, 0o777)


def groups(t, guest):
    """A setgid directory gives its group on, and the bit to no file of a stranger."""
    guest.do("cd /mnt/fs; mkdir group; chgrp 65534 group; chmod 2777 group; "
             "su daemon -c 'touch group/f; mkdir group/d; echo >group/d/in; chmod 2755 group/f'")
    t.equal("who owns what", seen(guest, "cd group; stat -c %n:%a:%u:%g f d d/in; cd .."),
            "f:755:1:65534 d:2755:1:65534 d/in:644:1:65534")


def lists(t, guest):
    """ACLs are checked, kept, and inherited instead of the umask."""
    guest.do("cd /mnt/fs; echo secret >acl; chmod 600 acl; setfacl -m u:1:rw acl; "
             "su daemon -c 'echo more >>acl'")
    t.equal("who is listed", seen(guest, "su daemon -c 'cat acl'"), "secret more")
    t.check("denied" in seen(guest, "su nobody -c 'cat acl'"), "one who is not")
    guest.do("mkdir list; setfacl -d -m u:1:rwx,g::r-x,o::--- list; "
             "(umask 077; echo >list/f; mkdir list/d)")
    t.equal("what a file inherits", seen(guest, "getfacl -cEn list/f | xargs"),
            "user::rw- user:1:rwx group::r-x mask::rw- other::---")
    t.equal("what a directory inherits", seen(guest, "getfacl -cEn list/d | head -n 5 | xargs"),
            "user::rwx user:1:rwx group::r-x mask::rwx other::---")
    t.equal("their modes", seen(guest, "stat -c %a list/f list/d"), "660 770")
    guest.do("chmod 700 list/d")
    t.equal("the mask after chmod", seen(guest, "getfacl -cEn list/d | grep ^mask"), "mask::---")


def remounts(t, guest, vm):
    """What a mount holds is gone with it; a lazy one goes when its last file does."""
    t.check("Read-only" in seen(guest, "mount -o remount,ro /mnt/fs; touch /mnt/fs/no"),
            "a remount read-only")
    t.equal("a remount for writing", seen(guest, "mount -o remount,rw /mnt/fs && "
                                          "echo yes >/mnt/fs/yes && cat /mnt/fs/yes"), "yes")
    guest.do("exec 8</mnt/fs/yes; cd /")
    t.check("busy" in seen(guest, "umount /mnt/fs"), "a mount in use goes")
    t.equal("a file of a lazy one", seen(guest, "umount -l /mnt/fs; cat <&8"), "yes")
    guest.do("exec 8<&-")
    fds = None
    for turn in range(5):
        mount(guest, "fs")
        t.equal(f"a file of mount {turn}", seen(guest, "cat /mnt/fs/group/d/in /mnt/fs/yes"), "yes")
        guest.do("umount /mnt/fs")
        have = guest.nr_fds()
        fds = fds or have
        t.equal(f"open files after mount {turn}", have, fds)
    t.check(vm.get("counters")["fs"]["inodes"] <= 1, "it knows inodes without a mount")


# ---- races with the host ----

# By path, as users do: each looks anew when what it knows has gone.
CALLS = """
i=0; while [ $i -lt {nr} ]; do for d in /mnt/plain /mnt/over; do
cat $d/f >/dev/null; echo x >>$d/f; stat $d/f >/dev/null; touch $d/f; chmod 644 $d/f;
cat $d/d/in >/dev/null; ls -l $d $d/d >/dev/null; mkdir $d/d/m && rmdir $d/d/m;
echo y >$d/d/n; mv $d/d/n $d/d/o; ln $d/f $d/d/p; rm -f $d/d/p $d/d/o; readlink $d/l >/dev/null;
done; i=$((i + 1)); done 2>/tmp/errors;
say stale $(grep -ci stale /tmp/errors); say other $(grep -vc 'No such file' /tmp/errors);
say calls $i; grep -v 'No such file' /tmp/errors | head -n 3
""".replace("\n", " ")


def race(path, stop, pause, rng):
    """A file that is always there, and directories that take turns."""
    turn = 0
    while not stop.is_set():
        turn += 1
        write(path + "/new", b"x" * turn)
        os.rename(path + "/new", path + "/f")
        away = f"{path}/away{turn}"
        os.symlink(f"to{turn}", path + "/k")
        os.rename(path + "/k", path + "/l")
        os.mkdir(path + "/e")
        write(path + "/e/in", b"y")
        os.rename(path + "/d", away)
        os.rename(path + "/e", path + "/d")
        time.sleep(pause * rng.uniform(1, 5))
        subprocess.run(["rm", "-rf", away], check=False)


def overlay(t, path):
    """A host that gives no handles: known files are found by their names."""
    parts = [t.folder(name) for name in ("lower", "upper", "work")]
    t.tool("mount", "-t", "overlay", "overlay", "-o",
           "lowerdir={},upperdir={},workdir={}".format(*parts), path)
    t.at_end(lambda: t.tool("umount", path))


def race_folders(t):
    folders = {tag: t.folder(tag) for tag in ("plain", "over")}
    overlay(t, folders["over"])
    for path in folders.values():
        os.mkdir(path + "/d")
        write(path + "/d/in", b"y")
        write(path + "/f", b"x")
        os.symlink("to", path + "/l")
    return folders


def races(t, guest, folders, nr):
    """The host replaces and renames what the guest uses: no user sees ESTALE."""
    mount(guest, *folders)
    stop = threading.Event()
    pause = pace(guest, "/mnt/over/f")
    threads = [threading.Thread(target=race, args=(path, stop, pause, random.Random(path)))
               for path in folders.values()]
    for thread in threads:
        thread.start()
    try:
        guest.do(CALLS.format(nr=nr), t.settings.seconds * 4)
    finally:
        stop.set()
        for thread in threads:
            thread.join()
    t.equal("rounds", guest.fact("calls"), str(nr))
    t.equal("ESTALE of a user's call", guest.fact("stale"), "0")
    t.equal("other errors", guest.fact("other"), "0")


def uses(t, nr_rounds):
    path, folders = t.folder("fs"), race_folders(t)
    options = [word for tag in folders for word in share(tag, folders[tag])]
    guest, vm = t.shell(root=t.root(TEST_ROOT), options=[
        *options, *share("fs", path, "posix_acl=on", "id=fs")])
    guest.do("mount -t tmpfs tmpfs /mnt")
    mount(guest, "fs")
    capabilities(t, guest, path)
    groups(t, guest)
    lists(t, guest)
    remounts(t, guest, vm)
    races(t, guest, folders, nr_rounds)
    t.end_shell(guest)


@case("fs-uses")
def fs_uses(t):
    uses(t, 6)


@case("fs-uses-long", long=True)
def fs_uses_long(t):
    uses(t, 200)


# ---- an older kernel ----

@case("fs-old-kernel", x86=True)
def fs_old_kernel(t):
    """Linux 6.1 boots from a directory, and has the others as 6.12 has them."""
    if not os.path.exists(t.kit("old/vmlinux")):
        raise Skip("the guest kit has no older kernel: Debian 12 has one")
    folders = {tag: t.folder(tag) for tag in ("auto", "back", "dax")}
    guest, vm = t.shell(root=t.root_folder(), kernel="old/vmlinux", initramfs="old/initramfs.cpio",
                        cpus=2, options=[*share("auto", folders["auto"]),
                                         *share("back", folders["back"], "writeback=on"),
                                         *share("dax", folders["dax"], "dax=2M", "id=dax")])
    t.check(seen(guest, "uname -r").startswith("6.1."), "its version is another")
    t.equal("its root", seen(guest, "grep -c ' / virtiofs rw' /proc/mounts"), "1")
    guest.do("mount -t tmpfs tmpfs /mnt")
    mount(guest, "auto", "back")
    host_edits(t, guest, "auto", folders["auto"])
    guest.do(FILES.format(tag="back").replace("\n", " "))
    t.equal("files", guest.fact("files"), "good")
    guest.do("sync")
    t.equal("a sum", guest.fact("sum"), f"{md5(folders['back'] + '/big')} -")
    write(folders["dax"] + "/big", os.urandom(4 << 20))
    guest.do("mkdir /mnt/dax; mount -t virtiofs -o dax dax /mnt/dax")
    t.equal("the sum by DAX", seen(guest, "md5sum </mnt/dax/big"),
            f"{md5(folders['dax'] + '/big')} -")
    t.equal("bytes that were read by requests", vm.get("counters")["dax"]["read_bytes"], 0)
    at, tag = add(t, vm, guest, folders["back"], 1)
    t.equal("by the one that was added", seen(guest, f"head -n 1 /mnt/{tag}/hard"), "one")
    remove(t, vm, at)
    guest.do(f"umount /mnt/{tag}")
    # It wants a kind of access to PCI that its first look takes for granted.
    t.end_shell(guest, r"virtio_fs_enqueue_req\(\) failed -107|PCI: Fatal: No config space")


# ---- work ----

# With the host's own tools, which are in reach by another share.
TOOLS = """
mkdir -p /mnt/host /mnt/fs; mount -t virtiofs host /mnt/host && mount -t virtiofs fs /mnt/fs &&
mount -t tmpfs tmpfs /mnt/host/tmp && mkdir /mnt/host/tmp/fs &&
mount --bind /mnt/fs /mnt/host/tmp/fs && mount --bind /dev /mnt/host/dev &&
mount -t proc proc /mnt/host/proc && say tools are there
""".replace("\n", " ")

WORK = """
set -e
export PATH=/usr/sbin:/usr/bin:/sbin:/bin HOME=/tmp GIT_CONFIG_GLOBAL=/tmp/fs/gitconfig
cd /tmp/fs
git clone -q --no-local /tmp/fs/origin clone
cd clone
echo "T: changed $(git status --short | wc -l)"
git checkout -qb other
echo more >>README.md
git commit -qam edited
git checkout -q - && git merge -q --no-edit other
git gc -q && git fsck --strict
echo "T: commits $(git log --oneline | wc -l)"
make -s -j2
echo 'T: work done'
"""

MAKEFILE = """
all: $(patsubst %.c,%.o,$(wildcard boot/*.c))
%.o: %.c
\tcc -std=gnu11 -O1 -D_GNU_SOURCE -I. -c -o $@ $<
"""

GITCONFIG = b"[user]\nname = n\nemail = e\n[safe]\ndirectory = *\n"


def repository(t, path):
    """Part of this project, with a Makefile."""
    origin = path + "/origin"
    for name in ("arch", "boot", "devices", "vmm"):
        shutil.copytree(os.path.join(REPO, name), f"{origin}/{name}")
    shutil.copy(os.path.join(REPO, "README.md"), origin)
    write(origin + "/Makefile", MAKEFILE.encode())
    write(path + "/gitconfig", GITCONFIG)
    git = ["env", f"GIT_CONFIG_GLOBAL={path}/gitconfig", "git", "-C", origin]
    for words in (("init", "-q"), ("add", "."), ("commit", "-qm", "all")):
        t.tool(*git, *words)


@case("fs-work-long", long=True)
def fs_work(t):
    """git and a compiler on a share: a repository is cloned, packed and checked, and what
    is compiled there are the bytes that the host's own compiler makes."""
    for program in ("git", "make", "cc"):
        if not shutil.which(program):
            raise Skip(f"no {program} here")
    path = t.folder("fs")
    repository(t, path)
    write(path + "/work", WORK.encode())
    guest, _ = t.shell(root=t.root(TEST_ROOT), cpus=2, memory="768M", options=[
        *share("host", "/", "readonly=on", "cache=always"), *share("fs", path)])
    guest.do("mount -t tmpfs tmpfs /mnt")
    guest.do(TOOLS)
    t.equal("tools", guest.fact("tools"), "are there")
    guest.do("chroot /mnt/host /bin/sh /tmp/fs/work; say status $?", 900)
    t.equal("the work's status", guest.fact("status"), "0")
    t.equal("files that git thinks changed", guest.fact("changed"), "0")
    t.equal("commits", guest.fact("commits"), "2")
    made = [name for name in os.listdir(path + "/clone/boot") if name.endswith(".o")]
    t.check(len(made) > 8, f"{len(made)} files are compiled")
    t.tool("make", "-s", "-C", path + "/origin")
    for name in made:
        t.check(read(f"{path}/clone/boot/{name}") == read(f"{path}/origin/boot/{name}"),
                f"{name} is not what the host's compiler makes")
    t.end_shell(guest)
