# SPDX-License-Identifier: Apache-2.0
"""Devices with a limit, driven as fast as a guest can, and reset in the middle of it:
no more is done than the limit says, and not less than a burst, else it was not met."""

import time

from machine import ANSWER, KIB, SLOW_OPS, check

FLOOD_MS = 800
REFILL_MS = 100
TRIES = 5               # of a busy machine
SLOW_BYTES = 400 * KIB  # a second
NONE = {"size": 0, "refill_time": REFILL_MS}

# What is driven: its id, which of its kind it is, and what counts as an operation and
# as a byte, in each direction that has a budget of its own.
FLOODS = (
    ("blk", "d1", 1, (("write_ops",),), (("write_bytes",),)),
    ("net", "n1", 1, (("tx_frames",), ("rx_frames",)), (("tx_bytes",), ("rx_bytes",))),
    ("vsock", "v0", 0, (("tx_packets",),), None),   # most of its packets have no bytes
    ("fs", "f0", 0, (("requests",),), (("read_bytes",),)),
)


def limit(m, name, ops, bandwidth):
    m.ask("PUT", "vm.set-rate-limit", {"id": name, "rate_limiter_config": {
        "ops": ops, "bandwidth": bandwidth}})


def counted(m, name):
    return time.monotonic(), m.ask("GET", "vm.counters")[name]


def flood_one(m, kind, name, index, counters, rate):
    """The guest floods it; each sum of counters fits the rate."""
    burst = rate * REFILL_MS // 1000
    for _ in range(TRIES):
        start, before = counted(m, name)
        m.guest.tell(f"cmd=flood kind={kind} index={index} ms={FLOOD_MS}")
        said = m.guest.hear(ANSWER)
        m.check_alive()
        check(said and said.startswith("OK lives=") and len(said.split()) == 2, kind, "flooded:",
              said)
        end, after = counted(m, name)
        done = [sum(after[one] - before[one] for one in names) for names in counters]
        what = (f"{name}: {done} {counters} in {end - start:.2f} s, {said.split('=')[1]} lives, "
                f"{rate} a second allowed")
        # what was left from before, and one request that is larger than the rest
        check(max(done) <= rate * (end - start) + 2 * burst, what)
        if min(done) > burst:
            print("#", what, flush=True)
            return
    check(False, "the limit was not met:", what)


def floods(m):
    """On a machine that has just started, whose host's end is calm."""
    slow = {"size": SLOW_OPS * REFILL_MS // 1000, "refill_time": REFILL_MS}
    narrow = {"size": SLOW_BYTES * REFILL_MS // 1000, "refill_time": REFILL_MS}
    for kind, name, index, ops, some_bytes in FLOODS:
        limit(m, name, slow, NONE)
        flood_one(m, kind, name, index, ops, SLOW_OPS)
        if some_bytes:
            limit(m, name, NONE, narrow)
            flood_one(m, kind, name, index, some_bytes, SLOW_BYTES)
        limited = name in ("d1", "n1")
        limit(m, name, slow if limited else NONE, NONE)
