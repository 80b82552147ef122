# SPDX-License-Identifier: Apache-2.0
"""vsock between Linux and programs of the host, which speak the hybrid AF_UNIX
protocol: `CONNECT port` on one socket, and a socket a port the other way."""

import hashlib
import os
import re
import select
import socket
import threading
import time

from cases import case, MIB
from network import TEST_ROOT
from control import Wrong

CID = 3
PORT = 1000         # of the guest's echo
HOST_PORT = 5000
HOST_ECHO = 5001
MANY = 500
STORM = 200


def start(t, **how):
    """A guest with a shell and a vsock: it, its control socket, the path."""
    path = t.path("vsock")
    guest, vm = t.shell(root=t.root(TEST_ROOT), options=[
        "--vsock", f"cid={CID},socket={path},id=vsock"], **how)
    echo(guest)
    return guest, vm, path


def echo(guest):
    guest.do(f"modprobe vsock; vsock echo {PORT} >/tmp/echo 2>&1 & echo=$!; "
             "until grep -q listening /tmp/echo; do usleep 50000; done")


def dial(path, port=PORT, seconds=60):
    """A connection to a port of the guest; None: it was refused."""
    one = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
    one.settimeout(seconds)
    one.connect(path)
    one.sendall(f"CONNECT {port}\n".encode())
    answer = b""
    while not answer.endswith(b"\n"):
        byte = one.recv(1)
        if not byte:
            one.close()
            return None
        answer += byte
    if not re.fullmatch(rb"OK \d+\n", answer):
        raise Wrong(f"CONNECT {port} was answered by {answer}")
    return one


def receive(one, size):
    data = b""
    while len(data) < size:
        more = one.recv(size - len(data))
        if not more:
            break
        data += more
    return data


def is_alive(t, path):
    """A line there and back, on a connection of its own."""
    one = dial(path)
    if not t.check(one, "a connection is refused"):
        return
    with one:
        one.sendall(b"alive\n")
        t.equal("the echo", receive(one, 6), b"alive\n")


class Listener:
    """The host's end of a port that guests connect to."""

    def __init__(self, t, path, port):
        self.path = f"{path}_{port}"
        self.socket = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.socket.bind(self.path)
        self.socket.listen(1024)
        self.socket.settimeout(t.settings.seconds)
        t.at_end(self.close)

    def accept(self):
        one = self.socket.accept()[0]
        one.settimeout(60)
        return one

    def serve(self):
        """Echoes on all connections, in a thread, until closed."""
        self.socket.setblocking(False)
        threading.Thread(target=self.echo, daemon=True).start()

    def echo(self):
        poll = select.poll()
        poll.register(self.socket, select.POLLIN)
        ends = {}
        while True:
            for fd, event in poll.poll():
                if event & select.POLLNVAL:
                    return
                try:
                    if fd not in ends:
                        one = self.socket.accept()[0]
                        ends[one.fileno()] = one
                        poll.register(one, select.POLLIN)
                        continue
                    data = ends[fd].recv(65536)
                    ends[fd].sendall(data)
                except OSError:
                    data = b""
                if not data and fd in ends:
                    poll.unregister(fd)
                    ends.pop(fd).close()

    def close(self):
        self.socket.close()
        os.unlink(self.path)


# -- Streams --------------------------------------------------------------

def streams(t, guest, vm, path, listener, disk):
    """A disk's content to the host and back to the guest, on one connection
    each, then both at once."""
    data = disk.read()
    digest = hashlib.sha256(data).hexdigest()
    for together in (False, True):
        guest.do(f"socat -u OPEN:/dev/vdb VSOCK-CONNECT:2:{HOST_PORT} & up=$!; "
                 f"(socat -u VSOCK-LISTEN:{PORT + 1} - | sha256sum >/tmp/sum) & "
                 "down=$!")
        up = listener.accept()
        got = hashlib.sha256()

        def take():
            while chunk := up.recv(1 << 20):
                got.update(chunk)
        taker = threading.Thread(target=take, daemon=True)
        taker.start()
        if not together:
            taker.join()
        deadline = time.monotonic() + 30
        down = dial(path, PORT + 1)
        while not down and time.monotonic() < deadline:
            down = dial(path, PORT + 1)
        down.sendall(data)
        down.close()
        taker.join(120)
        up.close()
        guest.do("wait $up; say up $?; wait $down; say down $(cut -d ' ' -f 1 /tmp/sum)", 120)
        t.equal("the sum of what the host got", got.hexdigest(), digest)
        t.equal("the status of who sent it", guest.fact("up"), "0")
        t.equal("the sum of what the guest got", guest.fact("down"), digest)
    have = vm.get("counters")["vsock"]
    for key in ("rx_bytes", "tx_bytes"):
        t.check(have.get(key, 0) >= 2 * len(data), f"{key} is {have.get(key)}")


def random_disk(t, mib):
    disk = t.disk("data", 0)
    with open(disk.path, "wb") as f:
        f.write(os.urandom(MIB) * mib)
    return disk


@case("vsock-streams-long", long=True)
def vsock_streams_long(t):
    disk = random_disk(t, 100)
    guest, vm, path = start(t, disks=[disk])
    streams(t, guest, vm, path, Listener(t, path, HOST_PORT), disk)
    t.end_shell(guest)
    t.check(not os.path.exists(path), "the socket is there after the end")


def full(t, path):
    """Both directions of a connection are full, as one side writes much before
    it reads; others go on meanwhile, and a half that is closed closes no more
    than that."""
    one = dial(path)
    one.setblocking(False)
    data = os.urandom(MIB) * 8
    sent = 0
    # The guest echoes, nobody reads: at some time nothing goes any more.
    while select.select([], [one], [], 1)[1]:
        sent += one.send(data[sent:sent + 65536])
        if not t.check(sent < len(data), "8 MiB fit into buffers"):
            break
    is_alive(t, path)
    one.settimeout(60)
    back = bytearray()

    def take():
        while chunk := one.recv(1 << 16):
            back.extend(chunk)
    taker = threading.Thread(target=take, daemon=True)
    taker.start()
    one.sendall(data[sent:])
    one.shutdown(socket.SHUT_WR)
    taker.join(60)
    t.check(back == data, f"{len(back)} of {len(data)} bytes came back, or others")
    one.close()


# -- Connections ----------------------------------------------------------

def connections(t, guest, path):
    """Five hundred at once from either side, then storms of short ones, and a
    port where nobody listens."""
    files = guest.nr_fds()
    ends = [dial(path) for _ in range(MANY)]
    t.check(all(ends), f"{ends.count(None)} of {MANY} were refused")
    ends = [one for one in ends if one]
    for number, one in enumerate(ends):
        one.sendall(f"{number}\n".encode())
    for number, one in enumerate(ends):
        want = f"{number}\n".encode()
        if not t.equal(f"what connection {number} gave back",
                       receive(one, len(want)), want):
            break
    Listener(t, path, HOST_ECHO).serve()
    guest.do(f"sleep 60 | vsock dial 2 {HOST_ECHO} {MANY} >/tmp/dial & dial=$!; "
             "until [ -s /tmp/dial ]; do usleep 50000; done; tell dial cat /tmp/dial")
    t.equal("the guest's connections beside these", guest.fact("dial"),
            f"dialled {MANY}: {MANY} echoed, 0 failed")
    for one in ends:
        one.close()
    guest.do("kill $dial; killall sleep")
    begin = time.monotonic()
    t.equal("a port where nobody listens", dial(path, PORT + 77), None)
    t.check(time.monotonic() - begin < 1.5, "to refuse it took "
            f"{time.monotonic() - begin:.1f} s")
    for _ in range(STORM):
        one = dial(path)
        if not t.check(one, "one of the storm was refused"):
            break
        one.close()
    guest.do(f"tell storm vsock storm 2 {HOST_ECHO} {STORM}", 120)
    t.equal("the guest's storm", guest.fact("storm"),
            f"stormed {STORM}: {STORM} echoed, 0 failed")
    guest.do(f"tell refused vsock storm 2 {HOST_ECHO + 1} 20", 60)
    t.equal("connections where the host has nobody", guest.fact("refused"),
            "stormed 20: 0 echoed, 20 failed")
    is_alive(t, path)
    deadline = time.monotonic() + 20
    while guest.nr_fds() > files and time.monotonic() < deadline:
        time.sleep(0.1)
    t.check(guest.nr_fds() <= files, f"{guest.nr_fds()} open files after all, "
            f"{files} before")


def peers(t, guest, path, listener):
    """Either end is killed in the middle of a stream."""
    # The host's end goes.
    guest.do(f"(cat /dev/zero | socat -u - VSOCK-CONNECT:2:{HOST_PORT}; "
             "echo >/tmp/over) 2>/dev/null &")
    one = listener.accept()
    receive(one, MIB)
    one.close()
    guest.do("for try in $(seq 200); do [ ! -e /tmp/over ] || break; usleep 50000; "
             "done; [ ! -e /tmp/over ] || say over")
    t.check(guest.facts("over"), "the guest did not notice that its peer went")
    # The guest's end goes.
    guest.do(f"cat /dev/zero | socat -u - VSOCK-CONNECT:2:{HOST_PORT} 2>/dev/null &")
    one = listener.accept()
    receive(one, MIB)
    guest.do("killall -9 socat")
    end = drain(one)
    t.check(end, "the host did not notice that the guest's program went")
    is_alive(t, path)


def pause_and_reboot(t, guest, vm, path, listener):
    """The guest is paused with a connection open, then reboots with one idle and
    one busy."""
    one = dial(path)
    vm.put("pause")
    one.sendall(b"while paused")
    time.sleep(1)
    t.equal("what came from a paused guest", select.select([one], [], [], 0)[0], [])
    vm.put("resume")
    t.equal("what came after", receive(one, 12), b"while paused")
    guest.do(f"cat /dev/zero | socat -u - VSOCK-CONNECT:2:{HOST_PORT} 2>/dev/null &")
    busy = listener.accept()
    receive(busy, MIB)
    text = len(guest.text())
    guest.type("reboot -f\n")
    guest.restarted(text)
    for what, end in (("an idle connection", one), ("a busy one", busy)):
        t.check(drain(end), f"{what} is open after the guest's reboot")
    echo(guest)
    is_alive(t, path)


def drain(one):
    """Reads what is left; whether it comes to an end in time."""
    try:
        while one.recv(1 << 20):
            pass
        return True
    except ConnectionError:
        return True
    except TimeoutError:
        return False
    finally:
        one.close()


def plug(t, guest, vm, path, is_there, cycles=3):
    """It goes and comes while Linux runs; a second one is refused, and so is a
    CID that means somebody else."""
    body = {"cid": CID, "socket": path, "id": "vsock"}
    files = None
    for cycle in range(cycles):
        if cycle or not is_there:
            at = vm.put("add-vsock", body)
            vm.wait_event("device-added", **at)
            guest.do("kill $echo; wait $echo")
            echo(guest)
            is_alive(t, path)
        reply = vm.request("PUT", "add-vsock", {**body, "id": "second",
                                                "socket": path + "2"})
        t.check(reply.status >= 400, f"a second one gave {reply.status}")
        open_end = dial(path)
        vm.put("remove-device", {"id": "vsock"})
        event = vm.wait_event("device-removed", "device-remove-failed", id="vsock")
        t.equal(f"how removal {cycle} ended", event["event"], "device-removed")
        t.check(drain(open_end), "a connection is open after the removal")
        t.check(not os.path.exists(path), "the socket is there after the removal")
        reply = vm.request("PUT", "add-vsock", {**body, "cid": 2})
        t.check(reply.status >= 400, f"CID 2 gave {reply.status}")
        files = files or guest.nr_fds()
        if not t.equal(f"open files after cycle {cycle}", guest.nr_fds(), files):
            break


@case("vsock")
def vsock(t):
    disk = random_disk(t, 8)
    guest, vm, path = start(t, disks=[disk], on_reset="reboot")
    listener = Listener(t, path, HOST_PORT)
    streams(t, guest, vm, path, listener, disk)
    full(t, path)
    connections(t, guest, path)
    peers(t, guest, path, listener)
    pause_and_reboot(t, guest, vm, path, listener)
    if t.is_x86:    # nothing lets go of a slot of bus 0 elsewhere
        plug(t, guest, vm, path, True)
    t.end_shell(guest)


def hotplug(t, cycles):
    guest, vm = t.shell(root=t.root(TEST_ROOT))
    guest.do("modprobe vmw_vsock_virtio_transport")
    plug(t, guest, vm, t.path("vsock"), False, cycles)
    t.end_shell(guest)


@case("vsock-hotplug", aarch64=True)
def vsock_hotplug(t):
    hotplug(t, 3)


@case("vsock-hotplug-long", long=True)
def vsock_hotplug_long(t):
    hotplug(t, 50)
