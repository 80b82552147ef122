# SPDX-License-Identifier: Apache-2.0
"""A directory of the host's that a single user shares, who has 1024 descriptors."""

import os
import re
import shutil
import subprocess
import time

from cases import case
from cases_fs import share
from monitor import Guest

USER, DESCRIPTORS = 1000, 1024
FOLDERS, FILES = 100, 500

# With a node of /dev/kvm that nobody else sees; a single user's own is his group's.
BECOME = f"""
mount --make-rprivate / && mount -t tmpfs -o mode=755 tmpfs "$1" && mknod "$1/kvm" c $2 &&
chmod 666 "$1/kvm" && mount --bind "$1/kvm" /dev/kvm || exit
shift 2
ulimit -n {DESCRIPTORS}
exec setpriv --reuid {USER} --regid {USER} --clear-groups "$@"
"""

JOB = f"""
mount -t tmpfs tmpfs /mnt && mkdir /mnt/tools /mnt/tree &&
mount -t virtiofs tools /mnt/tools && mount -t virtiofs tree /mnt/tree && say mounted
git() {{
	LD_LIBRARY_PATH=/mnt/tools HOME=/tmp /mnt/tools/git -C /mnt/tree "$@"
}}
timed() {{
	from=$(sed 's/ .*//' /proc/uptime); key=$1; shift
	say $key "$("$@" 2>&1 | tail -n 5 | tr '\\n' ' ')"
	say seconds $key $from $(sed 's/ .*//' /proc/uptime)
}}
count() {{ find /mnt/tree -path /mnt/tree/.git -prune -o -type f -print | wc -l; }}
timed found count
timed status git status --short
timed status-again git status --short
echo changed >/mnt/tree/7/7-7 && rm /mnt/tree/9/9-9 && echo new >/mnt/tree/made
timed changes git status --porcelain
timed found-again count
"""


def make_tools(path):
    """git and the libraries it loads: the guest's image has none."""
    git = shutil.which("git")
    shutil.copy(git, path)
    libraries = subprocess.run(["ldd", git], capture_output=True, text=True, check=True).stdout
    for library in re.findall(r"=> (/\S+)", libraries):
        shutil.copy(library, path)


def make_tree(t, path):
    for folder in range(FOLDERS):
        os.mkdir(f"{path}/{folder}")
        for number in range(FILES):
            name = f"{folder}-{number}"
            with open(f"{path}/{folder}/{name}", "w", encoding="ascii") as f:
                f.write(name if number % 10 == 0 else "")
    for words in (["init", "-q"], ["add", "."],
                  ["-c", "user.name=t", "-c", "user.email=t@localhost", "commit", "-qm", "all"]):
        t.tool("git", "-C", path, *words, seconds=600)


def be_user(t, guest):
    """What it opens can be opened by that user, who is all that it runs as."""
    node = os.stat("/dev/kvm").st_rdev
    os.chmod(os.path.dirname(t.settings.logs), 0o711)
    for path in (t.kit("vmlinux"), t.kit("initramfs.cpio"), t.settings.vmm):
        copy = t.path(os.path.basename(path))
        shutil.copy(path, copy)
        guest.argv = [word.replace(path, copy) for word in guest.argv]
    os.chown(guest.job.path, USER, USER)
    guest.argv = ["unshare", "-m", "sh", "-c", BECOME, "sh", t.folder("private"),
                  f"{os.major(node)} {os.minor(node)}", *guest.argv]

    def add_api():
        Guest.add_api(guest)
        os.chown(guest.api, USER, USER)

    guest.add_api = add_api


@case("fs-single-user-long", long=3600)
def fs_single_user(t):
    """find and git status over 50,000 files; what git says is what has changed."""
    folders = {tag: t.folder(tag) for tag in ("tools", "tree")}
    make_tools(folders["tools"])
    make_tree(t, folders["tree"])
    t.tool("chown", "-R", f"{USER}:{USER}", folders["tree"])
    guest = t.guest(JOB, root=t.root("test-rootfs.ext4"), memory="512M", options=[
        *share("tools", folders["tools"], "readonly=on"), *share("tree", folders["tree"])])
    be_user(t, guest)
    guest.start()
    guest.wait("^T: mounted")
    fds, end = 0, time.monotonic() + t.settings.seconds * 20
    while not guest.facts("found-again") and guest.process.poll() is None and \
            time.monotonic() < end:
        fds = max(fds, guest.nr_fds())
        time.sleep(0.2)
    t.end(guest)
    for key, begun, ended in re.findall(r"^T: seconds (\S+) (\S+) (\S+)", guest.text(), re.M):
        print(f"# {key}: {float(ended) - float(begun):.1f} s")
    print(f"# descriptors at most: {fds}")
    for key in ("found", "found-again"):
        t.equal(key, (guest.fact(key) or "").strip(), str(FOLDERS * FILES))
    # The guest has no index of its own yet: it reads all files for the first answer.
    t.equal("git's words of a tree that is as it was",
            [guest.fact("status").strip(), guest.fact("status-again").strip()], ["", ""])
    t.equal("git's words of changes", guest.fact("changes").split(),
            ["M", "7/7-7", "D", "9/9-9", "??", "made"])
    t.check(200 < fds < DESCRIPTORS, f"{fds} descriptors")
