# SPDX-License-Identifier: Apache-2.0
"""Disks that come and go while Linux runs."""

import os
import re
import time

from cases import case, MIB
import monitor

SLOTS = 31
BURST = 20
BLOCK = "/sys/bus/pci/devices/{bdf}/virtio*/block"

# In the background: every write is read again and compared.
LOAD = """(while [ ! -e /tmp/stop ]; do fio --name=load --filename=/dev/vdb \\
--rw=randwrite --bs=4k --size=4M --ioengine=libaio --iodepth=8 --direct=1 \\
--verify=crc32c --verify_fatal=1 >/tmp/fio 2>&1 || break; echo >>/tmp/rounds; \\
done; echo $? >/tmp/load) &""".replace("\\\n", "")

# The kernel's own words about a disk that comes or goes.
LISTEN = ("uevent sh -c '[ $SUBSYSTEM$DEVTYPE = blockdisk ] && "
          "echo \"T: uevent $ACTION $DEVPATH\"' </dev/null &")


def name_of(guest, bdf, tries=100):
    """What the guest calls the disk at this address; None: there is none. A
    driver that has its device still has to look at the disk."""
    text = guest.do(f"for try in $(seq {tries}); do disk=$(ls "
                    f"{BLOCK.format(bdf=bdf)} 2>/dev/null); [ -z \"$disk\" ] "
                    "|| break; usleep 20000; done; say at $disk")
    return re.search(r"^T: at ?(\S*)$", text, re.M)[1] or None


def add(t, vm, guest, disk, **options):
    """A disk that the guest's driver has when this returns: where, and its
    name."""
    at = vm.put("add-disk", {"path": disk.path, **options})
    name = name_of(guest, at["bdf"])
    t.check_bdf(at["bdf"])
    t.check(name, f"no disk of the guest is at {at['bdf']} after the answer")
    vm.wait_event("device-added", **at)
    return at, name


def remove(t, vm, disk, at):
    vm.put("remove-device", {"id": at["id"]})
    event = vm.wait_event("device-removed", "device-remove-failed", id=at["id"])
    t.equal("how the removal ended", event["event"], "device-removed")
    t.equal("its bdf", event["properties"].get("bdf"), at["bdf"])
    t.check(not disk.is_locked(), "the image is locked after device-removed")


def write_and_remove(t, vm, guest, disk, at, name):
    guest.do(f"echo 'I was {name}' | dd of=/dev/{name} conv=sync,fsync bs=512 "
             "2>/dev/null")
    remove(t, vm, disk, at)
    want = f"I was {name}\n".encode()
    t.equal("what the guest wrote", disk.read(len(want)), want)


def end_load(t, guest):
    text = guest.do("touch /tmp/stop; wait; say rounds $(wc -l </tmp/rounds); "
                    "say load $(cat /tmp/load)", t.settings.seconds * 2)
    t.check("T: load 0" in text, f"the load broke: {guest.do('cat /tmp/fio')}")
    t.check(int(guest.fact("rounds")) > 0, "the load had no time for a round")


def cycles(t, nr):
    busy, disk = t.disk("busy", 8), t.disk("disk", 4)
    guest, vm = t.shell(root=t.root("test-rootfs.ext4"), disks=[busy])
    guest.do(LOAD)
    threads = None
    for number in range(nr):
        at, name = add(t, vm, guest, disk)
        write_and_remove(t, vm, guest, disk, at, name)
        have = guest.nr_fds()
        threads = threads or have
        if not t.equal(f"open files after cycle {number}", have, threads):
            break
    end_load(t, guest)
    for event in ("device-added", "device-removed"):
        t.equal(f"events {event}", vm.count(event), nr)
    t.equal("events of failures", vm.count("device-remove-failed") +
            vm.count("device-add-failed"), 0)
    t.end_shell(guest)


@case("hotplug-cycles")
def hotplug_cycles(t):
    """The same image, over and over, while another disk is busy."""
    cycles(t, 12)


@case("hotplug-cycles-long", long=True)
def hotplug_cycles_long(t):
    """Fewer where Linux waits 5 s before it lets a device go."""
    cycles(t, 200 if t.is_x86 else 50)


@case("hotplug-landlock")
def hotplug_landlock(t):
    """What a rule has comes and goes, and nothing else; what the machine names is
    there, and a shared directory works as ever."""
    allowed, share = t.folder("allowed"), t.folder("share")
    disk = monitor.Disk(os.path.join(allowed, "disk"), MIB)
    outside = t.disk("outside", 1)
    guest, vm = t.shell(options=[
        "--landlock", "--landlock-rules", f"path={allowed},access=rw",
        "--fs", f"tag=share,path={share}"])
    at, name = add(t, vm, guest, disk)
    for verb, body in (("add-disk", {"path": outside.path}),
                       ("add-fs", {"tag": "out", "path": os.path.dirname(share)})):
        reply = vm.request("PUT", verb, body)
        t.equal(f"the status of {verb} outside", reply.status, 500)
        t.check(b"ermission" in reply.body, f"another reason: {reply.body}")
    guest.do("mount -t tmpfs tmpfs /mnt; mkdir /mnt/s; mount -t virtiofs share /mnt/s && "
             "echo through >/mnt/s/file; umount /mnt/s")
    with open(os.path.join(share, "file"), encoding="ascii") as f:
        t.equal("what the guest wrote", f.read(), "through\n")
    write_and_remove(t, vm, guest, disk, at, name)
    t.end_shell(guest)


@case("hotplug-burst")
def hotplug_burst(t):
    """Twice as many requests at once as the server has places, to add and then
    to remove, and all are served; the guest's uevents have the paths that
    shims wait for."""
    disks = [t.disk(f"disk{n}", 1) for n in range(BURST)]
    guest, vm = t.shell()
    guest.do(LISTEN)
    places = vm.put_together("add-disk", [{"path": disk.path, "id": f"d{n}"}
                                          for n, disk in enumerate(disks)])
    t.equal("ids", [at["id"] for at in places], [f"d{n}" for n in range(BURST)])
    t.equal("different slots", len({at["bdf"] for at in places}), BURST)
    t.check(all(name_of(guest, at["bdf"]) for at in places),
            "some disk is not there after the answer")
    vm.put_together("remove-device", [{"id": at["id"]} for at in places])
    for at, disk in zip(places, disks):
        vm.wait_event("device-removed", **at)
        t.check(not disk.is_locked(), f"{at['id']} is still locked")
    for action in ("add", "remove"):
        # The listener starts a shell for each.
        guest.wait(rf"(?s)(.*?^T: uevent {action} ){{{BURST}}}[^\n]*\n")
        have = sorted(re.sub(r"virtio\d+/block/vd[b-z]$", "", path) for path in
                      guest.facts(f"uevent {action}"))
        if not t.is_x86:    # behind a port of a bridge that the device tree names
            have = [re.sub(r"^/devices/platform/30000000.pcie/pci0000:00/0000:00:1[c-f]\.[0-7]/",
                           "/devices/pci0000:00/", path) for path in have]
        t.equal(f"uevents {action}", sorted(have),
                sorted(f"/devices/pci0000:00/{at['bdf']}/" for at in places))
    t.end_shell(guest)


@case("hotplug-busy")
def hotplug_busy(t):
    """A disk goes from under a mounted file system: what it was asked for is
    done, the guest and the other disks live, and the image can come back."""
    disk = t.ext4("disk", 32)
    guest, vm = t.shell(root=t.root("test-rootfs.ext4"))
    at, name = add(t, vm, guest, disk)
    guest.do(f"mount /dev/{name} /mnt && echo kept >/mnt/kept && sync && say mounted")
    t.check(guest.facts("mounted"), "the guest cannot mount it")
    guest.do("(while dd if=/dev/zero of=/mnt/data bs=64k count=64 conv=fsync "
             "2>/dev/null; do echo >>/tmp/rounds; done) & "
             "while [ ! -s /tmp/rounds ]; do usleep 100000; done")
    remove(t, vm, disk, at)
    guest.do("wait; umount /mnt; say gone")
    t.tool("e2fsck", "-fp", disk.path, good=(0, 1))     # 1: mended
    at, name = add(t, vm, guest, disk)
    guest.do(f"mount /dev/{name} /mnt && tell again cat /mnt/kept; umount /mnt")
    t.equal("what the file holds", guest.fact("again"), "kept")
    remove(t, vm, disk, at)
    guest.type("over=1\n")
    t.end(guest)
    t.fsck(disk)


@case("hotplug-all-slots")
def hotplug_all_slots(t):
    """Every slot is good for a disk, and one more is refused."""
    disks = [t.disk(f"disk{n}", 1) for n in range(SLOTS - 1)]
    guest, vm = t.shell()
    # The root and the job's disk are there.
    vm.put_together("add-disk", [{"path": disk.path} for disk in
                                 disks[:SLOTS - 2]])
    reply = vm.request("PUT", "add-disk", {"path": disks[-1].path})
    t.equal("the status of one too many", reply.status, 500)
    t.check(b"31" in reply.body, f"the refusal is {reply.body}")
    t.check(not disks[-1].is_locked(), "the image of the refused is locked")
    t.equal("disks in vm.info", len(vm.get("info")["config"]["disks"]), SLOTS)
    guest.do("for try in $(seq 100); do disks=$(ls -d /sys/block/vd* | wc -l); "
             f"[ $disks -lt {SLOTS} ] || break; usleep 20000; done; say disks $disks")
    t.equal("the guest's disks", guest.fact("disks"), str(SLOTS))
    t.end_shell(guest)


@case("hotplug-force")
def hotplug_force(t):
    """A disk is taken away without asking: the guest notices, and its slot can
    be used again."""
    disk = t.disk("disk", 4)
    guest, vm = t.shell()
    at, name = add(t, vm, guest, disk)
    vm.put("remove-device", {"id": at["id"], "force": True})
    vm.wait_event("device-removed", seconds=0, **at)
    t.check(not disk.is_locked(), "the image is locked after the answer")
    guest.do(f"while [ -e /sys/block/{name} ]; do usleep 50000; done")
    again, name = add(t, vm, guest, disk)
    write_and_remove(t, vm, guest, disk, again, name)
    guest.type("over=1\n")
    t.end(guest)


@case("hotplug-paused")
def hotplug_paused(t):
    """A disk comes while the machine stands still for 5 s, under I/O."""
    busy, disk = t.disk("busy", 8), t.disk("disk", 4)
    guest, vm = t.shell(root=t.root("test-rootfs.ext4"), disks=[busy])
    guest.do(LOAD)
    guest.do("while [ ! -s /tmp/rounds ]; do usleep 100000; done")
    vm.put("pause")
    t.equal("the second pause's status", vm.request("PUT", "pause").status, 500)
    before, ran = vm.get("counters"), guest.cpu_ticks()
    at = vm.put("add-disk", {"path": disk.path})
    time.sleep(5)
    after = vm.get("counters")
    after.pop(at["id"])
    t.equal("what the disks did in 5 s of pause", after, before)
    # A disk is opened and plugged meanwhile; what does not stand still takes 500.
    ran = guest.cpu_ticks() - ran
    t.check(ran < 150, f"vmm used {ran} ticks while the machine stood still")
    vm.put("resume")
    vm.wait_event("device-added", **at)
    write_and_remove(t, vm, guest, disk, at, name_of(guest, at["bdf"]))
    end_load(t, guest)
    t.end_shell(guest)


@case("hotplug-reboot")
def hotplug_reboot(t):
    """What was plugged stays over a reboot, in its slot, and what was removed
    stays away."""
    kept, gone = t.disk("kept", 4), t.disk("gone", 4)
    guest, vm = t.shell(cpus="boot=1,max=2", on_reset="reboot",
                        memory="size=256M,hotplug_size=256M" if t.is_x86 else "256M")
    at, _ = add(t, vm, guest, gone)
    stays, _ = add(t, vm, guest, kept, serial="kept")
    remove(t, vm, gone, at)
    grow = {"vcpus": {"desired_vcpus": 2}}
    if t.is_x86:
        grow["memory"] = {"desired_ram": 384 * MIB}
    vm.put("resize", {key: value for body in grow.values() for key, value in body.items()})
    for what in grow:
        vm.wait_event("resize-done", what=what)
    start = len(guest.text())
    guest.type("reboot -f\n")
    guest.restarted(start)
    name = name_of(guest, stays["bdf"])
    t.check(name, f"no disk at {stays['bdf']} after the reboot")
    t.equal("a disk in the other slot", name_of(guest, at["bdf"], 1), None)
    guest.do(f"say serial $(cat /sys/block/{name}/serial); say cpus $(nproc)")
    t.equal("its serial", guest.fact("serial"), "kept")
    t.equal("nproc", guest.fact("cpus"), "2")
    write_and_remove(t, vm, guest, kept, stays, name)
    t.end_shell(guest)


REBOOTS = int(os.environ.get("VMM_TEST_REBOOTS", "20"))


@case("hotplug-reboots-long", long=60 * REBOOTS)
def hotplug_reboots_long(t):
    """One reboot is one reset: with a plugged disk that is busy, over and over,
    VMM_TEST_REBOOTS times (20)."""
    busy, disk = t.disk("busy", 8), t.disk("disk", 4)
    guest, vm = t.shell(root=t.root("test-rootfs.ext4"), disks=[busy],
                        on_reset="reboot")
    at, name = add(t, vm, guest, disk)
    for number in range(1, REBOOTS + 1):
        guest.do(LOAD)
        guest.do(f"while dd if=/dev/zero of=/dev/{name} bs=64k conv=fsync; do :; "
                 "done >/dev/null 2>&1 &")
        start = len(guest.text())
        guest.type("reboot -f\n" if number % 2 else "reboot; sleep 60\n")
        guest.restarted(start)
        name = name_of(guest, at["bdf"])
        why = ", ".join(re.findall("triple fault|Kernel panic|the guest reboots",
                                   guest.errors.text() + guest.text()[start:]))
        if not t.check(name, f"no disk at {at['bdf']} after reboot {number}") or \
           not t.equal(f"resets after reboot {number} ({why[-200:]})",
                       vm.count("rebooting"), number):
            break
    t.end_shell(guest)


@case("resize-disk")
def resize_disk(t):
    """A disk grows under the guest, which sees it."""
    disk = t.disk("disk", 4, id="disk")
    guest, vm = t.shell(disks=[disk])
    vm.put("resize-disk", {"id": "disk", "desired_size": 8 * MIB})
    guest.do("for try in $(seq 50); do [ $(cat /sys/block/vdb/size) = 16384 ] "
             "&& break; usleep 100000; done; say size $(cat /sys/block/vdb/size)")
    t.equal("its size in the guest", guest.fact("size"), "16384")
    t.equal("its size on the host", len(disk.read()), 8 * MIB)
    t.equal("a size that is no multiple of a block", vm.request(
        "PUT", "resize-disk", {"id": "disk", "desired_size": 1000}).status, 400)
    t.end_shell(guest)
