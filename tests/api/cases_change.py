# SPDX-License-Identifier: Apache-2.0
"""What is changed of a device while the machine runs."""

import os
import time

from cases import MIB, check, check_chain


def disk_of(client, name="d"):
    config = check(client.request("GET", "vm.info"), 200).json()["config"]
    return next(disk for disk in config["disks"] if disk["id"] == name)


def busy_disk(context, monitor, client):
    """A guest that reads 4096 bytes a time, as fast as it can."""
    bench = context.other_guest("blkbench")
    config = context.config(
        payload={"kernel": bench, "cmdline": "run_ms=600000 warm_ms=0 qd=4"},
        disks=[{"path": monitor.file("d", MIB), "id": "d"}])
    check(client.request("PUT", "vm.create", config), 204)
    check(client.request("PUT", "vm.boot"), 204)


def rate(client, seconds=1.0):
    """Requests a second."""
    def sample():
        counters = check(client.request("GET", "vm.counters"), 200).json()["d"]
        return counters["read_ops"], time.monotonic()

    ops, start = sample()
    time.sleep(seconds)
    more, end = sample()
    return (more - ops) / (end - start)


def settles(monitor, client, low, high):
    """So many requests a second, once what the host had in its way is over."""
    monitor.wait_for(lambda: low < rate(client) < high)


def set_limit(client, status=204, **body):
    return check(client.request("PUT", "vm.set-rate-limit", {"id": "d", **body}), status)


def test_rate_limit_is_changed(context):
    """It holds at once, stays over a reset and a new start, and goes again."""
    limit = {"ops": {"size": 500, "refill_time": 1000}}
    shown = {"size": 500, "one_time_burst": 0, "refill_time": 1000}
    with context.session() as (monitor, client):
        busy_disk(context, monitor, client)
        monitor.wait_for(lambda: rate(client, 0.1) > 1000)
        assert "rate_limiter_config" not in disk_of(client)
        set_limit(client, rate_limiter_config=limit)
        assert disk_of(client)["rate_limiter_config"]["ops"] == shown
        settles(monitor, client, 400, 600)
        for verbs in (("reboot",), ("shutdown", "boot"), ("pause", "resume")):
            for verb in verbs:
                check(client.request("PUT", "vm." + verb), 204)
            settles(monitor, client, 400, 600)
            assert disk_of(client)["rate_limiter_config"]["ops"] == shown
        # A slower one, while requests wait for the one before.
        set_limit(client, rx={"bandwidth": {"size": 100 * 4096, "refill_time": 1000}})
        assert "ops" not in disk_of(client)["rate_limiter_config"]
        settles(monitor, client, 70, 130)
        set_limit(client, tx={})
        monitor.wait_for(lambda: rate(client, 0.1) > 1000)
        check(client.request("PUT", "vm.pause"), 204)
        set_limit(client, rate_limiter_config=limit)
        check(client.request("PUT", "vm.resume"), 204)
        settles(monitor, client, 400, 600)


def test_rate_limit_refused(context, profile):
    with context.session() as (monitor, client):
        check_chain(client.request("PUT", "vm.set-rate-limit", {"id": "d", "rx": {}}), 404,
                    "The rate limit could not be set", "VM is not created")
        for boot in (False, True):
            if boot:
                check(client.request("PUT", "vm.boot"), 204)
            else:
                disks = [{"path": monitor.file("d", MIB), "id": "d"}]
                check(client.request("PUT", "vm.create", context.config(disks=disks)), 204)
            for body, status, text in (
                    ({"id": "e", "rx": {}}, 404, "no such device"),
                    ({"rx": {}}, 400, "id: is missing"),
                    ({"id": 7, "rx": {}}, 400, "id"),
                    ({"id": "d"}, 400, "rx, tx"),
                    ({"id": "d", "rx": None, "tx": None}, 400, "rx, tx"),
                    ({"id": "d", "rx": 7}, 400, "must be an object"),
                    ({"id": "d", "rx": {"ops": 7}}, 400, "ops"),
                    ({"id": "d", "rx": {"ops": {"size": -1}}}, 400, "ops.size"),
                    ({"id": "d", "rx": {"ops": {"size": "1"}}}, 400, "ops.size"),
                    ({"id": "d", "rx": {"ops": {"refill_time": 0}}}, 400, "refill_time 0"),
                    ({"id": "d", "rx": {"ops": {"size": 1}}, "tx": {}}, 400, "one limit")):
                check_chain(client.request("PUT", "vm.set-rate-limit", body), status, text)
            assert "rate_limiter_config" not in disk_of(client)


def test_rate_limits_many_times(context):
    """A client that changes it without end costs nothing but that."""
    with context.session() as (monitor, client):
        busy_disk(context, monitor, client)
        before = monitor.settled_fds()
        for n in range(1000):
            set_limit(client, rx={"ops": {"size": 1 + n % 7 * 1000}})
        set_limit(client, rx={})
        monitor.wait_for(lambda: rate(client, 0.1) > 1000)
        assert monitor.settled_fds() == before
        assert len(monitor.events()) < 100 and len(monitor.errors()) < 10000
