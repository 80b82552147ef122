# SPDX-License-Identifier: Apache-2.0
"""vCPUs and memory that come and go while Linux runs."""

from cases import case, MIB

# Memory that the kernel keeps for itself cannot be given back.
MOVABLE = "memhp_default_state=online_movable"

LOAD = ("for n in 1 2 3 4; do (while [ ! -e /tmp/stop ]; do :; done) & "
        "loads=\"$loads $!\"; done")
# The machine has them at once; the guest's kernel may still be adding them.
ONLINE = ("for cpu in 1 2 3; do "
          "online=/sys/devices/system/cpu/cpu$cpu/online; "
          "until [ -e $online ]; do usleep 50000; done; "
          "[ $(cat $online) = 1 ] || echo 1 >$online; done; "
          "say cpus $(nproc) $(cat /sys/devices/system/cpu/present)")


def resize_vcpus(t, vm, nr):
    vm.put("resize", {"desired_vcpus": nr})
    event = vm.wait_event("resize-done", "resize-failed", what="vcpus",
                          wanted=str(nr), seconds=90)
    t.equal("how it ended", event["event"], "resize-done")
    t.equal("boot_vcpus", vm.get("info")["config"]["cpus"]["boot_vcpus"], nr)


@case("resize-vcpus", x86=True)
def resize_vcpus_up_and_down(t):
    """1 to 4 to 1, twice, with more work than there are processors."""
    guest, vm = t.shell(cpus="boot=1,max=4")
    guest.do("say cpus $(nproc) $(cat /sys/devices/system/cpu/present)")
    t.equal("CPUs, and those present", guest.fact("cpus"), "1 0")
    guest.do(LOAD)
    for _ in range(2):
        resize_vcpus(t, vm, 4)
        guest.do(ONLINE)
        t.equal("CPUs, and those present", guest.fact("cpus"), "4 0-3")
        t.equal("threads", guest.vcpu_threads(), [f"vcpu{n}" for n in range(4)])
        guest.do("for cpu in 0 1 2 3; do taskset $((1 << cpu)) true || "
                 "say no work on $cpu; done")
        t.equal("CPUs that do not work", guest.facts("no"), [])
        resize_vcpus(t, vm, 1)
        guest.do("say cpus $(nproc) $(cat /sys/devices/system/cpu/present)")
        t.equal("CPUs, and those present", guest.fact("cpus"), "1 0")
        t.equal("threads", guest.vcpu_threads(), ["vcpu0"])
    guest.do("touch /tmp/stop; wait")
    t.equal("the same number again, its status", vm.request(
        "PUT", "resize", {"desired_vcpus": 1}).status, 204)
    t.end_shell(guest)

# A guest on a device tree is told of nothing: it turns them on and off.
TURN = ("for cpu in {cpus}; do echo {on} >/sys/devices/system/cpu/cpu$cpu/online; done; "
        "say cpus $(nproc)")


@case("resize-vcpus-psci", aarch64=True)
def resize_vcpus_psci(t):
    """1 to 3 to 1, twice: on when granted, gone when the guest has turned them off."""
    guest, vm = t.shell(cpus="boot=1,max=3")
    for _ in range(2):
        guest.do(TURN.format(cpus="1 2", on=1))
        t.equal("CPUs, when no more are granted", guest.fact("cpus"), "1")
        resize_vcpus(t, vm, 3)
        guest.do(TURN.format(cpus="1 2", on=1))
        t.equal("CPUs", guest.fact("cpus"), "3")
        guest.do("for cpu in 0 1 2; do taskset $((1 << cpu)) true || "
                 "say no work on $cpu; done")
        t.equal("CPUs that do not work", guest.facts("no"), [])
        t.equal("threads", guest.vcpu_threads(), [f"vcpu{n}" for n in range(3)])
        guest.do(TURN.format(cpus="2 1", on=0))
        t.equal("CPUs", guest.fact("cpus"), "1")
        resize_vcpus(t, vm, 1)
        t.equal("threads", guest.vcpu_threads(), ["vcpu0"])
    t.end_shell(guest)


MOST = 4    # vCPUs of the guests that step


def step_vcpus(t, guest, vm, nr):
    """One step, after which each of nr CPUs works and there is no other."""
    if not t.is_x86:    # it knows of all, and lets go before it is asked
        guest.do(f"for cpu in $(seq {nr} {MOST - 1}); do "
                 "online=/sys/devices/system/cpu/cpu$cpu/online; "
                 "[ $(cat $online) = 0 ] || echo 0 >$online; done")
    resize_vcpus(t, vm, nr)
    last = nr - 1
    guest.do(f"cd /sys/devices/system/cpu; online=cpu{last}/online; "
             f"[ {nr} = 1 ] || until [ -e $online ]; do usleep 50000; done; "
             f"[ {nr} = 1 -o \"$(cat $online)\" = 1 ] || echo 1 >$online || "
             f"say no start of {last} of {nr}; "
             f"for cpu in $(seq 0 {last}); do taskset $((1 << cpu)) true || "
             f"say no work on $cpu of {nr}; done; "
             "say cpus $(nproc) $(cat present)")
    present = (f"0-{last}" if last else "0") if t.is_x86 else f"0-{MOST - 1}"
    return t.equal("CPUs, and those present", guest.fact("cpus"),
                   f"{nr} {present}")


def walk_vcpus(t, start, steps):
    guest, vm = t.shell(cpus=f"boot={start},max={MOST}")
    for nr in steps:
        if not step_vcpus(t, guest, vm, nr):
            break
    t.equal("CPUs that did not start or work", guest.facts("no"), [])
    t.end_shell(guest)


@case("resize-vcpus-steps")
def resize_vcpus_steps(t):
    """The one that was added last starts; on x86_64 with nothing else that would make
    KVM look at its map of the guest's APICs anew."""
    walk_vcpus(t, 2, (3, 2, 3, 4, 3))


@case("resize-vcpus-steps-long", long=True)
def resize_vcpus_steps_long(t):
    """Up and down by one, between 1 and 4, from every start."""
    for start in range(1, 5):
        up, down = list(range(2, 5)), list(range(3, 0, -1))
        walk_vcpus(t, start, up[start - 1:] + down + up + down)


@case("resize-vcpus-cycles-long", long=True)
def resize_vcpus_cycles_long(t):
    """The same one comes and goes, over and over."""
    walk_vcpus(t, 1, (2, 1) * 50)


@case("resize-vcpus-queued")
def resize_vcpus_queued(t):
    """Requests that come while one is under way wait for it; the latest is what
    the guest ends with. Those that it replaced say so."""
    guest, vm = t.shell(cpus="boot=1,max=4")
    for nr in (4, 2, 3, 1):
        vm.put("resize", {"desired_vcpus": nr})
    for nr in (4, 2, 3, 1):
        event = vm.wait_event("resize-done", "resize-failed", what="vcpus",
                              wanted=str(nr), seconds=90)
        why = event["properties"].get("error", "")
        if nr in (4, 1) or "replaced" not in why:
            t.equal(f"the end of {nr} ({why})", event["event"], "resize-done")
    guest.do("say cpus $(nproc) $(cat /sys/devices/system/cpu/present)")
    t.equal("CPUs, and those present", guest.fact("cpus"), "1 0" if t.is_x86 else "1 0-3")
    t.end_shell(guest)


def resize_memory(t, vm, mib, event="resize-done"):
    vm.put("resize", {"desired_ram": mib * MIB})
    got = vm.wait_event("resize-done", "resize-failed", what="memory",
                        wanted=str(mib * MIB), seconds=180)
    t.equal(f"how the change to {mib} MiB ended", got["event"], event)
    return got["properties"]


TOTAL = "$(sed -n 's/^MemTotal: *\\([0-9]*\\) kB/\\1/p' /proc/meminfo)"


def total_mib(guest, at_least=0):
    """What the guest has, as soon as that is enough: new memory is told to it
    and used by it a little later."""
    guest.do(f"for try in $(seq 300); do [ {TOTAL} -lt {at_least << 10} ] || "
             f"break; usleep 100000; done; say memory {TOTAL}")
    return int(guest.fact("memory")) >> 10


def fill(guest, mib):
    """Takes that much of the guest's memory."""
    guest.do(f"mount -o remount,size={mib + 64}m /dev/shm; dd if=/dev/zero "
             f"bs=1M count={mib} 2>/dev/null | tr '\\0' x >/dev/shm/data; "
             "say filled $(($(stat -c %s /dev/shm/data) >> 20))")
    return guest.fact("filled") == str(mib)


@case("resize-memory", x86=True)
def resize_memory_up_and_down(t):
    """256 MiB to 2 GiB and back; the host gives what is used, and has it back
    at once."""
    guest, vm = t.shell(memory="size=256M,hotplug_size=1792M", words=MOVABLE)
    small = total_mib(guest)
    for mib in (2048, 512):
        resize_memory(t, vm, mib)
        # What describes new pages is taken of the old ones.
        want = int(small + (mib - 256) * 0.97)
        have = total_mib(guest, want)
        t.check(have >= want, f"the guest has {have} MiB of {mib}")
        t.equal("memory_actual_size", vm.get("info")["memory_actual_size"],
                mib * MIB)
        t.check(fill(guest, 300), "the guest cannot fill 300 MiB")
        t.check(guest.rss_mib() > 300, f"vmm has {guest.rss_mib()} MiB of a "
                "guest that filled 300")
        figures = vm.get("stats")["memory"]
        t.check(figures["guest_rss_bytes"] > 300 * MIB, f"vm.stats: {figures}")
        guest.do("rm /dev/shm/data")
        resize_memory(t, vm, 256)
        t.check(guest.rss_mib() < 300, f"vmm still has {guest.rss_mib()} MiB")
        have = total_mib(guest)
        t.check(abs(have - small) < 16, f"the guest has {have} MiB, not {small}")
    reply = vm.request("PUT", "resize", {"desired_ram": 300 * MIB})
    t.check(reply.status >= 400 and b"128 MiB" in reply.body,
            f"300 MiB: {reply.status} {reply.body}")
    t.end_shell(guest)


@case("resize-memory-partly", x86=True)
def resize_memory_partly(t):
    """Memory that the guest cannot empty stays, and how much came is said. The
    guest's next start has nothing in it, and gives it."""
    guest, vm = t.shell(memory="size=256M,hotplug_size=512M",
                        words="memhp_default_state=offline", on_reset="reboot")
    resize_memory(t, vm, 512)
    # The kernel's own data goes to the highest zone that is not movable.
    guest.do("cd /sys/devices/system/memory; for try in $(seq 100); do "
             "set -- $(grep -l offline memory*/state); [ $# -lt 2 ] || break; "
             "usleep 100000; done; echo online_kernel >$1; "
             "echo online_movable >$2; say online $(cat $1) $(cat $2); "
             "seq 4000 | sed s:^:/run/: | xargs mkdir")
    t.equal("the new blocks", guest.fact("online"), "online online")
    how = resize_memory(t, vm, 256, "resize-failed")
    t.equal("what is left", how["actual"], str(384 * MIB))
    t.check("128 of 256 MiB" in how.get("error", ""), f"the event says {how}")
    t.equal("memory_actual_size", vm.get("info")["memory_actual_size"],
            384 * MIB)
    start = len(guest.text())
    guest.type("reboot -f\n")
    guest.restarted(start)
    resize_memory(t, vm, 256)
    t.end_shell(guest)


@case("resize-memory-io", x86=True)
def resize_memory_io(t):
    """New memory is good for disks, with buffers that io_uring was told of."""
    disk = t.disk("disk", 64, engine="uring", direct=True)
    guest, vm = t.shell(memory="size=256M,hotplug_size=512M,prefault=on",
                        words=MOVABLE, disks=[disk],
                        root=t.root("test-rootfs.ext4"))
    for _ in range(2):
        resize_memory(t, vm, 768)
        total_mib(guest, 640)
        t.check(fill(guest, 200), "the guest cannot fill 200 MiB")
        # With the old memory full, the pages that hold its data are new ones.
        guest.do("fio --name=new --filename=/dev/vdb --rw=randwrite --bs=64k "
                 "--size=64M --ioengine=libaio --iodepth=16 --direct=1 "
                 "--mem=mmap --verify=crc32c --verify_fatal=1 >/tmp/fio 2>&1; "
                 "say fio $?; rm /dev/shm/data", t.settings.seconds * 2)
        t.equal("fio's status", guest.fact("fio"), "0")
        resize_memory(t, vm, 256)
    t.end_shell(guest)
