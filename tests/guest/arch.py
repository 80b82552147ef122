# SPDX-License-Identifier: Apache-2.0
"""What the tests have to know of the machine that their guests run on, which is
this one's."""

import os

ARCH = os.uname().machine

# How much longer than elsewhere to wait in an emulated host.
SLOW = 10 if os.environ.get("VMM_LAB") else 1

# A guest's file, in whatever form a monitor boots there.
SUFFIX = {"x86_64": ".elf", "aarch64": ".image"}[ARCH]

# The ways in which a guest starts again.
RESETS = {"x86_64": ("reset", "triple"), "aarch64": ("reset", "reset2")}[ARCH]

# Whether devices on bus 0 come and go.
HAS_SLOTS = ARCH == "x86_64"

HAS_PORTS = ARCH == "x86_64"

# Free for a device's registers, whatever the memory.
HIGH = {"x86_64": 1 << 36, "aarch64": 1 << 35}[ARCH]


def guest(folder, name):
    return os.path.join(folder, name + SUFFIX)
