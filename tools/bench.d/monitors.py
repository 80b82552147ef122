# SPDX-License-Identifier: Apache-2.0
"""How each monitor is told to run the same guest: one CPU, one device, nothing
more than that, in the leanest way that its manual knows."""

import contextlib
import ctypes
import json
import os
import platform
import shutil
import sys
import time
from dataclasses import dataclass

from process import Failed, Process

MAC = "02:00:00:00:00:02"
CID = 3


def new_namespace():
    """A network of our own, for this process and all that it starts."""
    clone_newnet = 0x40000000
    libc = ctypes.CDLL(None, use_errno=True)
    if libc.unshare(clone_newnet):
        sys.exit("bench: no network namespace: "
                 f"{os.strerror(ctypes.get_errno())}; be root")


@dataclass
class Guest:
    """The machine that is wanted."""

    kernel: str
    # The device: an image, a TAP, a vsock's socket, or a directory.
    disk: str = ""
    tap: str = ""
    vsock: str = ""
    share: str = ""
    # May the directory's device wait busily, where it knows how?
    poll: bool = True
    # MiB of a window for its files, of our own only.
    dax_mib: int = 0
    cmdline: str = ""
    initramfs: str = ""
    # One a vCPU, and whether the host's kernel moves the frames.
    queue_pairs: int = 1
    vhost: bool = False
    memory_mib: int = 256
    # On the monitor's stdout, or no port at all.
    serial: bool = True
    # Linux, which finds its devices by ACPI and on PCI; a bare-metal guest
    # also takes what the command line says.
    linux: bool = False
    # How many devices may come while it runs, where each takes a root port.
    ports: int = 0


class Monitor:
    """A program that runs guests."""

    program = ""
    # A machine that starts with firmware, whatever the kernel.
    has_firmware = False
    # Options for a machine that takes disks while it runs, where it can.
    hot_words = None
    # What happens when its guest resets: it ends with this exit status, or, if
    # None, it starts the guest again and does not end.
    reset_status = 0
    # Why it runs no guest in the lab, if it does not.
    not_in_lab = ""
    # How Linux mounts what it shares.
    mount = "virtiofs"

    def __init__(self, name, path):
        self.name = name
        self.path = path or shutil.which(self.program)
        if not self.path:
            sys.exit(f"bench: no {self.program}: install it, or name another "
                     f"one by --peer {name}=PATH")

    def argv(self, guest, tmp):
        """The command line; files that it takes are made in tmp."""
        raise NotImplementedError

    @contextlib.contextmanager
    def beside(self, guest, tmp):
        """The processes that it needs beside itself."""
        yield []


class Vmm(Monitor):
    """What all is about."""

    hot_words = []

    def argv(self, guest, tmp):
        argv = [self.path, "--kernel", guest.kernel,
                "--cmdline", guest.cmdline, "--cpus", str(guest.queue_pairs),
                "--memory", f"{guest.memory_mib}M",
                "--serial", "tty" if guest.serial else "off",
                "--on-reset", "exit"]
        if guest.disk:
            argv += ["--disk", f"path={guest.disk}"]
        if guest.tap:
            argv += ["--net", f"tap={guest.tap},mac={MAC},"
                     f"num_queues={2 * guest.queue_pairs},"
                     f"vhost={'on' if guest.vhost else 'off'}"]
        if guest.vsock:
            argv += ["--vsock", f"cid={CID},socket={guest.vsock}"]
        if guest.share:
            argv += ["--fs", f"tag=share,path={guest.share},num_queues=1"
                     + ("" if guest.poll else ",poll_us=0")
                     + (f",dax={guest.dax_mib}M" if guest.dax_mib else "")]
        if guest.initramfs:
            argv += ["--initramfs", guest.initramfs]
        if guest.ports:
            argv += ["--hotplug-ports", str(guest.ports)]
        return argv


class Qemu(Monitor):
    """QEMU's microvm, which is quickest without PCI. Distributions' kernels have
    the driver for its disk as a module, so Linux does not set it up at boot."""

    program = "qemu-system-x86_64"
    # Without an MSR that some hosts list and then refuse.
    cpu = "host,arch-capabilities=off"
    iothread = False

    def machine(self, guest):
        machine = "microvm,accel=kvm,pic=off,pit=off,x-option-roms=off"
        machine += ",isa-serial=" + ("on" if guest.serial else "off")
        # Without these it starts sooner, but Linux looks for a clock that is not
        # there 20000 times.
        machine += ",acpi=on,rtc=on" if guest.linux else ",acpi=off,rtc=off"
        return ["-M", machine, "-global", "virtio-mmio.force-legacy=off"]

    def disk_device(self, guest):
        return "virtio-blk-device"

    def net_device(self):
        return "virtio-net-device"

    def device(self, guest):
        """The words for the guest's device."""
        argv = []
        if guest.tap:
            netdev = f"tap,id=net,ifname={guest.tap},script=no,downscript=no"
            device = f"{self.net_device()},netdev=net,mac={MAC}"
            if guest.vhost:
                netdev += ",vhost=on"
            if guest.queue_pairs > 1:
                netdev += f",queues={guest.queue_pairs}"
                device += f",mq=on,vectors={2 * guest.queue_pairs + 2}"
            argv = ["-netdev", netdev, "-device", device]
        if not guest.disk:
            return argv
        argv += ["-drive", f"if=none,id=disk,file={guest.disk},format=raw,"
                          "cache=writeback,aio=io_uring"]
        device = self.disk_device(guest) + ",drive=disk"
        if self.iothread:
            argv += ["-object", "iothread,id=io"]
            device += ",iothread=io"
        return argv + ["-device", device]

    def argv(self, guest, tmp):
        argv = [self.path, *self.machine(guest),
                "-cpu", self.cpu,
                "-smp", str(guest.queue_pairs),
                "-m", f"{guest.memory_mib}M",
                "-nodefaults", "-no-user-config", "-display", "none",
                "-name", "guest,debug-threads=on",
                "-no-reboot", "-kernel", guest.kernel,
                "-append", guest.cmdline]
        if guest.serial:
            argv += ["-serial", "stdio"]
        if guest.initramfs:
            argv += ["-initrd", guest.initramfs]
        return argv + self.device(guest)


class QemuIothread(Qemu):
    """The same with the disk on a thread of its own, which QEMU lets poll."""

    iothread = True


class QemuQ35(Qemu):
    """QEMU's PC with PCIe. Its root bus takes no devices later, a root port does."""

    has_firmware = True
    hot_words = ["-device", "pcie-root-port,id=hot-port,chassis=1"]
    hot_bus = "hot-port"

    def machine(self, guest):
        return ["-M", "q35,accel=kvm,hpet=off,smbus=off,sata=off,usb=off"]

    def disk_device(self, guest):
        return "virtio-blk-pci,disable-legacy=on"

    def net_device(self):
        return "virtio-net-pci,disable-legacy=on"


class QemuVirt(Qemu):
    """QEMU's machine on aarch64, as it is told to Linux without firmware."""

    program = "qemu-system-aarch64"
    cpu = "host"

    def machine(self, guest):
        return ["-M", "virt,accel=kvm,gic-version=3,acpi=off"]

    def disk_device(self, guest):
        return "virtio-blk-pci,disable-legacy=on"

    def net_device(self):
        return "virtio-net-pci,disable-legacy=on"

    def device(self, guest):
        argv = super().device(guest)
        # Eight to a slot, as ours are.
        for i in range(guest.ports):
            argv += ["-device", f"pcie-root-port,id=port{i},chassis={i + 1},"
                     f"addr={0x1c + i // 8:x}.{i % 8:x},multifunction=on"]
        return argv


class QemuVirtiofsd(QemuQ35):
    """The same with a directory, which Debian's virtiofsd serves; it has to see the
    guest's memory."""

    virtiofsd = "/usr/lib/qemu/virtiofsd"

    def words(self, guest):
        return [self.virtiofsd, "-f", f"--socket-path={self.socket}",
                "-o", f"source={guest.share},cache=auto,sandbox=chroot"]

    def device(self, guest):
        return super().device(guest) + [
            "-object", f"memory-backend-memfd,id=mem,size={guest.memory_mib}M,share=on",
            "-machine", "memory-backend=mem", "-chardev", f"socket,id=fs,path={self.socket}",
            "-device", "vhost-user-fs-pci,chardev=fs,tag=share,queue-size=1024"]

    @contextlib.contextmanager
    def beside(self, guest, tmp):
        self.socket = os.path.join(tmp, "virtiofsd.sock")
        if not os.access(self.virtiofsd, os.X_OK):
            raise Failed(f"no {self.virtiofsd}: install qemu-system-common")
        with Process(self.words(guest), tmp) as process:
            deadline = time.monotonic() + 5
            while not os.path.exists(self.socket):
                if time.monotonic() > deadline:
                    process.fail("no socket")
                time.sleep(0.01)
            yield [process.pid]
            with contextlib.suppress(FileNotFoundError):
                os.unlink(self.socket)


class QemuVirtiofsdRust(QemuVirtiofsd):
    """The same with the virtiofsd of today, which is what PATH names."""

    def __init__(self, name, path):
        super().__init__(name, None)
        self.virtiofsd = path

    def words(self, guest):
        return [self.virtiofsd, f"--socket-path={self.socket}", f"--shared-dir={guest.share}",
                "--cache=auto", "--sandbox=chroot"]


class Qemu9p(QemuQ35):
    """The same with a directory that QEMU serves itself, by 9P, mounted as Kata did
    but for larger messages, which are quicker."""

    mount = "9p -o trans=virtio,version=9p2000.L,cache=mmap,msize=512000"

    def device(self, guest):
        return super().device(guest) + [
            "-fsdev", f"local,id=fs,path={guest.share},security_model=passthrough",
            "-device", "virtio-9p-pci,fsdev=fs,mount_tag=share"]


class QemuPc(QemuQ35):
    """QEMU's older PC, whose root bus takes devices later."""

    hot_words = []
    hot_bus = "pci.0"

    def machine(self, guest):
        return ["-M", "pc,accel=kvm,hpet=off,smbus=off,sata=off,usb=off"]


class CloudHypervisor(Monitor):
    """Its serial port is a 16550, its disk on PCI."""

    program = "cloud-hypervisor"
    hot_words = []
    reset_status = None

    def argv(self, guest, tmp):
        argv = [self.path, "--kernel", guest.kernel, "--cpus", "boot=1",
                "--memory", f"size={guest.memory_mib}M",
                "--serial", "tty" if guest.serial else "off",
                "--console", "off"]
        if guest.disk:
            # It lets nobody write the first sector of one that it guessed.
            argv += ["--disk", f"path={guest.disk},image_type=raw"]
        if guest.tap:
            argv += ["--net", f"tap={guest.tap},mac={MAC}"]
        if guest.vsock:
            argv += ["--vsock", f"cid={CID},socket={guest.vsock}"]
        if guest.cmdline:
            argv += ["--cmdline", guest.cmdline]
        if guest.initramfs:
            argv += ["--initramfs", guest.initramfs]
        return argv


class Firecracker(Monitor):
    """Its command line is a JSON file; its serial port is always there."""

    program = "firecracker"
    reset_status = 1
    not_in_lab = ("it insists on XSAVE, which the lab's emulated processor does "
                  "not offer")

    def argv(self, guest, tmp):
        source = {"kernel_image_path": guest.kernel,
                  "boot_args": guest.cmdline}
        if guest.initramfs:
            source["initrd_path"] = guest.initramfs
        config = {
            "boot-source": source,
            "machine-config": {"vcpu_count": 1,
                               "mem_size_mib": guest.memory_mib},
            "drives": [],
        }
        if guest.disk:
            config["drives"].append(
                {"drive_id": "disk", "path_on_host": guest.disk,
                 "is_root_device": False, "is_read_only": False,
                 "cache_type": "Writeback", "io_engine": "Async"})
        if guest.tap:
            config["network-interfaces"] = [
                {"iface_id": "net", "guest_mac": MAC, "host_dev_name": guest.tap}]
        if guest.vsock:
            config["vsock"] = {"guest_cid": CID, "uds_path": guest.vsock}
        path = os.path.join(tmp, "firecracker.json")
        with open(path, "w", encoding="utf-8") as f:
            json.dump(config, f)
        argv = [self.path, "--no-api", "--config-file", path]
        return argv + ["--enable-pci"] if guest.linux else argv


PEERS = {
    "qemu": Qemu,
    "qemu-iothread": QemuIothread,
    "qemu-q35": QemuQ35,
    "qemu-pc": QemuPc,
    "qemu-virtiofsd": QemuVirtiofsd,
    "virtiofsd": QemuVirtiofsdRust,
    "qemu-9p": Qemu9p,
    "cloud-hypervisor": CloudHypervisor,
    "firecracker": Firecracker,
}
if platform.machine() == "aarch64":
    PEERS["qemu"] = QemuVirt
