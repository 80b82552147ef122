# SPDX-License-Identifier: Apache-2.0
"""A block device of this host that can be told to answer nobody.

A linear device-mapper target over a loop device. While it is suspended, what
is asked of it waits in the kernel, and not even a signal ends that; once it was
told to fail, all of it ends in an I/O error. Needs root, dm_mod and loop; the ioctls are those of Linux' linux/dm-ioctl.h, 4.0.
"""

import fcntl
import os
import struct
import subprocess

CONTROL = "/dev/mapper/control"
DEV_CREATE, DEV_REMOVE, DEV_SUSPEND, TABLE_LOAD = 3, 4, 6, 9
SUSPEND = 1 << 1
SKIP_LOCKFS = 1 << 10
DEFERRED_REMOVE = 1 << 17
HEADER = struct.Struct("=3I I I I i I I I Q 128s 129s 7x")
TARGET = struct.Struct("=Q Q i I 16s")


def is_here():
    return os.access(CONTROL, os.R_OK | os.W_OK)


def command(number, name, flags=0, targets=()):
    """Gives the device's number."""
    data = b"".join(targets)
    words = (4, 0, 0, HEADER.size + len(data), HEADER.size, len(targets), 0,
             flags, 0, 0, 0, name.encode(), b"")
    buffer = bytearray(HEADER.pack(*words) + data)
    fd = os.open(CONTROL, os.O_RDWR | os.O_CLOEXEC)
    try:
        fcntl.ioctl(fd, 0xC000FD00 | HEADER.size << 16 | number, buffer)
    finally:
        os.close(fd)
    return HEADER.unpack_from(buffer)[10]


class Linear:
    """All of an image, as long as the with statement lasts; then nobody waits
    any more, and it goes when its last user has closed it."""

    def __init__(self, name, image):
        self.name = name
        self.image = image
        self.loop = None
        self.path = None

    def __enter__(self):
        self.loop = subprocess.run(
            ["losetup", "--find", "--show", self.image], check=True,
            stdout=subprocess.PIPE, text=True).stdout.strip()
        number = command(DEV_CREATE, self.name)
        self.path = f"/dev/dm-{os.minor(number)}"
        self.load(b"linear", f"{self.loop} 0".encode())
        return self

    def load(self, kind, words):
        """From now on all of it is a target of this kind, with these arguments."""
        # They end on a multiple of 8 bytes.
        words += b"\0" * (8 - len(words) % 8)
        sectors = os.stat(self.image).st_size // 512
        command(TABLE_LOAD, self.name, 0, [TARGET.pack(
            0, sectors, 0, TARGET.size + len(words), kind) + words])
        self.resume()

    def fail(self):
        self.load(b"error", b"")

    def suspend(self):
        command(DEV_SUSPEND, self.name, SUSPEND | SKIP_LOCKFS)

    def resume(self):
        command(DEV_SUSPEND, self.name)

    def __exit__(self, *_):
        self.resume()
        command(DEV_REMOVE, self.name, DEFERRED_REMOVE)
        subprocess.run(["losetup", "--detach", self.loop], check=False)
