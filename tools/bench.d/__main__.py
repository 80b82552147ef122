# SPDX-License-Identifier: Apache-2.0
"""The measuring part of tools/bench, which prepares all and has the usage."""

import argparse
import fcntl
import os
import platform
import sys
import tempfile

import blk
import boot
import confine
import control
import fs
import iperf
import memory
import monitors
import net
import process
import report
import share
import startup
import vsock

BENCHES = {"startup": startup, "memory": memory, "blk": blk, "boot": boot,
           "control": control, "net": net, "vsock": vsock,
           "fs": fs, "share": share, "iperf": iperf, "confine": confine}


class Context:
    """What every benchmark needs: who is measured, how often, and where."""

    def __init__(self, args, tmp):
        vmm = os.environ["VMM_BIN"]
        self.bench = args.bench
        self.quick = args.quick
        self.runs = args.runs
        self.kit = args.kit
        self.part = args.part
        self.tmp = tmp
        self.build = os.path.dirname(vmm)
        self.ours = monitors.Vmm("vmm", vmm)
        self.peers = args.peers

    def nr_runs(self, full):
        if self.runs:
            return self.runs
        return max(3, full // 3) if self.quick else full

    def built(self, *names):
        path = os.path.join(self.build, *names)
        if not os.path.exists(path):
            sys.exit(f"bench: no {path}: run ninja -C build")
        return path

    def guest(self, name):
        """A bare-metal one, as monitors boot it."""
        suffix = ".elf" if platform.machine() == "x86_64" else ".image"
        return self.built("tests", "guest", name + suffix)

    def program(self, name):
        return self.built("tools", name)

    def monitors(self):
        """Ours and the peers that run guests here."""
        left_out = [m for m in self.peers if m.not_in_lab and
                    os.environ.get("VMM_LAB")]
        for monitor in left_out:
            process.say(f"{monitor.name} is left out: {monitor.not_in_lab}")
        return [self.ours] + [m for m in self.peers if m not in left_out]

    def disk(self, name, size_mib):
        """A raw image that is in the page cache, and on the disk."""
        path = os.path.join(self.tmp, name)
        with open(path, "wb") as f:
            for _ in range(size_mib):
                f.write(os.urandom(1 << 20))
            f.flush()
            os.fsync(f.fileno())
        return path


def parse_peers(bench, words):
    paths = dict.fromkeys(BENCHES[bench].PEERS)
    for word in words:
        name, equals, path = word.partition("=")
        if name not in monitors.PEERS or not equals:
            sys.exit(f"bench: --peer {word}: give NAME=PATH, with a NAME of "
                     + ", ".join(monitors.PEERS))
        if not os.access(path, os.X_OK):
            sys.exit(f"bench: --peer {word}: {path} is not a program")
        paths[name] = os.path.abspath(path)
    # All of QEMU's names mean one binary unless they say otherwise.
    return [monitors.PEERS[name](name, path or paths.get("qemu"))
            for name, path in paths.items()]


def parse_args():
    parser = argparse.ArgumentParser(prog="tools/bench", allow_abbrev=False)
    parser.add_argument("bench", choices=BENCHES)
    parser.add_argument("--json", metavar="FILE")
    parser.add_argument("--peer", metavar="NAME=PATH", action="append",
                        default=[])
    parser.add_argument("--runs", type=int)
    parser.add_argument("--quick", action="store_true")
    parser.add_argument("--kit", help="the guest kit's directory, for Linux")
    # Of control, whose Linux guests may have to run elsewhere than the others:
    # one process saves its part, and the other one adds that to its own.
    parser.add_argument("--part", choices=["socket", "disk"])
    parser.add_argument("--save", metavar="FILE", help=argparse.SUPPRESS)
    parser.add_argument("--add", metavar="FILE", help=argparse.SUPPRESS)
    args = parser.parse_args()
    if args.runs is not None and args.runs < 1:
        parser.error("--runs is not a positive number")
    args.peers = parse_peers(args.bench, args.peer)
    return args


def be_undisturbed():
    """Other work on this machine must not decide who wins: on one that also
    compiles, the same program is now fast and now ten times slower. All that
    is started from here inherits this, so it favours nobody."""
    try:
        os.sched_setscheduler(0, os.SCHED_RR, os.sched_param(1))
    except PermissionError:
        process.say("not root: other work on this machine disturbs the figures")


def hold_kvm():
    """On x86_64, a machine that is there from the first guest to the last. KVM patches the
    kernel's code when the first machine comes and the last one goes, which the
    lab's emulated processors do not always survive."""
    if platform.machine() != "x86_64":
        return
    create_vm, create_irqchip, create_vcpu = 0xAE01, 0xAE60, 0xAE41
    kvm = os.open("/dev/kvm", os.O_RDWR | os.O_CLOEXEC)
    machine = fcntl.ioctl(kvm, create_vm, 0)
    fcntl.ioctl(machine, create_irqchip, 0)
    fcntl.ioctl(machine, create_vcpu, 0)


def main():
    args = parse_args()
    if not os.access("/dev/kvm", os.R_OK | os.W_OK):
        sys.exit("bench: no usable /dev/kvm: is KVM there, may you open it?")
    be_undisturbed()
    if os.environ.get("VMM_LAB"):
        hold_kvm()
    # Not /tmp, which may be memory: the image is to be on a file system.
    base = os.environ.get("TMPDIR", "/var/tmp")
    with tempfile.TemporaryDirectory(prefix="vmm-bench.", dir=base) as tmp:
        rows = BENCHES[args.bench].measure(Context(args, tmp))
    host = report.host()
    if args.save:
        report.save(args.save, host, rows)
        return 0
    if args.add:
        there, more = report.load(args.add)
        host += f"; {', '.join(row.name for row in more)}: {there}"
        rows += more
    if args.json:
        report.write_json(args.json, args.bench, host, rows)
    report.print_table(args.bench, host, rows)
    return 0


if __name__ == "__main__":
    sys.exit(main())
