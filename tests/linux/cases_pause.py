# SPDX-License-Identifier: Apache-2.0
"""What comes from outside while the machine stands still."""

import array
import fcntl
import os
import signal
import termios

from cases import case

TIOCGPTN = 0x80045430   # the number of a terminal's other end, N of /dev/pts/N

def unread(guest):
    """Bytes that were typed and that vmm has not read."""
    number = array.array("I", [0])
    fcntl.ioctl(guest.terminal, TIOCGPTN, number)
    fd = os.open(f"/dev/pts/{number[0]}", os.O_RDONLY | os.O_NOCTTY)
    try:
        count = array.array("i", [0])
        fcntl.ioctl(fd, termios.FIONREAD, count)
    finally:
        os.close(fd)
    return count[0]


@case("pause-console", smoke=True)
def pause_console(t):
    """What is typed meanwhile waits, for the most part in the terminal; the guest
    has all of it afterwards."""
    guest, vm = t.shell()
    vm.put("pause")
    digits = "".join(f"{n:03}." for n in range(400))
    line = f"say typed {digits}\n"
    guest.type(line)
    # The main loop, which would read it, has been around twice then.
    for _ in range(2):
        vm.get("info")
    # It reads on a bit, for Ctrl-A x.
    t.check(unread(guest) >= len(line) - 1024, f"{unread(guest)} bytes are left in the terminal")
    start = len(guest.text())
    vm.put("resume")
    guest.wait(rf"^T: typed {digits}$", start=start)
    t.equal("bytes left in the terminal", unread(guest), 0)
    guest.turn += 1
    t.end_shell(guest)


@case("pause-button", x86=True)
def pause_button(t):
    """The power button is pressed meanwhile, by each of its ways; the guest
    notices when it runs on."""
    for press in (lambda guest: guest.control.put("power-button"),
                  lambda guest: guest.signal(signal.SIGPWR)):
        guest, vm = t.shell()
        guest.do("await_button")
        vm.put("pause")
        press(guest)
        for _ in range(2):
            t.equal("the state", vm.get("info")["state"], "Paused")
        vm.put("resume")
        t.end(guest)
        t.check("reboot: Power down" in guest.text(), "no power down was seen")
