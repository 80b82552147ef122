# SPDX-License-Identifier: Apache-2.0
"""Two sandboxes, each with a processor of the host for itself: what one sends, and
how long the other one's pings take meanwhile."""

import os
import re

import network
from cases import case, Skip
from cases_net import limit, net, start
from network import PING, set_up

PINGS = 1000
MS_MORE = 1.0
FLOOD_MBITS = 5


def pin(guest, processor):
    for task in os.listdir(f"/proc/{guest.process.pid}/task"):
        os.sched_setaffinity(int(task), {processor})


def p99(t, guest):
    """Milliseconds that a ping from the guest to its host takes, of a hundred the
    last but one."""
    text = guest.do(f"{PING} -n -i 0.01 -c {PINGS} {network.address(0, 1)} >/tmp/pings; "
                    "say p99 $(sed -n 's/.*time=\\([0-9.]*\\) ms/\\1/p' /tmp/pings | "
                    f"sort -n | sed -n '{PINGS * 99 // 100}p')", 120)
    found = re.search(r"^T: p99 ([\d.]+)", text, re.M)
    return float(found[1]) if t.check(found, f"pings were lost: {text}") else 0


@case("net-neighbours-long", long=True)
def net_neighbours_long(t):
    """A limited flood by one costs the other's pings no more than a millisecond; a
    flood without limit is shown beside it."""
    processors = sorted(os.sched_getaffinity(0))
    if len(processors) < 2:
        raise Skip("it needs two processors (in the lab: VMM_LAB_CPUS=2)")
    ns = network.Namespace(t)
    quiet, _ = start(t, [net(ns, "tap0", 0, id="net")])
    loud, vm = start(t, [net(ns, "tap1", 1, id="net")])
    pin(quiet, processors[0])
    pin(loud, processors[1])
    set_up(quiet, 0)
    set_up(loud, 1)
    server = ns.start(f"taskset -c {processors[1]} iperf3 -s -B {network.address(1, 1)}")
    idle = p99(t, quiet)
    loud.do(f"(sleep 1; iperf3 -c {network.address(1, 1)} -t 600 -u -b 0 -l 1400) "
            ">/dev/null 2>&1 & flood=$!")
    vm.put("set-rate-limit", {"id": "net", "tx": limit(FLOOD_MBITS)})
    limited = p99(t, quiet)
    vm.put("set-rate-limit", {"id": "net", "tx": {}})
    without = p99(t, quiet)
    sent = network.rates(ns, "tap1", 2)["rx"]
    print(f"# {t.name}: p99 of pings {idle:.2f} ms idle, {limited:.2f} ms beside a "
          f"flood limited to {FLOOD_MBITS} Mbit/s, {without:.2f} ms beside one of "
          f"{sent:.0f} Mbit/s without limit", flush=True)
    t.check(limited <= idle + MS_MORE, f"p99 is {limited} ms, {idle} ms when idle")
    t.check(sent > 2 * FLOOD_MBITS, f"the flood without limit has {sent:.0f} Mbit/s")
    loud.do("kill $flood; killall iperf3")
    server.kill()
    for guest in (quiet, loud):
        t.end_shell(guest)
