# SPDX-License-Identifier: Apache-2.0
"""vmmctl, each verb of it, against a monitor that runs."""

import json
import os
import re
import subprocess

import network
from cases import MIB

TIMEOUT = 20


class Ctl:
    """vmmctl as a person calls it."""

    def __init__(self, context, monitor):
        self.program = os.path.abspath(context.vmmctl)
        self.environ = dict(os.environ, VMM_API_SOCKET=monitor.path)

    def run(self, *words, status=0, **popen):
        done = subprocess.run([self.program, *words], env=self.environ, timeout=TIMEOUT,
                              capture_output=True, text=True, check=False, **popen)
        assert done.returncode == status, f"{words}: {done}"
        assert bool(done.stderr) == bool(status), f"{words}: {done}"
        return done.stdout if not status else done.stderr

    def json(self, *words):
        return json.loads(self.run("--json", *words))


def create(ctl, context, monitor):
    path = monitor.file("root.img", MIB)
    ctl.run("create", "--kernel", context.guest, "--disk", f"path={path},id=root",
            "--cpus", "boot=1,max=2", "--memory", "size=64M,hotplug_size=128M")
    ctl.run("boot")
    monitor.wait_for(lambda: ctl.json("counters")["root"]["read_ops"])


def test_vmmctl_life(context):
    with context.monitor() as monitor:
        ctl = Ctl(context, monitor)
        assert f"pid                         {monitor.process.pid}\n" in ctl.run("ping")
        assert "VM is not created" in ctl.run("info", status=1)
        create(ctl, context, monitor)
        assert "VM is already created" in ctl.run("boot", status=1)
        info = ctl.json("info")
        assert info["state"] == "Running"
        assert info["config"]["cpus"] == {**info["config"]["cpus"], "boot_vcpus": 1, "max_vcpus": 2}
        assert info["config"]["memory"]["hotplug_size"] == 128 * MIB
        for verb, state in (("pause", "Paused"), ("resume", "Running"),
                            ("power-button", "Running"), ("reboot", "Running"),
                            ("shutdown", "Created"), ("boot", "Running")):
            ctl.run(verb)
            assert re.search(rf"^state +{state}$", ctl.run("info"), re.M), verb
        ctl.run("delete")
        assert "VM is not created" in ctl.run("info", status=1)
        for verb in ("nmi", "pause"):
            assert "VM is not running" in ctl.run(verb, status=1)
        ctl.run("shutdown-vmm")
        assert monitor.process.wait(3) == 0
        assert monitor.path in ctl.run("ping", status=1)


def test_vmmctl_devices(context):
    with context.monitor() as monitor:
        ctl = Ctl(context, monitor)
        create(ctl, context, monitor)
        path = monitor.file("data.img", MIB)
        assert ctl.run("add-disk", f"path={path},id=data,readonly=on") == "data at 0000:00:02.0\n"
        disk = next(d for d in ctl.json("info")["config"]["disks"] if d["id"] == "data")
        assert disk["path"] == path and disk["readonly"] is True
        assert "409" in ctl.run("add-disk", f"path={path},id=data", status=1)
        assert "known keys" in ctl.run("add-disk", f"path={path},idd=data", status=2)
        assert "404" in ctl.run("remove-device", "nobody", status=1)
        ctl.run("set-rate-limit", "data", "--bw_size", "10M", "--bw_refill_time", "100")
        disk = next(d for d in ctl.json("info")["config"]["disks"] if d["id"] == "data")
        assert disk["rate_limiter_config"]["bandwidth"] == {
            "size": 10 * MIB, "one_time_burst": 0, "refill_time": 100}, disk
        ctl.run("set-rate-limit", "data", "--bw_size", "0")
        disk = next(d for d in ctl.json("info")["config"]["disks"] if d["id"] == "data")
        assert "rate_limiter_config" not in disk, disk
        assert "404" in ctl.run("set-rate-limit", "nobody", "--ops_size", "1", status=1)
        assert "which device" in ctl.run("set-rate-limit", status=2)
        ctl.run("remove-device", "data", "--force")
        assert [d["id"] for d in ctl.json("info")["config"]["disks"]] == ["root"]
        ctl.run("resize-disk", "root", "--size", "2M")
        assert os.path.getsize(monitor.file("root.img")) == 2 * MIB
        assert "max_vcpus" in ctl.run("resize", "--cpus", "3", status=1)
        assert "128 MiB" in ctl.run("resize", "--memory", "65M", status=1)
        ctl.run("resize", "--cpus", "2", "--memory", "192M")
        monitor.wait_for(lambda: monitor.event_names().count(("vm", "resize-done")) == 2)
        assert ctl.json("info")["memory_actual_size"] == 192 * MIB


def test_vmmctl_vsock(context):
    with context.monitor() as monitor:
        ctl = Ctl(context, monitor)
        path = monitor.file("v.sock")
        ctl.run("create", "--kernel", context.guest, "--disk", f"path={context.disk.name}",
                "--vsock", f"cid=5,socket={path}")
        assert ctl.json("info")["config"]["vsock"]["cid"] == 5
        ctl.run("remove-device", "_vsock1")
        ctl.run("boot")
        assert re.fullmatch(r"v at 0000:00:\S+\n", ctl.run(
            "add-vsock", "cid=6,socket=v.sock,id=v", cwd=os.path.dirname(path)))
        assert ctl.json("info")["config"]["vsock"]["socket"] == path
        assert "409" in ctl.run("add-vsock", f"cid=7,socket={path}2", status=1)
        assert "cid=2" in ctl.run("add-vsock", f"cid=2,socket={path}2", status=2)
        ctl.run("set-rate-limit", "v", "--rx_bw_size", "1M", "--tx_ops_size", "5")
        vsock = ctl.json("info")["config"]["vsock"]
        assert vsock["rx"]["bandwidth"]["size"] == MIB and vsock["tx"]["ops"]["size"] == 5
        assert re.search(r"^VSOCK .*\nv +0 +0 +0 +0 +0 +0 +0$", ctl.run("top", "--once"), re.M)
        ctl.run("remove-device", "v", "--force")
        assert "vsock" not in ctl.json("info")["config"] and not os.path.exists(path)
        assert "machine has one" in ctl.run(
            "create", "--kernel", context.guest, "--vsock", "cid=5,socket=a", "--vsock",
            "cid=5,socket=b", status=2)


def test_vmmctl_net(context):
    with network.namespace() as good, context.monitor() as monitor:
        if not good:
            return
        ctl = Ctl(context, monitor)
        ctl.run("create", "--kernel", context.guest, "--disk", f"path={context.disk.name}",
                "--net", "tap=a,id=n,vlan=5", "--net", "id=o", "--cpus", "2")
        ctl.run("boot")
        taps = network.tap("b", 2)
        value = f"fd=[{taps[0]},{taps[1]}],mac=02:00:00:00:00:09,id=m"
        added = ctl.run("add-net", value, pass_fds=taps)
        assert re.fullmatch(r"m at 0000:00:\S+\n", added)
        assert ctl.run("add-net", value, pass_fds=taps) == added
        network.close(taps)

        def net(name):
            return next(n for n in ctl.json("info")["config"]["net"] if n["id"] == name)

        assert net("m")["num_queues"] == 4 and net("n")["vlan"] == 5
        ctl.run("set-net", "n", "--vlan", "trunk:[10,20-29]", "--link=down")
        assert net("n")["vlan"] == "trunk:[10,20-29]" and net("n")["link"] == "down"
        ctl.run("set-net", "n", "--link", "up")
        assert net("n")["vlan"] == "trunk:[10,20-29]" and net("n")["link"] == "up"
        assert "VLANs 1 to 4094" in ctl.run("set-net", "n", "--vlan", "4095", status=2)
        assert "404" in ctl.run("set-net", "x", "--vlan", "1", status=1)
        assert "--vlan" in ctl.run("set-net", "n", status=2)
        ctl.run("set-rate-limit", "n", "--bw_size", "1M", "--tx_bw_size", "2M")
        assert net("n")["tx"]["bandwidth"]["size"] == 2 * MIB
        assert re.search(r"^NETWORK .*(\n[mno] +0( +\d+){6}){3}$", ctl.run("top", "--once"), re.M)
        with open(monitor.events_path, encoding="ascii") as f:
            shown = ctl.run("events", "-", input=f.read())
        assert re.search(r"link-down +id=n", shown) and re.search(r"link-up +id=n", shown), shown
        ctl.run("remove-device", "m", "--force")
        assert "b" not in network.links()


def test_vmmctl_figures(context):
    with context.monitor() as monitor:
        ctl = Ctl(context, monitor)
        create(ctl, context, monitor)
        assert re.search(r"^root\n( +\w+ +\S.*\n)+", ctl.run("counters"), re.M)
        assert re.search(r"^ +guest_rss_bytes +\d", ctl.run("stats"), re.M)
        assert "vmm_memory{" in ctl.run("metrics")
        once = ctl.run("top", "--once")
        assert "root" in once and "vcpu0" in once, once


def test_vmmctl_events(context):
    with context.monitor() as monitor:
        ctl = Ctl(context, monitor)
        create(ctl, context, monitor)
        ctl.run("delete")
        with open(monitor.events_path, encoding="ascii") as f:
            lines = ctl.run("events", "-", input=f.read()).splitlines()
        assert [line.split()[1:3] for line in lines if " vm " in line] == [
            ["vm", "booting"], ["vm", "booted"], ["vm", "shutdown"], ["vm", "deleted"]], lines


def test_vmmctl_words(context):
    with context.monitor() as monitor:
        ctl = Ctl(context, monitor)
        for words in ((), ("no-such-verb",), ("resize",), ("resize", "--cpus", "x"), ("add-disk",),
                      ("remove-device",), ("ping", "word"), ("--no-such-option", "ping")):
            assert "vmmctl" in ctl.run(*words, status=2), words
        assert "shutdown-vmm" in ctl.run("--help")
        assert re.fullmatch(r"vmmctl \d[\d.]*\n", ctl.run("--version"))
