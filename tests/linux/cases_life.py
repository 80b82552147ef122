# SPDX-License-Identifier: Apache-2.0
"""How guests end and begin again."""

import signal
import time

from cases import case

COUNT = """
count=$(dd if=/dev/vdb bs=16 count=1 2>/dev/null | tr -dc 0-9)
count=$((count + 1))
printf '%-15s\\n' $count | dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null
say boot $count
sysrq() { echo 1 >/proc/sys/kernel/sysrq; echo $1 >/proc/sysrq-trigger; sleep 20; }
"""


def restarts(t, job, boots, words=""):
    """One vmm whose guest restarts until its counter has the last boot."""
    disk = t.disk("count", 1)
    guest = t.guest(COUNT + job, disks=[disk], on_reset="reboot",
                    words=words).start()
    at = 0
    for number in range(1, boots + 1):
        at = guest.wait(f"^T: boot {number}$", start=at)
    t.end(guest)
    t.equal("the boots that were seen", guest.facts("boot"),
            [str(n) for n in range(1, boots + 1)])
    t.equal("the counter on the disk", disk.read(16).split(),
            [str(boots).encode()])
    t.log_is_clean(guest)
    return guest


@case("reboot")
def reboot(t):
    """Three times in place, each in a way of its own."""
    restarts(t, """
case $count in
1) reboot -f ;;
2) sysrq b ;;
3) reboot; sleep 20 ;;
esac
""", 4)


@case("reboot-long", long=True)
def reboot_long(t):
    restarts(t, "[ $count -eq 20 ] || reboot -f\n", 20)


@case("reset-exit")
def reset_exit(t):
    guest = t.guest("say up\nreboot -f\n").start()
    t.end(guest)
    t.equal("boots", len(guest.facts("up")), 1)
    t.check("reboot: Restarting system" in guest.text(), "no restart was seen")


@case("panic-reboot", smoke=True)
def panic_reboot(t):
    guest = restarts(t, "[ $count -eq 2 ] || sysrq c\n", 2, words="panic=1")
    t.check("Kernel panic - not syncing: sysrq triggered crash" in guest.text(),
            "no panic was seen")


@case("panic-exit")
def panic_exit(t):
    guest = t.guest("echo c >/proc/sysrq-trigger; sleep 20\n").start()
    t.end(guest)
    t.check("Kernel panic - not syncing: sysrq triggered crash" in guest.text(),
            "no panic was seen")


@case("power-button", x86=True)
def power_button(t):
    """SIGPWR presses it; the guest's acpid powers off."""
    guest = t.guest("""
await_button
sleep 30
tell slept grep ACPI /proc/interrupts
tell slept pidof acpid
""").start()
    guest.wait("^T: button")
    guest.signal(signal.SIGPWR)
    t.end(guest)
    t.check("reboot: Power down" in guest.text(), "no power down was seen")
    t.equal("what came 30 s after", guest.facts("slept"), [])


@case("sigterm")
def sigterm(t):
    """Ends vmm at once, under I/O, and its images are free."""
    disk = t.disk("disk", 16)
    guest = t.guest("""
say ready
while :; do dd if=/dev/zero of=/dev/vdb bs=64k oflag=direct 2>/dev/null; done
""", disks=[disk]).start()
    guest.wait("^T: ready")
    time.sleep(1)
    t.check(disk.is_locked(), "the image was not locked while it was used")
    start = time.monotonic()
    guest.signal(signal.SIGTERM)
    t.end(guest)
    took = time.monotonic() - start
    t.check(took < 2, f"vmm ended {took:.1f} s after SIGTERM")
    t.check(not disk.is_locked(), "the image is still locked")
