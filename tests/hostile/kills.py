# SPDX-License-Identifier: Apache-2.0
"""A monitor that is killed at any instant of its life: the next one starts, with the
same sockets, TAPs, disks and directories, as if nothing had been."""

import contextlib
import os
import random
import select
import subprocess
import threading
import time

from machine import GoProfile, MIB, check, environment, small_disk

IN_TIME = 4     # seconds until the next one's guest runs
IN_TIME_NOISY = 60


class Life:
    """A monitor with all devices, and requests to it until it is killed."""

    def __init__(self, args, folder):
        self.folder = folder
        self.api = os.path.join(folder, "api")
        self.log = os.path.join(folder, "log")
        path = folder + "/"
        self.argv = [
            args.vmm, "--kernel", args.guest, "--memory", "64M,hotplug_size=128M",
            "--cpus", "1,max=2", "--api-socket", self.api,
            "--event-monitor", "path=" + path + "events",
            "--disk", f"path={path}d0,id=d0", "--net", "tap=k0,id=n0,ip=192.0.2.1",
            "--vsock", f"cid=3,socket={path}v,id=v0",
            "--fs", f"tag=f0,path={path}share,id=f0,dax=4M"]

    def start(self):
        with open(self.log, "wb") as log:
            self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                            stdout=subprocess.PIPE, stderr=log,
                                            env=environment())

    def kill(self):
        self.process.kill()
        self.process.wait()
        self.process.stdout.close()

    def await_guest(self, seconds):
        start = time.monotonic()
        said = b""
        while b"READY" not in said:
            left = start + seconds - time.monotonic()
            ready = left > 0 and select.select([self.process.stdout], [], [], left)[0]
            chunk = os.read(self.process.stdout.fileno(), 4096) if ready else b""
            with open(self.log, encoding="utf-8", errors="replace") as f:
                check(chunk, "after a kill there is no start:", self.process.poll(), f.read())
            said += chunk
        return time.monotonic() - start

    def live(self, seconds, rand):
        """Requests, one after the other, until that."""
        killer = threading.Timer(seconds, self.process.kill)
        killer.start()
        # It is gone in the middle of one.
        with contextlib.suppress(OSError, EOFError):
            client = GoProfile(self.api)
            try:
                while True:
                    client.request("PUT", *self.some_request(rand))
            finally:
                client.close()
        self.process.wait()
        killer.join()
        self.process.stdout.close()

    def some_request(self, rand):
        name = f"x{rand.randrange(2)}"
        return rand.choice((
            ("vm.add-disk", {"path": self.folder + "/x0", "id": name}),
            ("vm.add-net", {"tap": "k1", "id": name}),
            ("vm.add-fs", {"tag": name, "path": self.folder + "/share", "id": name}),
            ("vm.remove-device", {"id": name, "force": True}),
            ("vm.remove-device", {"id": name, "force": True}),
            ("vm.pause",), ("vm.resume",), ("vm.reboot",),
            ("vm.resize", {"desired_vcpus": 2, "desired_ram": 192 * MIB})))


def kills(args):
    rand = random.Random(args.seed)
    count = 1000 if args.long else 16
    longest = 0.0
    with small_disk(64) as folder:
        os.mkdir(folder + "/share")
        for name in ("d0", "x0"):
            with open(f"{folder}/{name}", "wb") as f:
                f.truncate(MIB)
        for _ in range(count // 2):
            # while it starts, or at any time before
            life = Life(args, folder)
            life.start()
            time.sleep(rand.choice((0.005, 0.05, 0.5)) * rand.random())
            life.kill()
            # and in the middle of requests
            life.start()
            try:
                longest = max(longest, life.await_guest(IN_TIME if args.quiet_host
                                                        else IN_TIME_NOISY))
                life.live(0.3 * rand.random(), rand)
            finally:
                if life.process.poll() is None:
                    life.kill()
        # TAPs that are made go with who made them.
        with open("/proc/self/net/dev", encoding="ascii") as f:
            left = [line.split(":")[0].strip() for line in f if line.strip().startswith("k")]
        check(not left, "interfaces of the dead:", left)
        life.start()
        life.await_guest(IN_TIME_NOISY)
        life.process.terminate()
        check(life.process.wait(IN_TIME_NOISY) == 0, "exit status", life.process.returncode)
        life.process.stdout.close()
        left = set(os.listdir(folder)) - {"d0", "x0", "share", "log", "events"}
        check(not left, "left behind:", left)
    print(f"# {count} kills, the next start took {longest:.2f} s at most")
