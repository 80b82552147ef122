# SPDX-License-Identifier: Apache-2.0
"""Verbs of the control socket that a Linux guest notices, and what it says."""

import time

from cases import case


@case("control-boot-again")
def control_boot_again(t):
    """vm.shutdown leaves a process with a machine that can boot again; its
    power button, where the guest has one, pressed while it is paused, then ends both."""
    disk = t.disk("disk", 4)
    guest, vm = t.shell()
    at = vm.put("add-disk", {"path": disk.path})
    vm.put("shutdown")
    t.equal("the state", vm.get("info")["state"], "Created")
    t.check(not disk.is_locked(), "the image is locked after vm.shutdown")
    t.equal("threads", guest.vcpu_threads(), [])
    start = len(guest.text())
    vm.put("boot")
    guest.restarted(start)
    if not t.is_x86:    # what is there from the start is on bus 0
        guest.do("say disks $(ls -d /sys/bus/pci/devices/0000:00:*/virtio*/block/*)")
        t.equal("disks on bus 0 after the second boot", len(guest.fact("disks").split()), 3)
        t.end_shell(guest)
        return
    guest.do(f"say slot $(ls -d /sys/devices/pci0000:00/{at['bdf']})")
    t.check(guest.fact("slot"), f"no device at {at['bdf']} after the second boot")
    guest.do("await_button")
    t.check(guest.facts("button"), "the guest does not listen to its power button")
    vm.put("pause")
    vm.put("power-button")
    t.equal("the state", vm.get("info")["state"], "Paused")
    vm.put("resume")
    t.end(guest)
    t.check("reboot: Power down" in guest.text(), "no power down was seen")


@case("control-nmi", x86=True)
def control_nmi(t):
    """The guest is told to panic on an NMI, and does."""
    guest, vm = t.shell()
    vm.put("nmi")
    t.end(guest)
    t.check("Kernel panic - not syncing: NMI" in guest.text(),
            "the guest did not panic of the NMI")


@case("control-reboot")
def control_reboot(t):
    """vm.reboot, of a machine that runs and of one that is paused."""
    guest, vm = t.shell(on_reset="reboot")
    for verb in ("resume", "pause"):
        vm.request("PUT", verb)
        start = len(guest.text())
        vm.put("reboot")
        t.equal("the state", vm.get("info")["state"], "Running")
        guest.restarted(start)
    t.end_shell(guest)


@case("control-events-bounded")
def control_events_bounded(t):
    """A driver that comes and goes without end is told ten times a second."""
    disk = t.disk("disk", 1, id="disk")
    guest, vm = t.shell(disks=[disk])
    before, start = vm.count("activated", id="disk"), time.monotonic()
    guest.do("cd /sys/bus/virtio/drivers/virtio_blk; "
             "name=$(basename $(realpath /sys/block/vdb/device)); times=0; "
             "read now _ </proc/uptime; end=$((${now%.*} + 5)); "
             "while [ ${now%.*} -lt $end ]; do echo $name >unbind; "
             "echo $name >bind; times=$((times + 1)); read now _ </proc/uptime; "
             "done; say times $times")
    took, times = time.monotonic() - start, int(guest.fact("times"))
    told = vm.count("activated", id="disk") + vm.count("reset", id="disk")
    # Its seconds are not ours: one more may begin and one may end in ours.
    t.check(told - before <= 10 * (took + 2), f"{told - before} events of {times} "
            f"changes of driver in {took:.1f} s")
    t.end_shell(guest)
