# SPDX-License-Identifier: Apache-2.0
"""Kernels, processors and memory as a guest sees them."""

import contextlib
import os
import re
import resource
import subprocess

from cases import case, Skip

MACHINE = """
say release $(uname -r)
tell cmdline cat /proc/cmdline
tell memory sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo
say cpus $(nproc)
tell clock cat /sys/devices/system/clocksource/clocksource0/current_clocksource
tell timer cat /sys/devices/system/clockevents/clockevent0/current_device
tell iomem grep 'System RAM' /proc/iomem
grep -qw x2apic /proc/cpuinfo && say x2apic
for cpu in /sys/devices/system/cpu/cpu[0-9]*; do
	cd $cpu/topology
	say topology $(cat physical_package_id core_id thread_siblings_list)
done
cd /
"""


CLOCK_AND_TIMER = {
    "x86_64": ("kvm-clock", "lapic-deadline"),
    "aarch64": ("arch_sys_counter", "arch_sys_timer"),
}


def check_machine(t, guest, cpus, mib):
    t.equal("nproc", guest.fact("cpus"), str(cpus))
    clock, timer = CLOCK_AND_TIMER[t.settings.arch]
    t.equal("the clock source", guest.fact("clock"), clock)
    t.equal("the timer", guest.fact("timer"), timer)
    t.check(guest.facts("x2apic") or not t.is_x86, "no x2apic in /proc/cpuinfo")
    t.equal("package, core and siblings of each CPU",
            sorted(guest.facts("topology")), [f"0 {n} {n}" for n in range(cpus)])
    total = int(guest.fact("memory") or 0) >> 10
    # The kernel's own image and page descriptors are not in the total.
    t.check(mib * 0.97 - 64 <= total <= mib,
            f"the guest has {total} of {mib} MiB")
    t.log_is_clean(guest)


def check_kernel(t, guest, mode):
    release = os.path.basename(t.settings.kit)
    t.check(guest.fact("release") and
            release.startswith(guest.fact("release")),
            f"uname -r is {guest.fact('release')}, the kit is {release}")
    t.equal("/proc/cmdline", guest.fact("cmdline"),
            f"root=/dev/vda {mode} {guest.cmdline}")
    t.check("reboot: Power down" in guest.text(), "the kernel did not power "
            "the machine off")


@case("boot-vmlinux")
def boot_vmlinux(t):
    """The unpacked kernel, a root that it writes to."""
    root = t.root_copy()
    guest = t.run(MACHINE + "echo kept >/kept && sync\n", root=root.path)
    check_kernel(t, guest, "rw")
    check_machine(t, guest, 1, 256)
    t.fsck(root)
    t.equal("the file that the guest wrote",
            t.tool("debugfs", "-R", "cat /kept", root.path), "kept\n")


@case("boot-bzimage", x86=True)
def boot_bzimage(t):
    """The kernel that unpacks itself, with a command line of 2000 bytes."""
    begin = len("root=/dev/vda ro " + t.words +
                ' vmm.exec="sh /dev/vdb" vmm.pad=')
    digits = "".join(f"{n:04}," for n in range(500))[:2000 - begin]
    guest = t.run(MACHINE, kernel="vmlinuz", words="vmm.pad=" + digits)
    check_kernel(t, guest, "ro")
    t.equal("the command line's length", len(guest.fact("cmdline") or ""), 2000)
    check_machine(t, guest, 1, 256)


@case("cpus-2")
def cpus_2(t):
    """And a disk with a queue for each."""
    disk = t.disk("disk", 16, num_queues=2)
    job = MACHINE + """
say queues $(ls /sys/block/vdb/mq | wc -l)
for cpu in 0 1; do
	taskset $((cpu + 1)) dd if=/dev/zero of=/dev/vdb bs=4k count=64 \\
		seek=$((cpu * 64)) oflag=direct 2>/dev/null || say write failed
done
say interrupts $(grep -c 'virtio.-req' /proc/interrupts)
"""
    guest = t.run(job, cpus=2, disks=[disk])
    check_machine(t, guest, 2, 256)
    t.equal("the number of hardware queues", guest.fact("queues"), "2")
    t.equal("failures of writing", guest.facts("write"), [])
    # One of the root, two of the disk, one of the job's.
    t.equal("request queues in /proc/interrupts", guest.fact("interrupts"), "4")


@case("cpus-4", smoke=True)
def cpus_4(t):
    check_machine(t, t.run(MACHINE, cpus=4), 4, 256)


@case("cpus-512", aarch64=True)
def cpus_512(t):
    """As many as there can be, the last of which comes while the guest runs."""
    resource.setrlimit(resource.RLIMIT_NOFILE, (4096, 4096))    # two a vCPU
    guest, vm = t.shell(cpus="boot=1,max=512", memory="1G")
    guest.do("say cpus $(nproc) $(cat /sys/devices/system/cpu/present)")
    t.equal("CPUs, and those present", guest.fact("cpus"), "1 0-511")
    vm.put("resize", {"desired_vcpus": 512})
    vm.wait_event("resize-done", what="vcpus", wanted="512")
    guest.do("echo 1 >/sys/devices/system/cpu/cpu511/online; say online $(nproc); "
             "cd /sys/devices/system/cpu/cpu511/topology; say core $(cat core_id)")
    t.equal("CPUs", guest.fact("online"), "2")
    t.equal("the last one's core", guest.fact("core"), "511")
    guest.do("echo 0 >/sys/devices/system/cpu/cpu511/online")
    vm.put("resize", {"desired_vcpus": 1})
    event = vm.wait_event("resize-done", "resize-failed", what="vcpus", wanted="1",
                          seconds=t.settings.seconds)
    t.equal("how it ended", event["event"], "resize-done")
    t.end_shell(guest)


@case("memory-4g")
def memory_4g(t):
    """RAM above the hole; the host gives what the guest touches."""
    guest = t.guest(MACHINE + "say ready\nsleep 2\n",
                    memory="4G").start()
    guest.wait("^T: ready")
    rss = guest.rss_mib()
    t.end(guest)
    t.check(rss < 512, f"vmm has {rss} MiB of a guest that just booted")
    check_machine(t, guest, 1, 4096)
    ranges = [line.split()[0].split("-") for line in guest.facts("iomem")]
    # x86_64 has a hole below; RAM of aarch64 goes on and on.
    t.check(any(start == "100000000" or not t.is_x86 and
                int(start, 16) <= 4 << 30 < int(end, 16) for start, end in ranges),
            f"no RAM at 4 GiB: {guest.facts('iomem')}")


# Of the host's, what a monitor has to ask KVM for: signed pointers and SVE.
ASKED_FOR = {"paca", "pacg", "sve", "sve2"}


@case("cpu-features", aarch64=True, smoke=True)
def cpu_features(t):
    """The guest's processors are as good as its host's, and have counters."""
    with open("/proc/cpuinfo", encoding="ascii") as f:
        host = re.search(r"^Features\s*: (.*)", f.read(), re.M)[1].split()
    guest = t.run("""
tell features sed -n 's/^Features[^:]*: //p' /proc/cpuinfo
say counters $(ls /sys/bus/event_source/devices | grep -c armv8_pmuv3)
""", cpus=2)
    have = [set(line.split()) for line in guest.facts("features")]
    t.equal("processors in /proc/cpuinfo", len(have), 2)
    print(f"# {t.name}: of the host's {' '.join(sorted(ASKED_FOR & set(host))) or 'none'}",
          flush=True)
    for number, features in enumerate(have):
        t.equal(f"features of processor {number}", features & ASKED_FOR, ASKED_FOR & set(host))
    t.equal("kinds of counters", guest.fact("counters"), "1")
    t.log_is_clean(guest)


@contextlib.contextmanager
def read_only_root(t):
    """One that this user cannot write: a file, or for root a device."""
    path = t.kit("rootfs.ext4")
    if not os.access(path, os.W_OK):
        yield path
        return
    try:
        device = subprocess.check_output(["losetup", "-r", "-f", "--show", path],
                                         text=True).strip()
    except (OSError, subprocess.CalledProcessError):
        raise Skip("all files can be written here, and there is no loop "
                   "device") from None
    try:
        yield device
    finally:
        t.tool("losetup", "-d", device)


@case("root-read-only")
def root_read_only(t):
    """A root that cannot be written is given as one, unasked."""
    with read_only_root(t) as path:
        guest = t.run("tell cmdline cat /proc/cmdline\n"
                      "say ro $(cat /sys/block/vda/ro)\n"
                      "touch /new 2>/dev/null && say wrote\n", root=path)
    t.equal("/proc/cmdline", guest.fact("cmdline"),
            f"root=/dev/vda ro {guest.cmdline}")
    t.equal("ro of the root disk", guest.fact("ro"), "1")
    t.equal("writes to the root", guest.facts("wrote"), [])
