# SPDX-License-Identifier: Apache-2.0
"""Networks: what Linux sends and gets, and how interfaces come and go."""

import os
import re
import time

import network
from cases import case, Skip
from network import TEST_ROOT, interface_of, iperf, ping, set_up

# Seconds of a measurement whose figure nobody looks at.
BRIEF = 1


def net(ns, tap="tap0", number=0, **options):
    """The option for a TAP that vmm makes in the namespace, the host's end of
    a network."""
    words = {"tap": tap, "netns": ns.path, "ip": network.address(number, 1),
             "mask": "255.255.255.0", **options}
    return ",".join(f"{key}={value}" for key, value in words.items())


def start(t, nets, **how):
    """A guest with a shell and these --net options."""
    options = [word for one in nets for word in ("--net", one)]
    return t.shell(root=t.root(TEST_ROOT), options=options, **how)


def check_counters(t, vm, device, least):
    """What vmm counted while a guest sent and got at least so many bytes."""
    have = vm.get("counters")[device]
    for key in ("rx_bytes", "tx_bytes"):
        t.check(have.get(key, 0) >= least, f"{device}'s {key} is "
                f"{have.get(key)} after {least} bytes")
    for key in ("rx_frames", "tx_frames"):
        t.check(have.get(key, 0) > 0, f"{device}'s {key} is {have.get(key)}")


def both_ways(t, guest, what, words="", number=0, seconds=BRIEF):
    iperf(t, guest, f"--bidir {words}", number, seconds, what)


def change_queues(t, guest):
    """The guest changes their number, and changes it again while it sends."""
    for pairs in (1, 4):
        guest.do(f"ethtool -L eth0 combined {pairs}; say pairs $(ethtool -l eth0 | "
                 "sed -n 's/Combined:[^0-9]*//p' | tail -n 1)")
        t.equal("queue pairs in use", guest.fact("pairs"), str(pairs))
        both_ways(t, guest, f"{pairs} queue pairs", "-P 4")
    guest.do(f"iperf3 -c {network.address(0, 1)} -P 4 -t 4 >/tmp/iperf 2>&1 & "
             "iperf=$!")
    for pairs in (1, 3, 4):
        guest.do(f"ethtool -L eth0 combined {pairs} && say changed")
    t.equal("changes under way", len(guest.facts("changed")), 3)
    guest.do("wait $iperf; say iperf $?", 60)
    t.equal("the status of iperf3 meanwhile", guest.fact("iperf"), "0")
    t.equal("losses after it", ping(t, guest, "-c 5 -i 0.1"), 0)


@case("net-iperf")
def net_iperf(t):
    """TCP and UDP both ways and a flood of pings: with all offloads, with those
    that the guest turns off and on again, with none, and with frames of 9000
    bytes; an interface each. Then four queue pairs."""
    ns = network.Namespace(t)
    guest, vm = start(t, [
        net(ns, "tap0", 0, id="all", num_queues=8),
        net(ns, "tap1", 1, id="none", offload_tso="off", offload_ufo="off",
            offload_csum="off"),
        net(ns, "tap2", 2, id="jumbo", mtu=9000)], cpus=4)
    for number in range(3):
        set_up(guest, number, f"eth{number}")
        ns.serve_iperf(number)
        t.equal(f"losses of a flood of pings to eth{number}",
                ping(t, guest, "-f -c 100", number), 0)
        both_ways(t, guest, f"eth{number}", "", number)
    t.equal("losses of pings of 8972 bytes",
            ping(t, guest, "-c 3 -i 0.1 -M do -s 8972", 2), 0)
    both_ways(t, guest, "UDP", "-u -b 10M")
    features = "tx rx tso gso gro"
    for state in ("off", "on"):
        guest.do("ethtool -K eth0 " + " ".join(
            f"{feature} {state}" for feature in features.split()))
        both_ways(t, guest, f"the guest's {features} {state}")
    guest.do("tell features ethtool -k eth1")
    shown = " ".join(guest.facts("features"))
    for name in ("tx-checksumming", "tcp-segmentation-offload"):
        t.check(f"{name}: off" in shown, f"eth1 offers {name}")
    change_queues(t, guest)
    for device in ("all", "none", "jumbo"):
        check_counters(t, vm, device, 1 << 17)
    t.end_shell(guest)


@case("net-iperf-long", long=True)
def net_iperf_long(t):
    """Every combination of queues, frame size and offloads, for longer."""
    ns = network.Namespace(t)
    sizes = (("", 1500), ("jumbo", 9000))
    offloads = ("on", "off")
    for pairs in (1, 4):
        for name, mtu in sizes:
            guest, vm = start(t, [
                net(ns, f"tap{number}", number, id=f"net{number}", mtu=mtu,
                    num_queues=2 * pairs, offload_tso=state, offload_ufo=state,
                    offload_csum=state)
                for number, state in enumerate(offloads)], cpus=4)
            for number, state in enumerate(offloads):
                set_up(guest, number, f"eth{number}")
                ns.serve_iperf(number)
                what = f"{pairs} queues, MTU {mtu}, offloads {state}"
                for way in ("", "-R", "--bidir"):
                    iperf(t, guest, f"-P {pairs} {way}", number, 8, f"{what} {way}")
                both_ways(t, guest, what + ", UDP", "-u -b 20M", number, 4)
                t.equal(f"{what}: losses of a flood of pings",
                        ping(t, guest, "-f -c 2000", number), 0)
                check_counters(t, vm, f"net{number}", 1 << 20)
            t.end_shell(guest)
            ns.stop()


# -- Coming and going -----------------------------------------------------

FLOOD = f"{network.PING} -f -w 60 {{address}} >/dev/null 2>&1 &"


def hotplug(t, ns, guest, vm, cycles, **options):
    """An interface comes and goes under a flood, while TCP runs over eth0."""
    ns.serve_iperf()
    guest.do(f"(while iperf3 -c {network.address(0, 1)} -t 2 >/tmp/iperf 2>&1; do "
             "echo >>/tmp/rounds; [ ! -e /tmp/stop ] || break; done; "
             "echo $? >/tmp/load) &")
    files = None
    for cycle in range(cycles):
        at = vm.put("add-net", {"tap": "tap1", "netns": ns.path,
                                "ip": network.address(1, 1),
                                "mask": "255.255.255.0", "id": "goes", **options})
        name = interface_of(guest, at["bdf"])
        if not t.check(name, f"no interface at {at['bdf']} in cycle {cycle}"):
            break
        set_up(guest, 1, name)
        if not t.equal(f"losses in cycle {cycle}",
                       ping(t, guest, "-f -c 20", 1), 0):
            break
        guest.do(FLOOD.format(address=network.address(1, 1)))
        vm.put("remove-device", {"id": "goes"})
        event = vm.wait_event("device-removed", "device-remove-failed", id="goes")
        t.equal("how the removal ended", event["event"], "device-removed")
        t.check("tap1" not in ns.ip("-o link"), "the TAP that vmm made is there "
                "after device-removed")
        guest.do(f"killall ping; ls /sys/class/net/{name} 2>/dev/null && "
                 "say stays")
        t.equal("what the guest still has", guest.facts("stays"), [])
        files = files or guest.nr_fds()
        if not t.equal(f"open files after cycle {cycle}", guest.nr_fds(), files):
            break
    guest.do("touch /tmp/stop; while [ ! -e /tmp/load ]; do usleep 100000; done; "
             "say load $(cat /tmp/load); say rounds $(wc -l </tmp/rounds)", 60)
    t.equal("the load's status", guest.fact("load"), "0")
    t.check(int(guest.fact("rounds")) > 0, "the load had no time for a round")
    ns.stop()


@case("net-hotplug-long", long=True)
def net_hotplug_long(t):
    ns = network.Namespace(t)
    guest, vm = start(t, [net(ns, id="net")])
    set_up(guest)
    hotplug(t, ns, guest, vm, 50)
    t.end_shell(guest)


def carrier(guest, want, tries=200):
    """What the guest makes of its link, once it is as wanted or in time. Linux
    sends nothing before the state of its interface has followed the carrier."""
    guest.do(f"for try in $(seq {tries}); do [ $(cat /sys/class/net/eth0/operstate)"
             f" = {want} ] && break; usleep 50000; done; "
             "say carrier $(cat /sys/class/net/eth0/carrier)")
    return guest.fact("carrier")


def link(t, ns, guest, vm):
    """It goes and comes: with the TAP's, and as vm.set-net says."""
    t.equal("the carrier at first", carrier(guest, "up"), "1")
    t.equal("losses at first", ping(t, guest, "-c 3 -i 0.1"), 0)
    for down, up in ((lambda: ns.ip("link set tap0 down"),
                      lambda: ns.ip("link set tap0 up")),
                     (lambda: vm.put("set-net", {"id": "net", "link": "down"}),
                      lambda: vm.put("set-net", {"id": "net", "link": "up"}))):
        down()
        t.equal("the carrier when the link is down", carrier(guest, "down"), "0")
        vm.wait_event("link-down", id="net")
        t.equal("losses without a link", ping(t, guest, "-c 2 -i 0.1 -W 1"), 100)
        up()
        t.equal("the carrier when it is up again", carrier(guest, "up"), "1")
        vm.wait_event("link-up", id="net")
        # Nothing of a search for the neighbour that began without a link.
        guest.do(f"{network.IP} neighbour flush dev eth0")
        t.equal("losses then", ping(t, guest, "-c 5 -i 0.2 -W 5"), 0)


def limit(mbits):
    """A bucket of a tenth of a second."""
    return {"bandwidth": {"size": int(mbits * 1e6 / 8 / 10), "refill_time": 100}}


def limits(t, ns, guest, vm, mbits, seconds):
    """Rates, one after another, that are set while a stream runs each way."""
    ns.serve_iperf()
    # Of small frames, as a large one would weigh too much in a short time; sent
    # some at a time, as a timer of 1 ms is much work for an emulated host.
    guest.do(f"iperf3 -c {network.address(0, 1)} --bidir -u -l 1400 "
             f"--pacing-timer 10000 -b {max(mbits) * 3 // 2}M -t 600 "
             ">/tmp/iperf 2>&1 & iperf=$!")
    deadline = time.monotonic() + t.settings.seconds
    while min(network.rates(ns, "tap0", 0.5).values()) < max(mbits) and \
            time.monotonic() < deadline:
        pass
    for one in mbits:
        vm.put("set-rate-limit", {"id": "net", "rx": limit(one), "tx": limit(one)})
        # A busy machine can make it less now and then.
        for _ in range(4):
            time.sleep(1)
            have = network.rates(ns, "tap0", seconds)
            if min(have.values()) > one * 0.95:
                break
        guest.do("true")    # one that hangs has no rate to be judged
        for way, rate in (("tx", have["rx"]), ("rx", have["tx"])):
            t.check(abs(rate / one - 1) < 0.05,
                    f"{way} limited to {one} Mbit/s is {rate:.2f} Mbit/s")
    vm.put("set-rate-limit", {"id": "net", "rx": {}, "tx": {}})
    guest.do("kill $iperf; wait $iperf")
    ns.stop()


@case("net-limits-long", long=True)
def net_limits_long(t):
    ns = network.Namespace(t)
    guest, vm = start(t, [net(ns, id="net")])
    set_up(guest)
    limits(t, ns, guest, vm, (4, 1), 10)
    t.end_shell(guest)


def reboot(t, ns, guest):
    """Under traffic; the address that vmm made up stays."""
    macs = set()
    for boot in range(2):
        guest.do("say mac $(cat /sys/class/net/eth0/address)")
        macs.add(guest.fact("mac"))
        if boot:
            break
        ns.serve_iperf()
        guest.do(f"iperf3 -c {network.address(0, 1)} -t 20 >/dev/null 2>&1 & " +
                 FLOOD.format(address=network.address(0, 1)) + " usleep 500000")
        text = len(guest.text())
        guest.type("reboot -f\n")
        guest.restarted(text)
        ns.stop()
        set_up(guest)
        t.equal("losses after the reboot", ping(t, guest, "-f -c 50"), 0)
    t.equal("addresses of the interface", len(macs), 1)
    t.check(int(macs.pop()[:2], 16) & 3 == 2, "the address is not a locally "
            f"administered one of one station: {guest.fact('mac')}")


def pause(t, ns, guest, vm, then=lambda: None):
    """Under traffic, which survives it; then() is called while it goes on."""
    ns.serve_iperf()
    guest.do(f"iperf3 -c {network.address(0, 1)} -t 4 >/tmp/iperf 2>&1 & iperf=$!; "
             "usleep 500000")
    vm.put("pause")
    before = ns.bytes_of("tap0")["rx"], vm.get("counters")["net"]
    time.sleep(1)
    t.equal("what was sent and counted while paused",
            (ns.bytes_of("tap0")["rx"], vm.get("counters")["net"]), before)
    vm.put("resume")
    then()
    guest.do("wait $iperf; say iperf $?", 60)
    t.equal("the status of iperf3 over the pause", guest.fact("iperf"), "0")
    ns.stop()


@case("net-life")
def net_life(t):
    """Link down and up, another interface that comes and goes, limits, a reboot,
    a pause: all that an interface lives through, with traffic on it."""
    ns = network.Namespace(t)
    guest, vm = start(t, [net(ns, id="net", num_queues=4)], cpus=2,
                      on_reset="reboot")
    set_up(guest)
    link(t, ns, guest, vm)
    hotplug(t, ns, guest, vm, 2)
    limits(t, ns, guest, vm, (2,), 4)
    reboot(t, ns, guest)
    pause(t, ns, guest, vm)
    t.equal("losses after all", ping(t, guest, "-f -c 50"), 0)
    check_counters(t, vm, "net", 1 << 17)
    t.end_shell(guest)


# -- vhost ----------------------------------------------------------------

def refused(t, ns, vm):
    """What needs our own path, with a reason."""
    for words in ({"vlan": "10"}, {"antispoof": "mac"},
                  {"rate_limiter_config": limit(10)}):
        reply = vm.request("PUT", "add-net", {"tap": "tap9", "netns": ns.path,
                                              "vhost": True, **words})
        t.check(400 <= reply.status < 600, f"{words} gave {reply.status}")
        t.check(re.search("vhost", reply.body.decode()), "the refusal of "
                f"{words} does not say vhost: {reply.body}")
    t.equal("TAPs that were made", "tap9" in ns.ip("-o link"), False)


@case("net-vhost")
def net_vhost(t):
    """The host's kernel serves the rings: all of the above in short."""
    if not os.path.exists("/dev/vhost-net"):
        raise Skip("this machine has no vhost-net (modprobe vhost_net)")
    ns = network.Namespace(t)
    guest, vm = start(t, [net(ns, id="net", vhost="on", num_queues=4)], cpus=2,
                      memory="size=256M" + (",hotplug_size=256M" if t.is_x86 else ""),
                      on_reset="reboot")
    refused(t, ns, vm)
    set_up(guest)
    ns.serve_iperf()
    t.equal("losses of a flood", ping(t, guest, "-f -c 100"), 0)
    for pairs in (2, 1, 2):
        guest.do(f"ethtool -L eth0 combined {pairs} || say no {pairs}")
        both_ways(t, guest, f"vhost with {pairs} queue pairs", "-P 2")
    t.equal("queue pairs that were refused", guest.facts("no"), [])
    ns.stop()
    reboot(t, ns, guest)

    def grow():
        vm.put("resize", {"desired_ram": 384 << 20})
        vm.wait_event("resize-done", what="memory")
    pause(t, ns, guest, vm, grow if t.is_x86 else lambda: None)
    # Buffers that lie in the new memory.
    guest.do("head -c 200M /dev/zero >/tmp/fill; rm /tmp/fill")
    ns.serve_iperf()
    both_ways(t, guest, "vhost with more memory")
    ns.stop()
    hotplug(t, ns, guest, vm, 1, vhost=True)
    guest.do(FLOOD.format(address=network.address(0, 1)))
    if t.is_x86:    # nothing lets go of a slot of bus 0 elsewhere
        vm.put("remove-device", {"id": "net"})
        vm.wait_event("device-removed", id="net")
    guest.do("killall ping")
    t.end_shell(guest)
