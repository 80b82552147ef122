# SPDX-License-Identifier: Apache-2.0
"""README's ways to wire a network, run as they stand there.

Each has network and mount namespaces of its own, as if it were the host's. A
line that begins with `sandbox` starts a machine on a terminal of its own, whose
guest is awaited before the next line; the others run one after another.
"""

import fcntl
import os
import pty
import re
import shutil
import subprocess
import termios

import monitor
from cases import case
from control import Wrong
from network import address

README = os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir,
                      os.pardir, "README.md")
GATEWAY = address(0, 1)
# What README takes for granted: a host with a network at its eth0.
HOST = """
mount -t tmpfs tmpfs /run
mkdir /run/netns
mount -t sysfs sysfs /sys
ip link set lo up
ip netns add outside
ip link add eth0 type veth peer name uplink netns outside
ip link set eth0 up
ip -n outside link set uplink up
"""


def read_recipes():
    """Title to lines; the one without a title goes before each of them."""
    with open(README, encoding="utf-8") as f:
        section = f.read().split("\n## Networks\n")[1].split("\n## ")[0]
    title, recipes = "", {}
    for line in section.splitlines():
        match = re.match(r"\*\*(.*?)\.?\*\*", line)
        if match:
            title = match[1]
        elif line.startswith("    "):
            recipes.setdefault(title, []).append(line[4:])
    return recipes


def steps(lines):
    """(is a machine, text), in order."""
    found = []
    for line in lines:
        if line.startswith("sandbox "):
            found.append((True, line))
        elif found and not found[-1][0]:
            found[-1] = (False, f"{found[-1][1]}\n{line}")
        else:
            found.append((False, line))
    return found


class Terminal:
    """A machine of a recipe, and the shell on its guest's console."""

    def __init__(self, host, text):
        self.t = host.t
        self.turn = 0
        self.fd, slave = pty.openpty()
        self.process = host.start(text, stdin=slave, stdout=slave, stderr=slave,
                                  start_new_session=True, preexec_fn=lambda:
                                  fcntl.ioctl(0, termios.TIOCSCTTY, 0))
        os.close(slave)
        host.t.at_end(self.close)
        name = f"{host.t.name}.{len(host.terminals) + 1}.console"
        self.console = monitor.Stream(
            self.fd, os.path.join(host.t.settings.logs, name))
        self.console.wait("vmm-guest: root is up", self.t.settings.seconds)
        self.do("stty -echo; PS1=; modprobe virtio_net")

    def do(self, line):
        """Its status, and what the guest's shell printed."""
        start = len(self.console.text())
        self.turn += 1
        # Echoed or not, the line is not its own answer.
        os.write(self.fd, f"{line}; echo \"over \"{self.turn} $?\n".encode())
        end = self.console.wait(rf"over {self.turn} \d+$",
                                self.t.settings.seconds, start)
        text = self.console.text()[start:end]
        return int(text.split()[-1]), text

    def set_up(self, host):
        self.do("for try in $(seq 100); do [ ! -e /sys/class/net/eth0 ] || break; "
                "usleep 50000; done; ip address add "
                f"{address(0, host)}/24 dev eth0; ip link set eth0 up")

    def pings(self, host):
        return self.do(f"ping -q -c 3 -W 3 {address(0, host)}")[0] == 0

    def close(self):
        self.process.kill()
        self.process.wait(30)
        self.console.thread.join(5)
        os.close(self.fd)


class Host:
    """Namespaces in which a recipe has the host for itself."""

    def __init__(self, t, prelude):
        self.t = t
        self.terminals = []
        self.directory = t.path("host")
        self.keeper = subprocess.Popen(
            ["unshare", "--net", "--mount", "sh", "-ec",
             HOST + "echo made; exec sleep 100000"], stdout=subprocess.PIPE)
        t.at_end(self.close)
        if self.keeper.stdout.readline() != b"made\n":
            raise Wrong("there are no namespaces to be had")
        # What every shell of the recipe begins with, on the console that there is.
        self.prelude = prelude.replace("console=ttyS0", t.words.split()[0])
        self.said = ""
        for name, target in (("build/vmm", t.settings.vmm),
                             ("build/tools/vmmctl", t.settings.vmmctl),
                             ("vmlinux", t.kit("vmlinux")),
                             ("initramfs.cpio", t.kit("initramfs.cpio")),
                             ("root.ext4", t.settings.roots["rootfs.ext4"])):
            path = os.path.join(self.directory, name)
            os.makedirs(os.path.dirname(path), exist_ok=True)
            os.symlink(target, path)

    def start(self, text, **how):
        return subprocess.Popen(
            ["nsenter", "--target", str(self.keeper.pid), "--net", "--mount",
             "bash", "-ec", f"cd {self.directory}\n{self.prelude}\n{text}"], **how)

    def run(self, text):
        process = self.start(text, stdin=subprocess.DEVNULL,
                             stdout=subprocess.PIPE, stderr=subprocess.STDOUT)
        out = process.communicate(timeout=120)[0].decode()
        if process.returncode:
            raise Wrong(f"status {process.returncode} of {text.strip()!r}: {out}")
        self.said += out
        # Variables and descriptors are there for what follows, as in one shell.
        self.prelude += "".join(f"\n{line}" for line in text.splitlines() if
                                line.startswith(("exec ", "export ")))

    def close(self):
        self.keeper.kill()
        self.keeper.wait()
        shutil.rmtree(self.directory)


def follow(t, title, before=""):
    """The machines of a recipe, up and with an address each from .2 on."""
    recipes = read_recipes()
    host = Host(t, "\n".join(recipes[""]))
    if before:
        host.run(before)
    for is_machine, text in steps(recipes[title]):
        if is_machine:
            host.terminals.append(Terminal(host, text))
        else:
            host.run(text)
    for number, terminal in enumerate(host.terminals, 2):
        terminal.set_up(number)
    return host, host.terminals


def end(t, terminals):
    for terminal in terminals:
        os.write(terminal.fd, b"poweroff -f\n")
        t.equal("vmm's exit status", terminal.process.wait(t.settings.seconds), 0)


def reaches_gateway(t, title, before=""):
    host, terminals = follow(t, title, before)
    t.check(terminals[0].pings(1), "the guest does not reach the gateway")
    end(t, terminals)
    return host


@case("recipe-bridge")
def recipe_bridge(t):
    reaches_gateway(t, "On a bridge")


@case("recipe-netns")
def recipe_netns(t):
    reaches_gateway(t, "In another network namespace")


@case("recipe-descriptor")
def recipe_descriptor(t):
    reaches_gateway(t, "By descriptor")


@case("recipe-macvtap")
def recipe_macvtap(t):
    reaches_gateway(t, "macvtap", f"ip -n outside address add {GATEWAY}/24 dev uplink")


@case("recipe-veth")
def recipe_veth(t):
    reaches_gateway(t, "As CNI's bridge plugin makes it")


@case("recipe-cni")
def recipe_cni(t):
    """The guest has the address that the plugin gave; the plugin can undo all."""
    host = reaches_gateway(t, "With CNI's plugins")
    given = re.search(r'"address": "([^"]*)"', host.said)
    t.equal("the address that the plugin gave", given and given[1],
            f"{address(0, 2)}/24")
    host.run("""CNI_COMMAND=DEL $CNI_PATH/bridge <<END
{"cniVersion": "0.4.0", "name": "box", "type": "bridge", "bridge": "cni0",
 "ipam": {"type": "host-local", "subnet": "192.0.2.0/24", "dataDir": "/run/cni-box"}}
END
! ip -n box link show eth0""")


@case("recipe-vlan")
def recipe_vlan(t):
    """Each tenant has a gateway of the same address behind the trunk."""
    _, tenants = follow(t, "Two tenants on a VLAN-aware bridge", "".join(f"""
ip netns add tenant{vlan}
ip -n outside link add link uplink name vlan{vlan} type vlan id {vlan}
ip -n outside link set vlan{vlan} netns tenant{vlan}
ip -n tenant{vlan} address add {GATEWAY}/24 dev vlan{vlan}
ip -n tenant{vlan} link set vlan{vlan} up
""" for vlan in (10, 20)))
    for tenant, other in zip(tenants, (3, 2)):
        t.check(tenant.pings(1), "a tenant does not reach its gateway")
        t.check(not tenant.pings(other), "a tenant reaches the other one")
    end(t, tenants)


@case("recipes-all", anywhere=True)
def recipes_all(t):
    """No recipe without a test."""
    with open(__file__, encoding="utf-8") as f:
        text = f.read()
    t.equal("recipes without a test", [title for title in read_recipes() if
                                       title and f'"{title}"' not in text], [])
