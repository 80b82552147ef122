# SPDX-License-Identifier: Apache-2.0
"""TAPs in a network namespace of the test's own."""

import contextlib
import ctypes
import fcntl
import os
import struct
import subprocess

TUNSETIFF = 0x400454CA
IFF_TAP, IFF_NO_PI, IFF_VNET_HDR, IFF_MULTI_QUEUE = 0x2, 0x1000, 0x4000, 0x100
CLONE_NEWNET = 0x40000000

libc = ctypes.CDLL(None, use_errno=True)


def _switch(result):
    if result:
        raise OSError(ctypes.get_errno(), "network namespace")


@contextlib.contextmanager
def namespace():
    """This process, and what it starts, in a network namespace of their own. Gives
    False, and changes nothing, where that or a TAP is not to be had."""
    home = os.open("/proc/self/ns/net", os.O_RDONLY)
    try:
        if not os.access("/dev/net/tun", os.R_OK | os.W_OK) or libc.unshare(CLONE_NEWNET):
            print("# no network namespaces or no TAPs here")
            yield False
            return
        try:
            subprocess.run(["ip", "link", "set", "lo", "up"], check=True)
            yield True
        finally:
            _switch(libc.setns(home, CLONE_NEWNET))
    finally:
        os.close(home)


def tap(name, queues=1):
    """Descriptors of a TAP that is attached, as shims pass them."""
    flags = IFF_TAP | IFF_NO_PI | IFF_VNET_HDR | (IFF_MULTI_QUEUE if queues > 1 else 0)
    fds = []
    for _ in range(queues):
        fds.append(os.open("/dev/net/tun", os.O_RDWR | os.O_CLOEXEC))
        fcntl.ioctl(fds[-1], TUNSETIFF, struct.pack("16sH22x", name.encode(), flags))
    return fds


def close(fds):
    for fd in fds:
        os.close(fd)


def links():
    """The names of all interfaces here."""
    with open("/proc/self/net/dev", encoding="ascii") as f:
        return {line.split(":")[0].strip() for line in f if ":" in line}
