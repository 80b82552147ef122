# SPDX-License-Identifier: Apache-2.0
"""Kernels and roots that vmm has to refuse before a guest starts."""

import os
import struct
import subprocess

from cases import case, Skip, MIB
import monitor


def refused(t, option, argv, says=(), first=None):
    """Exit status 1, and one line that names the option; before it, one with
    the words `first`, if there are any."""
    try:
        done = subprocess.run([t.settings.vmm] + argv, capture_output=True,
                              text=True, timeout=t.settings.seconds,
                              check=False, stdin=subprocess.DEVNULL)
    except subprocess.TimeoutExpired:
        t.check(False, f"vmm runs with {option} {argv[1]}")
        return
    lines = done.stderr.splitlines()
    t.equal("vmm's exit status", done.returncode, 1)
    if first:
        t.check(lines and first in lines[0], f"no '{first}' first: {lines[:3]}")
        lines = lines[1:]
    t.check(len(lines) == 1, f"{len(lines)} lines instead of one: {lines[:3]}")
    message = "\n".join(lines).strip()
    t.check(option in message, f"the message does not name {option}: {message}")
    for word in says:
        t.check(word in message.lower(), f"no '{word}' in the message: {message}")


def refused_kernel(t, data, says=(), size=0, memory="256M"):
    path = t.path("kernel")
    with open(path, "wb") as f:
        f.write(data)
        if size:
            f.truncate(size)
    refused(t, "--kernel", ["--kernel", path, "--memory", memory,
                            "--serial", "null"], says)


def elf(machine=62, load_bytes=0):
    """An ELF header, and a PT_LOAD of that size at 1 MiB."""
    header = b"\x7fELF\2\1\1" + bytes(9) + struct.pack(
        "<HHIQQQIHHHHHH", 2, machine, 1, MIB, 64, 0, 0, 64, 56, 1, 0, 0, 0)
    return header + struct.pack("<IIQQQQQQ", 1, 5, 4096, MIB, MIB, load_bytes,
                                load_bytes, 4096)


def first_bytes(t, item, size):
    if not t.settings.kit:
        raise Skip("no guest kit")
    with open(t.kit(item), "rb") as f:
        return f.read(size)


def image():
    """The header of an arm64 Image of 4096 bytes."""
    return struct.pack("<IIQQQQQQ4sI", 0x14000000, 0, 0, 4096, 0xa, 0, 0, 0, b"ARM\x64", 0)


def small_kernel(t):
    path = t.path("kernel")
    with open(path, "wb") as f:
        f.write(elf(load_bytes=4096) if t.is_x86 else image())
        f.truncate(MIB)
    return path


def refused_disks(t, option, *disks, says=(), first=None):
    words = [word for disk in disks for word in ("--disk", disk)]
    refused(t, option, ["--kernel", small_kernel(t), "--serial", "null"] + words,
            says, first)


@case("refuse-truncated-vmlinux", anywhere=True, x86=True)
def refuse_truncated_vmlinux(t):
    refused_kernel(t, first_bytes(t, "vmlinux", 8 * MIB))


@case("refuse-truncated-bzimage", anywhere=True, x86=True)
def refuse_truncated_bzimage(t):
    refused_kernel(t, first_bytes(t, "vmlinuz", MIB))


@case("refuse-text", anywhere=True)
def refuse_text(t):
    refused_kernel(t, b"This is not a kernel.\n" * 1000)


@case("refuse-empty", anywhere=True)
def refuse_empty(t):
    refused_kernel(t, b"")


@case("refuse-aarch64", anywhere=True, x86=True)
def refuse_aarch64(t):
    refused_kernel(t, elf(machine=183), ["aarch64"], size=MIB)


@case("refuse-larger-than-memory", anywhere=True, x86=True)
def refuse_larger_than_memory(t):
    refused_kernel(t, elf(load_bytes=96 * MIB), size=128 * MIB, memory="64M")


@case("refuse-no-such-kernel", anywhere=True)
def refuse_no_such_kernel(t):
    refused(t, "--kernel", ["--kernel", t.path("absent")], ["no such file"])


@case("refuse-root-device", anywhere=True)
def refuse_root_device(t):
    refused(t, "--rootfs", ["--kernel", small_kernel(t), "--rootfs", "/dev/null"],
            ["directory"])


@case("refuse-locked-disk", anywhere=True)
def refuse_locked_disk(t):
    """Two disks that write the same image, which stays in use while vmm waits
    for its end."""
    disk = t.disk("disk", 1)
    refused_disks(t, os.path.basename(disk.path), disk.argument(),
                  disk.argument(), says=["used by another disk or process"],
                  first="in use: waiting up to 4 s")


@case("refuse-descriptor", anywhere=True)
def refuse_descriptor(t):
    """One that is the console's, and one that the caller did not open."""
    refused_disks(t, "--disk fd=1", "fd=1")
    refused_disks(t, "--disk fd=6", "fd=6,readonly=on")


@case("refuse-empty-root", anywhere=True)
def refuse_empty_root(t):
    refused(t, "--rootfs", ["--kernel", small_kernel(t), "--rootfs",
                            t.disk("root", 0).path], ["no such file"])
    with open(t.path("root"), "wb"):
        pass
    refused(t, "--rootfs", ["--kernel", small_kernel(t), "--rootfs",
                            t.path("root")], ["empty"])


@case("refuse-prefault", anywhere=True)
def refuse_prefault(t):
    """More memory than the host has would end in its killer."""
    have = os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE")
    refused(t, "--memory", ["--kernel", small_kernel(t), "--memory",
                            f"size={2 * have // MIB}M,prefault=on"], ["left"])
