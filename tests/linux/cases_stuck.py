# SPDX-License-Identifier: Apache-2.0
"""A disk of the host that hangs: it may hold up what the guest asked of it,
and nothing else. In the host's kernel not even a signal ends such a wait."""

import os
import re
import signal
import time

import devmapper
import monitor
from cases import case, Skip
from cases_hotplug import add, remove
from control import Wrong

# Seconds. What waits for nothing takes a tenth of it, in the lab a third; who
# removes a disk by force is told after one that the host still holds it.
SOON = 1
FORCED = 3
MIB_UNDER = 16
PF_EXITING = 4      # of Linux' include/linux/sched.h

# In the background: the data of direct I/O, or the flush, gets stuck.
WRITER = ("(while dd if=/dev/zero of=/dev/{name} bs=64k count=16 oflag=direct "
          "conv=fsync; do echo >>/tmp/rounds; done; echo over >>/tmp/over) "
          "2>/dev/null & while [ ! -s /tmp/rounds ]; do usleep 50000; done")


def soon(t, what, function, seconds=SOON):
    """Its value; that it comes late is a failure, and never the end."""
    start = time.monotonic()
    try:
        value = function()
    except TimeoutError:
        raise Wrong(f"{what}: no answer") from None
    took = time.monotonic() - start
    t.check(took < seconds, f"{what} took {took:.2f} s")
    return value


def until(t, what, function, seconds=None):
    """Waits for something to be true."""
    deadline = time.monotonic() + (seconds or t.settings.seconds)
    while not function():
        if time.monotonic() > deadline:
            return t.check(False, f"{what}: not in time")
        time.sleep(0.02)
    return True


class Stuck:
    """A guest with a hot-plugged disk on a device that can be suspended."""

    def __init__(self, t, linear, options):
        self.t = t
        self.linear = linear
        self.disk = monitor.Disk(linear.path)
        self.guest, self.vm = t.shell()
        self.vm.get("info")     # the connection counts
        self.files = self.open_files()
        self.at, self.name = add(t, self.vm, self.guest, self.disk, **options)

    def suspend(self):
        """In the middle of what the guest writes."""
        self.guest.do(WRITER.format(name=self.name))
        self.linear.suspend()
        figures = None
        while figures != self.figures():
            figures = self.figures()
            time.sleep(0.2)

    def figures(self):
        return self.vm.get("counters")[self.at["id"]]

    def open_files(self):
        """What they are, but for numbers that are of no use."""
        base = f"/proc/{self.guest.process.pid}/fd"
        links = [os.readlink(f"{base}/{fd}") for fd in os.listdir(base)]
        return sorted(re.sub(r"\[\d+\]", "", link) for link in links)

    def check_answers(self):
        """Old clients and new ones are served, and the guest runs."""
        self.check_clients()
        self.guest.do("say alive")

    def check_clients(self):
        t, vm = self.t, self.vm
        ping = soon(t, "vmm.ping", lambda: vm.client.request("GET", "vmm.ping"))
        t.equal("its status", ping.status, 200)
        other = vm.connect()
        info = soon(t, "another client's vm.info",
                    lambda: other.request("GET", "vm.info"))
        t.equal("its status", info.status, 200)
        other.close()

    def check_pause(self):
        """It fails and says for whom it waited; others are served meanwhile."""
        other = self.vm.connect()
        other.send("PUT", "vm.pause")
        self.check_clients()
        reply = other.wire.reply()
        other.close()
        self.t.equal("the status of vm.pause", reply.status, 500)
        self.t.check(self.at["id"].encode() in reply.body,
                     f"vm.pause does not name the disk: {reply.body}")

    def check_other_disk(self):
        """Another disk comes, is good, and goes."""
        disk = self.t.disk("other", 1)
        at, name = add(self.t, self.vm, self.guest, disk)
        self.guest.do(f"echo good | dd of=/dev/{name} conv=sync,fsync bs=512 "
                      "2>/dev/null")
        self.t.equal("the other disk", disk.read(5), b"good\n")
        remove(self.t, self.vm, disk, at)

    def check_force(self):
        body = {"id": self.at["id"], "force": True}
        reply = soon(self.t, "vm.remove-device by force", lambda: self.vm.request(
            "PUT", "remove-device", body), FORCED)
        self.t.equal("its status", reply.status, 204)
        self.vm.wait_event("device-removed", seconds=FORCED, **self.at)
        self.guest.do("for try in $(seq 200); do "
                      f"[ -e /sys/block/{self.name} ] || break; usleep 50000; "
                      f"done; [ -e /sys/block/{self.name} ] || say gone")
        self.t.check(self.guest.facts("gone"), "the guest still has the disk")

    def check_released(self):
        """vmm's end of the disk, once that answers again."""
        t = self.t
        until(t, "the image is free", lambda: not self.disk.is_locked())
        if not until(t, "open files as before the disk",
                     lambda: len(self.open_files()) <= len(self.files), 30):
            t.equal("open files", self.open_files(), self.files)


def stuck(t):
    """Nobody can answer for this disk but Linear."""
    if not devmapper.is_here() and not t.settings.is_lab:
        raise Skip("this machine has no device-mapper (modprobe dm_mod)")
    return devmapper.Linear(t.name, t.disk("under", MIB_UNDER).path)


def force(t, **options):
    with stuck(t) as linear:
        it = Stuck(t, linear, options)
        it.suspend()
        it.check_answers()
        it.check_other_disk()
        it.check_pause()
        it.check_answers()
        it.check_force()
        it.check_answers()
        linear.resume()
        it.check_released()
        it.check_answers()
        # Linux 6.12 waits for ever for what was in flight when its device
        # went: it looks at no ring any more, and does not power off either.
        it.guest.signal(signal.SIGTERM)
        t.end(it.guest)


def called_exit(guest):
    """All that is left of it waits in the kernel."""
    try:
        with open(f"/proc/{guest.process.pid}/stat", encoding="ascii") as f:
            state, *numbers = f.read().rpartition(") ")[2].split()
            return state in "ZX" or bool(int(numbers[5]) & PF_EXITING)
    except FileNotFoundError:
        return True


def sigterm(t, **options):
    with stuck(t) as linear:
        it = Stuck(t, linear, options)
        socket = os.path.join(it.guest.api, "socket")
        it.suspend()
        it.guest.signal(signal.SIGTERM)
        until(t, "the socket file is gone after SIGTERM",
              lambda: not os.path.exists(socket), SOON)
        until(t, "exit was called after SIGTERM",
              lambda: called_exit(it.guest), SOON)
        linear.resume()
        t.end(it.guest)
        until(t, "the image is free", lambda: not it.disk.is_locked())


@case("stuck-force")
def stuck_force(t):
    """A disk is taken away while the host holds what was asked of it."""
    force(t, engine="uring", direct=True)


@case("stuck-sigterm")
def stuck_sigterm(t):
    sigterm(t, engine="uring", direct=True)


ENGINES = [{"engine": engine, "direct": direct}
           for engine in ("uring", "aio", "sync") for direct in (True, False)]


@case("stuck-engines-long", long=True)
def stuck_engines_long(t):
    """The same for every other way to the host's disk."""
    for options in ENGINES[1:]:
        before = len(t.failures)
        force(t, **options)
        sigterm(t, **options)
        t.failures[before:] = [f"{options}: {failure}" for failure in
                               t.failures[before:]]
