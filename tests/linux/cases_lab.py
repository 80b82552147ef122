# SPDX-License-Identifier: Apache-2.0
"""The lab itself (tools/lab), where the other tests rely on it."""

import re

from cases import case, Skip
from cases_stuck import until

PULSES = 4


def interrupts():
    """How often the device that carries the pulse interrupted."""
    with open("/proc/interrupts", encoding="ascii") as f:
        lines = re.findall(r"^ *\d+:((?: +\d+)+) .*virtio0-virtqueues", f.read(), re.M)
    return sum(int(number) for line in lines for number in line.split())


@case("lab-pulse")
def lab_pulse(t):
    """The lab is interrupted from outside, whatever its own timer does."""
    if not t.settings.is_lab:
        raise Skip("this is not the lab")
    before = interrupts()
    until(t, "interrupts by the pulse", lambda: interrupts() >= before + PULSES)
