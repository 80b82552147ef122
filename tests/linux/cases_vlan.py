# SPDX-License-Identifier: Apache-2.0
"""VLANs: tenants on one bridge that knows VLANs, which must not see each other.

Every TAP is a port of both VLANs, so the bridge floods both to each guest and
takes both from it: what keeps tenants apart is vmm alone.
"""

import re

import network
from cases import case
from network import Capture, IP, PING, TEST_ROOT, address

TENANTS = (10, 20)
# As seen by the guests: each tenant has the same network, and a gateway in it.
GATEWAY = address(0, 1)


def bridge(t, taps):
    """One namespace with bridge and TAPs, and one a tenant with its gateway."""
    ns = network.Namespace(t)
    ns.ip("link add br0 type bridge vlan_filtering 1 vlan_default_pvid 0")
    ns.ip("link set br0 up")
    for tap in taps:
        ns.ip(f"tuntap add {tap} mode tap")
        ns.ip(f"link set {tap} master br0 up")
    gateways = {}
    for tenant in TENANTS:
        for port in taps:
            ns.run(f"bridge vlan add dev {port} vid {tenant}")
        ns.run(f"bridge vlan add dev br0 vid {tenant} self")
        gateways[tenant] = home = network.Namespace(t, f"tenant{tenant}")
        ns.ip(f"link add link br0 name br0.{tenant} type vlan id {tenant}")
        ns.ip(f"link set br0.{tenant} netns {home.name}")
        home.ip(f"address add {GATEWAY}/24 dev br0.{tenant}")
        home.ip(f"link set br0.{tenant} up")
    return ns, gateways


def mac(number):
    return f"52:54:00:00:00:{number:02x}"


def start(t, ns, number, vlan, **options):
    """A guest that is host number of its tenant's network."""
    words = {"tap": f"tap{number}", "netns": ns.path, "mac": mac(number),
             "vlan": vlan, "id": "net", **options}
    guest, vm = t.shell(root=t.root(TEST_ROOT), options=[
        "--net", ",".join(f"{key}={value}" for key, value in words.items())])
    network.set_up(guest, 0, "eth0", number)
    return guest, vm


def answers(t, guest, host, words="-c 3 -i 0.1 -W 1"):
    """Whether a host answers a guest at all."""
    return network.ping(t, guest, words, 0, host) < 100


def listen(guest):
    guest.do("tcpdump -Z root -n -e -l -i eth0 >/tmp/heard 2>/tmp/tcpdump & listener=$!; "
             "until grep -q listening /tmp/tcpdump; do usleep 50000; done")


def heard(guest, expression):
    """How many lines of what listen() heard match."""
    guest.do("sleep 1; kill $listener; wait $listener; say heard "
             f"$(grep -c -E '{expression}' /tmp/heard)")
    return int(guest.fact("heard"))


def tenants(t, ns, gateways, ten, twenty):
    """Two, each on an access port, have the same addresses and never see a frame
    of each other."""
    listen(twenty)
    with Capture(ns, "tap2") as port, Capture(gateways[20], "br0.20") as other:
        for guest in (ten, twenty):
            t.check(answers(t, guest, 1), "a tenant's gateway does not answer")
        t.check(not answers(t, ten, 3), "VLAN 20 answers VLAN 10")
        t.check(not answers(t, twenty, 2), "VLAN 10 answers VLAN 20")
        # A guest that tags by itself, for the other's VLAN and for its own.
        ten.do("modprobe 8021q")
        for vlan in TENANTS:
            ten.do(f"{IP} link add link eth0 name tag{vlan} type vlan id {vlan}; "
                   f"{IP} link set tag{vlan} up; {PING} -c 2 -i 0.1 -W 1 "
                   f"-I tag{vlan} {GATEWAY} >/dev/null 2>&1")
    t.equal("frames of VLAN 10 in a guest of VLAN 20",
            heard(twenty, mac(2) + "|802.1Q"), 0)
    t.equal("frames of a guest of VLAN 10 at VLAN 20's gateway",
            other.frames(f"ether src {mac(2)}"), [])
    sent = port.frames(f"ether src {mac(2)}")
    t.check(sent, "tcpdump saw no frame of the guest")
    t.equal("frames of the guest that are not VLAN 10's, priority 0",
            [line for line in sent if not re.search(r"vlan 10, p 0,", line)], [])
    # The bridge did send the other tenant's to this port.
    t.check(port.frames(f"vlan 20 and ether src {mac(3)}"),
            "no frame of VLAN 20 came to the port, which proves nothing")
    for vlan in TENANTS:
        ten.do(f"{IP} link set tag{vlan} down")


def change_sides(t, ten, twenty, vm):
    """Who changes to the other VLAN is there then."""
    vm.put("set-net", {"id": "net", "vlan": "20"})
    ten.do(f"{IP} neighbour flush dev eth0")
    t.check(answers(t, ten, 3), "VLAN 20 does not answer who has come to it")
    t.check(answers(t, twenty, 2), "who came to VLAN 20 does not answer it")


def trunk_port(t, ns, gateways, trunk, vm):
    """It carries its VLANs, tagged, and nothing else; guest has interfaces for
    both."""
    vm.put("set-net", {"id": "net", "vlan": "trunk:[20]"})
    trunk.do(f"{IP} address flush dev eth0")

    def tagged(vlan):
        for one in TENANTS:
            trunk.do(f"{IP} address flush dev tag{one}")
        network.set_up(trunk, 0, f"tag{vlan}", 2)
        return answers(t, trunk, 1)

    with Capture(ns, "tap2") as port, Capture(gateways[10], "br0.10") as ten:
        t.check(tagged(20), "VLAN 20 does not answer its trunk")
        t.check(not tagged(10), "VLAN 10 answers a trunk of VLAN 20")
        network.set_up(trunk, 0, "eth0", 2)
        t.check(not answers(t, trunk, 1), "somebody answers what has no tag")
        trunk.do(f"{IP} address flush dev eth0")
    t.equal("frames of a trunk of VLAN 20 at VLAN 10's gateway",
            ten.frames(f"ether src {mac(2)}"), [])
    t.equal("frames of the trunk without tag 20",
            [line for line in port.frames(f"ether src {mac(2)}")
             if "vlan 20," not in line], [])
    vm.put("set-net", {"id": "net", "vlan": "trunk:[10,15-20]"})
    for vlan in TENANTS:
        t.check(tagged(vlan), f"VLAN {vlan} does not answer after set-net")


def one_address(t, ns, access):
    """A port with antispoof=mac has the configured address: not another one of
    the interface, nor one beside it."""
    with Capture(ns, "tap3") as port:
        t.check(answers(t, access, 1), "a tenant's gateway does not answer")
        access.do(f"{IP} link set eth0 address {mac(99)} || say refused; "
                  f"{IP} link set eth0 up; modprobe macvlan; "
                  f"{IP} link add link eth0 name other address {mac(98)} type macvlan; "
                  f"{IP} link set other up; {PING} -c 2 -i 0.1 -W 1 -I other "
                  f"{GATEWAY} >/dev/null 2>&1")
    t.check(access.facts("refused"), "the guest may change its address")
    t.check(port.frames(f"ether src {mac(3)}"), "tcpdump saw no frame of the guest")
    t.equal("frames of addresses that are not the guest's",
            port.frames(f"ether src {mac(98)} or ether src {mac(99)}"), [])


@case("net-vlan")
def net_vlan(t):
    ns, gateways = bridge(t, ["tap2", "tap3"])
    ten, vm = start(t, ns, 2, 10)
    twenty, _ = start(t, ns, 3, 20, antispoof="mac")
    tenants(t, ns, gateways, ten, twenty)
    change_sides(t, ten, twenty, vm)
    trunk_port(t, ns, gateways, ten, vm)
    one_address(t, ns, twenty)
    t.end_shell(ten)
    # Linux warns about the address that it could not change.
    twenty.type("over=1\n")
    t.end(twenty)
