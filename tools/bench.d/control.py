# SPDX-License-Identifier: Apache-2.0
"""What a request to the monitor costs, on one kept connection to its control
socket: vmm's API, and QMP of QEMU.

  ping_us              GET vmm.ping, while a guest idles; QEMU: query-status. The
                       limit is the same number of bytes there and back between
                       two processes on a socket pair.
  ping_p99_us          the slowest in a hundred of those
  exec_to_ping_ms      exec to the first answer to that, of a process that has no
                       guest yet; QEMU: with -preconfig, after qmp_capabilities
  create_to_guest_ms   from vm.create, with vm.boot after its answer, to the
                       guest's write to port 0x80 (see startup.py). QEMU: from
                       x-exit-preconfig, which makes and starts the machine that
                       its command line describes; it has opened its machine in
                       KVM, its disk image and its sockets before.
  add_disk_reply_ms    vm.add-disk on a running Linux, to its answer, for which vmm
                       waits until the guest's driver has the disk. QEMU:
                       blockdev-add and device_add, sent at once; it answers when
                       it has told the guest, and waits for nothing.
  add_disk_uevent_ms   the same, to the line on the console by which a listener
                       in the guest reports the kernel's uevent: for the disk as
                       much as for that line this is the same work for all
  remove_disk_ms       vm.remove-device to the event device-removed, by when vmm
                       has closed the image, too; QEMU: device_del to
                       DEVICE_DELETED, without the blockdev-del that is left

Each Linux guest runs alone, and gets the disk several times. QEMU's microvm has
no hot-plug, so its pc (slots of the root bus) and q35 (a root port) stand there,
both by ACPI, which is what they come with.
"""

import os
import shutil
import socket
import statistics
import time

from monitors import Guest, Qemu
from process import Failed, say
from report import LIMIT, OURS, Row, rounds
from sockets import TIMEOUT_S, open_session
from startup import NO_MARK, open_tracing

PEERS = ["qemu", "qemu-pc", "qemu-q35"]
NR_PINGS = 2000
NR_WARM = 200
# Of each run of Linux.
NR_DISKS = 4
# For a process that has answered to get to rest.
SETTLE_S = 0.05

# The guest's listener, busybox's mdev, which reads uevents as the kernel sends
# them. It looks at the devices that are there when it already listens, and starts
# a process for no other device than these two.
ADDED = "hot: added"
READY = "hot: ready"
JOB = (f"echo 'null root:root 666 @echo {READY}' >/etc/mdev.conf; "
       f"echo 'vdb root:root 660 @echo {ADDED}' >>/etc/mdev.conf; mdev -df")
CMDLINE = f'console=ttyS0 quiet panic=-1 root=/dev/vda rw vmm.exec="{JOB}"'


# --- Round trips ------------------------------------------------------------

def receive(connection, size):
    data = b""
    while len(data) < size:
        chunk = connection.recv(size - len(data))
        if not chunk:
            raise Failed("the connection was closed")
        data += chunk
    return data


def round_trips(connection, request, reply, nr):
    """Microseconds of each."""
    times = []
    for _ in range(nr):
        start = time.perf_counter_ns()
        connection.sendall(request)
        got = receive(connection, len(reply))
        times.append((time.perf_counter_ns() - start) / 1000)
        if got != reply:
            raise Failed(f"{got!r} is no reply to {request!r}")
    return times


def answer_all(connection, request, reply):
    """What the limit's other process does."""
    try:
        while True:
            receive(connection, len(request))
            connection.sendall(reply)
    except (Failed, OSError):
        pass


class Pings:
    """The rows of round trips."""

    def __init__(self, context):
        self.context = context
        self.median = Row("ping_us", "us", "lower")
        self.p99 = Row("ping_p99_us", "us", "lower")
        self.guest = Guest(kernel=context.guest("idle"),
                           disk=context.disk("ping-disk", 16))
        # Of ours, for the limit.
        self.exchange = None

    def measure(self, who, connection, request, reply):
        round_trips(connection, request, reply, NR_WARM)
        times = round_trips(connection, request, reply, NR_PINGS)
        self.median.add(who, statistics.median(times))
        self.p99.add(who, statistics.quantiles(times, n=100)[98])

    def run_monitor(self, monitor):
        words = monitor.argv(self.guest, self.context.tmp)[1:]
        with open_session(monitor, words, self.context.tmp) as session:
            session.wait_console("READY")
            time.sleep(SETTLE_S)
            session.inbox.forget()
            session.send(session.PING)
            time.sleep(SETTLE_S)
            reply = session.socket.recv(65536)
            if monitor.name == OURS:
                self.exchange = session.PING, reply
            self.measure(monitor.name, session.socket, session.PING, reply)
            session.process.stop(TIMEOUT_S)

    def run_limit(self):
        near, far = socket.socketpair()
        pid = os.fork()
        if not pid:
            near.close()
            answer_all(far, *self.exchange)
            os._exit(0)
        far.close()
        try:
            self.measure(LIMIT, near, *self.exchange)
        finally:
            near.close()
            os.waitpid(pid, 0)

    def run(self, monitors):
        # Each run has a warm-up of its own.
        contenders = {m.name: lambda _, m=m: self.run_monitor(m)
                      for m in monitors}
        contenders[LIMIT] = lambda _: self.run_limit()
        rounds("ping", self.context.nr_runs(5), contenders,
               [self.median, self.p99], warm=False)
        return [self.median, self.p99]


# --- A machine from a process that waits ------------------------------------

def measure_create(context, monitors):
    guest = Guest(kernel=context.guest("startup"),
                  disk=context.disk("create-disk", 16), serial=False)
    ping_ms = Row("exec_to_ping_ms", "ms", "lower")
    guest_ms = Row("create_to_guest_ms", "ms", "lower")
    tracing = open_tracing("create_to_guest_ms")

    def contender(monitor):
        words = []
        if isinstance(monitor, Qemu):
            words = monitor.argv(guest, context.tmp)[1:] + ["-preconfig"]

        def run(warm_up):
            with open_session(monitor, words, context.tmp) as session:
                ping = session.first_ping - session.process.started
                time.sleep(SETTLE_S)
                if tracing:
                    tracing.clear()
                    sent = session.start_guest(guest)
                    first = tracing.wait(session.process, NO_MARK, TIMEOUT_S)
                session.process.stop(TIMEOUT_S)
            if warm_up:
                return
            ping_ms.add(monitor.name, ping / 1e6)
            if tracing:
                guest_ms.add(monitor.name, (first - sent) / 1e6)

        return run

    try:
        rounds("create", context.nr_runs(20),
               {m.name: contender(m) for m in monitors}, (ping_ms, guest_ms))
    finally:
        if tracing:
            tracing.close()
    return [row for row in (ping_ms, guest_ms) if row.values]


# --- A disk for a running Linux ---------------------------------------------

def boot_linux(context, monitor):
    image = os.path.join(context.tmp, "root")
    shutil.copyfile(context.kit + "/rootfs.ext4", image)
    guest = Guest(kernel=context.kit + "/vmlinux", cmdline=CMDLINE, disk=image,
                  initramfs=context.kit + "/initramfs.cpio", linux=True)
    words = monitor.argv(guest, context.tmp)[1:] + monitor.hot_words
    return open_session(monitor, words, context.tmp)


def come_and_go(session, disk):
    """Milliseconds to the answer, to the uevent, and for the removal."""
    session.inbox.forget()
    asked, answered = session.add_disk(disk)
    seen = session.wait_console(ADDED)
    time.sleep(SETTLE_S)
    asked_again, gone = session.remove_disk()
    time.sleep(SETTLE_S)
    return [ns / 1e6 for ns in (answered - asked, seen - asked,
                                gone - asked_again)]


def measure_disk(context, monitors):
    if not context.kit:
        raise SystemExit("bench: control needs --kit for its Linux guests")
    rows = [Row(name, "ms", "lower") for name in
            ("add_disk_reply_ms", "add_disk_uevent_ms", "remove_disk_ms")]
    disk = context.disk("hot-disk", 16)
    broken = set()

    def run_once(monitor):
        with boot_linux(context, monitor) as session:
            session.wait_console(READY)
            come_and_go(session, disk)
            values = [come_and_go(session, disk) for _ in range(NR_DISKS)]
            session.process.stop(TIMEOUT_S)
        return values

    def run(monitor):
        try:
            values = run_once(monitor)
        except Failed as e:
            # The lab's processor is emulated, and now and then wrongly so.
            if monitor.name in broken or not os.environ.get("VMM_LAB"):
                raise
            broken.add(monitor.name)
            say(f"{monitor.name} once more, the only time, for it failed: {e}")
            values = run_once(monitor)
        for value in values:
            for row, ms in zip(rows, value):
                row.add(monitor.name, ms)

    # Each run has a disk that is thrown away.
    rounds("disk", context.nr_runs(5),
           {m.name: lambda _, m=m: run(m) for m in monitors}, rows, warm=False)
    return rows


def measure(context):
    rows = []
    if context.part != "disk":
        monitors = [m for m in context.monitors() if not m.has_firmware]
        rows += Pings(context).run(monitors)
        rows += measure_create(context, monitors)
    if context.part != "socket":
        rows += measure_disk(context, [m for m in context.monitors()
                                       if m.hot_words is not None])
    return rows
