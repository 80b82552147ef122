# SPDX-License-Identifier: Apache-2.0
"""What every test is made with, and the list of all tests.

A test is a function with @case before it. It makes guests with its argument's
guest(), and says what is wrong with check() and equal(); what it says there
does not stop it. Names go by file: what a test is about.
"""

import os
import re
import shutil
import stat
import subprocess

import monitor

ALL = []        # (name, function, options), in the order of running

MIB = 1 << 20
# Where devices are that come while the guest runs: in slots of bus 0, or behind
# root ports, of which each is a bus.
HOT_BDF = {
    "x86_64": r"0000:00:[0-9a-f]{2}\.0",
    "aarch64": r"0000:(0[1-9a-f]|1[0-9a-f]):00\.0",
}

# Kernel messages of level warning and above that are about the machine.
TROUBLE = (r"\bACPI|\bPCI\b|\bpci\b|virtio|\bAPIC|ioapic|IOAPIC|\bIO-APIC|"
           r"\bMSI\b|\bBAR\b|Firmware|topology|CPU topo|e820|MADT|ttyS|"
           r"irq \d+: nobody cared|unchecked MSR|\bGIC|\bITS\b|\bOF: |"
           r"device tree|psci|PSCI|arch_timer|ttyAMA|pl011|pl031|armv8-pmu|blk_update|I/O error")

# What every guest says that has no trouble:
# - AMD's frequency driver, of a machine that leaves frequencies to its host;
# - clocks that were read late, because a busy or emulated host ran us late.
NO_TROUBLE = (r"amd_pstate: the _CPC object is not present|"
              r"clocksource: Long readout interval")


def case(name, **options):
    """options: x86=True or aarch64=True for what only that architecture has,
    smoke=True for one of the few that tools/test runs on another architecture
    than this machine's, anywhere=True for a test without a guest, long=True for one that only --long runs (a number
    there is how many seconds it may take), crates=True for one that asks for
    crates()."""
    def add(function):
        ALL.append((name, function, options))
        return function
    return add


class Skip(Exception):
    """The test cannot run here."""


class Case:
    """One run of one test."""

    def __init__(self, name, settings):
        self.name = name
        self.settings = settings    # vmm, arch, kit, directory, logs, seconds
        self.is_x86 = settings.arch == "x86_64"
        self.words = monitor.WORDS[settings.arch]
        self.failures = []
        self.broke_off = False      # by silence or a crash, nothing else wrong
        self.guests = []
        self.closers = []

    # -- verdicts --------------------------------------------------------
    def check(self, good, reason):
        if not good:
            self.failures.append(reason)
        return good

    def equal(self, what, have, want):
        return self.check(have == want, f"{what} is {have!r}, not {want!r}")

    def check_bdf(self, bdf):
        """Is it one that a device has that came while the guest ran?"""
        self.check(re.fullmatch(HOT_BDF[self.settings.arch], bdf), f"bdf is {bdf}")

    # -- things ----------------------------------------------------------
    def kit(self, item):
        return os.path.join(self.settings.kit, item)

    def crates(self):
        """The directory of what comes from cargo's registry."""
        if not os.path.isdir(self.settings.crates):
            raise Skip(self.settings.crates)
        return self.settings.crates

    def path(self, name):
        return os.path.join(self.settings.directory, f"{self.name}.{name}")

    def disk(self, name, mib, **options):
        return monitor.Disk(self.path(name), mib * MIB, **options)

    def ext4(self, name, mib, **options):
        disk = self.disk(name, mib, **options)
        self.tool("mke2fs", "-q", "-F", "-t", "ext4", disk.path)
        return disk

    def tool(self, *argv, good=(0,), seconds=120):
        """Runs a program of this machine, whose status has to be a good one."""
        done = subprocess.run(argv, capture_output=True, text=True, timeout=seconds,
                              check=False, stdin=subprocess.DEVNULL)
        if done.returncode not in good:
            last = (done.stdout + done.stderr).strip().splitlines()[-1:]
            self.failures.append(f"{argv[0]} {os.path.basename(argv[-1])}: "
                                 f"status {done.returncode} {' '.join(last)}")
        return done.stdout

    def fsck(self, disk):
        return self.tool("e2fsck", "-fn", disk.path)

    def root(self, item="rootfs.ext4"):
        """The guest's root: one image for all, so read-only."""
        return f"{self.settings.roots[item]},readonly=on"

    def root_copy(self):
        disk = monitor.Disk(self.path("root"))
        self.tool("cp", "--sparse=always", self.settings.roots["rootfs.ext4"],
                  disk.path)
        return disk

    def folder(self, name):
        """A directory of the host that is shared with guests."""
        path = self.path(name)
        shutil.rmtree(path, ignore_errors=True)     # of a first try
        os.mkdir(path)
        os.chmod(path, 0o755)
        return path

    def root_folder(self, item="rootfs.ext4"):
        """What is in the image, as a directory that a kernel boots from alone:
        with the first device that it opens."""
        path = self.folder("root")
        self.tool("debugfs", "-R", f"rdump / {path}", self.settings.roots[item])
        os.mknod(f"{path}/dev/console", 0o600 | stat.S_IFCHR, os.makedev(5, 1))
        return path

    # -- guests ----------------------------------------------------------
    def guest(self, script=None, *, root=None, cpus=1, memory="256M",
              kernel="vmlinux", disks=(), words="", on_reset="exit",
              console=None, serial=None, initramfs="initramfs.cpio",
              options=()):
        """script is what the guest's shell runs; None: a shell on the console.
        kernel and initramfs are items of the kit; words is added to the kernel's command line, and options to vmm's. Not
        started yet. console: words that say where it is, and what is usual."""
        number = len(self.guests) + 1
        base = os.path.join(self.settings.logs, f"{self.name}.{number}")
        guest = monitor.Guest(self.settings.vmm, base, self.settings.seconds)
        self.guests.append(guest)
        root = root or self.root()
        guest.add("-v", "--kernel", self.kit(kernel), "--rootfs", root,
                  "--cpus", cpus, "--memory", memory, "--on-reset", on_reset)
        if initramfs:
            guest.add("--initramfs", self.kit(initramfs))
        for disk in disks:
            guest.add("--disk", disk.argument())
        line = self.words if console is None else console
        if script is not None:
            letters = "abcdefghi" if os.path.isdir(root.split(",")[0]) else "bcdefghij"
            line += " " + guest.add_job(script, letters[len(disks)])
        guest.cmdline = f"{line} {words}".strip()
        guest.add("--cmdline", guest.cmdline)
        if serial:
            guest.add("--serial", serial)
        guest.add(*options)
        return guest

    def run(self, script, **how):
        """A guest from its start to its end, which has to be a good one."""
        guest = self.guest(script, **how).start()
        self.end(guest)
        if "vmm-guest: exit status" not in guest.text():
            raise monitor.Ended("the guest ended before its job did")
        self.equal("the job's end", "vmm-guest: exit status 0" in guest.text(),
                   True)
        return guest

    def shell(self, **how):
        """A guest that do() tells what to do, and its control socket."""
        guest = self.guest(monitor.SHELL, **how).start_shell()
        return guest, guest.control

    def end_shell(self, guest, but=None):
        guest.type("over=1\n")
        self.end(guest)
        self.log_is_clean(guest, but)

    def end(self, guest, seconds=None):
        self.equal("vmm's exit status", guest.end(seconds), 0)

    def log_is_clean(self, guest, but=None):
        """Nothing of level warning and above about the machine, but what a test
        brings about."""
        log = guest.log()
        self.check(len(log) > 100, f"the kernel log has {len(log)} lines")
        for level, text in log:
            if level <= 4 and re.search(TROUBLE, text) and \
                    not re.search(NO_TROUBLE, text) and \
                    not (but and re.search(but, text)):
                self.check(False, f"the guest's kernel says: {text.strip()}")

    def at_end(self, function):
        """Called when the guests are gone, the last first."""
        self.closers.append(function)

    def clean_up(self):
        for guest in self.guests:
            guest.stop()
        while self.closers:
            self.closers.pop()()
