# SPDX-License-Identifier: Apache-2.0
"""The serial console, both ways."""

import os
import re
import termios

from cases import case
import monitor

PROMPT = r"root@vmm-guest:[^#$]*[#$] "


@case("serial-terminal")
def serial_terminal(t):
    """A shell on a terminal: input, more of it than a FIFO holds, the end by
    Ctrl-A x, and the terminal as it was before."""
    guest = t.guest().start("terminal")
    before = termios.tcgetattr(guest.terminal)[:4]
    at = guest.wait(PROMPT)
    guest.type("echo sum=$((6*7))\n")
    at = guest.wait(r"^sum=42", t.settings.seconds, at)
    guest.wait(PROMPT, t.settings.seconds, at)
    digits = "".join(f"{n:03}." for n in range(100))
    # The shell echoes what it reads; the quotes tell that from the answer.
    guest.type(f"echo '{digits}'end\n")
    at = guest.wait(re.escape(digits + "end"), t.settings.seconds, at)
    guest.wait(PROMPT, t.settings.seconds, at)
    guest.type("\x01x")
    t.equal("vmm's exit status after Ctrl-A x", guest.end(10), 0)
    t.equal("the terminal's settings", termios.tcgetattr(guest.terminal)[:4],
            before)


@case("serial-pty")
def serial_pty(t):
    """A new pseudo-terminal, whose name vmm says. It is raw, and whoever watches
    it may come, go and come again."""
    guest = t.guest(serial="pty").start()
    guest.errors.wait(r"serial port on /dev/pts/\d+$", 20)
    name = re.search(r"/dev/pts/\d+", guest.errors.text())[0]
    os.close(os.open(name, os.O_RDWR | os.O_NOCTTY))
    fd = os.open(name, os.O_RDWR | os.O_NOCTTY)
    guest.fds.append(fd)
    guest.console = monitor.Stream(fd, guest.base + ".console")
    guest.wait(PROMPT)
    os.write(fd, b"echo sum=$((6*7)); poweroff -f\n")
    guest.wait(r"^sum=42")
    t.end(guest)


@case("serial-file")
def serial_file(t):
    path = t.path("console")
    guest = t.guest("say in the file\n", serial=f"file={path}").start()
    t.end(guest)
    t.equal("vmm's own output", guest.text(), "")
    with open(path, encoding="utf-8", errors="replace") as f:
        text = f.read()
    t.check("T: in the file" in text, "the file has not what the guest said")


@case("serial-off")
def serial_off(t):
    """No port at all, and a guest that does not miss it."""
    disk = t.disk("result", 1)
    port = re.search(r"console=(\w+)", t.words)[1]
    guest = t.guest(f"""
[ -e /sys/class/tty/{port} ] && type=$(cat /sys/class/tty/{port}/type)
echo "result {port} ${{type:-none}}" | dd of=/dev/vdb conv=notrunc,fsync
""", disks=[disk], serial="off", console="panic=-1").start()
    t.end(guest)
    t.equal("vmm's own output", guest.text(), "")
    result = disk.read(64).split(b"\n")[0].decode()
    # The driver's ports of type 0 are places where no chip was found.
    t.check(result in (f"result {port} 0", f"result {port} none"),
            f"the guest's result is {result}")
    t.log_is_clean(guest)


@case("serial-blocked")
def serial_blocked(t):
    """Nobody reads vmm's output: the guest runs on, and so does its end."""
    disk = t.disk("result", 1)
    guest = t.guest("""
dd if=/dev/zero bs=1k count=32 2>/dev/null | tr '\\0' x
echo wrote all | dd of=/dev/vdb conv=notrunc,fsync 2>/dev/null
""", disks=[disk]).start("blocked")
    t.end(guest)
    t.equal("the guest's result", disk.read(9), b"wrote all")
