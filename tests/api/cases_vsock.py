# SPDX-License-Identifier: Apache-2.0
"""vsock: there is one, it is an object, and its socket comes and goes with it."""

import os
import re
import socket
import time

from cases import check, check_chain, state


def shown(client):
    return check(client.request("GET", "vm.info"), 200).json()["config"].get("vsock")


def connect(path, words):
    """What a program of the host gets to read for these words, until the end."""
    with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
        s.settimeout(10)
        s.connect(path)
        s.sendall(words)
        data = b""
        while chunk := s.recv(4096):
            data += chunk
        return data


def test_vsock_in_create(context, profile):
    with context.session() as (monitor, client):
        path = monitor.file("v.sock")
        config = context.config(vsock={"cid": 3, "socket": path, "iommu": False, "id": None})
        check(client.request("PUT", "vm.create", config), 204)
        assert not os.path.exists(path)
        vsock = shown(client)
        assert (vsock["cid"], vsock["socket"], vsock["id"]) == (3, path, "_vsock1"), vsock
        check_chain(client.request("PUT", "vm.add-vsock", {"cid": 4, "socket": path + "2"}), 409,
                    "The vsock device could not be added to the VM")
        check(client.request("PUT", "vm.boot"), 204)
        assert os.stat(path).st_mode & 0o777 == 0o600
        check_chain(client.request("PUT", "vm.add-vsock", {"cid": 4, "socket": path + "2"}), 409,
                    "already")
        # The guest has no driver: whoever connects is not left waiting.
        start = time.monotonic()
        for words in (b"CONNECT 1024\n", b"connect 1024\n", b"CONNECT x\n", b"GET / HTTP/1.1\n"):
            assert connect(path, words) == b"", words
        assert time.monotonic() - start < 10
        for verbs in (("reboot",), ("pause", "resume"), ("shutdown", "boot")):
            for verb in verbs:
                check(client.request("PUT", "vm." + verb), 204)
                if verb == "shutdown":
                    assert not os.path.exists(path)
            assert connect(path, b"CONNECT x\n") == b"", verbs
        assert shown(client) == vsock
        check(client.request("PUT", "vm.delete"), 204)
        assert not os.path.exists(path)


def test_add_vsock(context, profile):
    """Before boot and after it; it goes again, and another one may come."""
    with context.session() as (monitor, client):
        path = monitor.file("v.sock")
        check(client.request("PUT", "vm.create", context.config()), 204)
        assert shown(client) is None
        check(client.request("PUT", "vm.add-vsock", {"cid": 3, "socket": path}), 204)
        assert shown(client)["id"] == "_vsock1"
        check(client.request("PUT", "vm.remove-device", {"id": "_vsock1"}), 204)
        assert shown(client) is None
        check(client.request("PUT", "vm.boot"), 204)
        before = monitor.settled_fds()
        for cid in (0xFFFFFFFE, 7):
            added = check(client.request("PUT", "vm.add-vsock", {"cid": cid, "socket": path}),
                          200).json()
            assert re.fullmatch(r"0000:00:[0-9a-f]{2}\.0", added["bdf"])
            assert re.fullmatch(r"_vsock\d", added["id"]) and shown(client)["cid"] == cid
            assert os.path.exists(path)
            counters = check(client.request("GET", "vm.counters"), 200).json()[added["id"]]
            assert counters["rx_bytes"] == counters["tx_bytes"] == counters["connections"] == 0
            limit = {"bandwidth": {"size": 5000000, "refill_time": 100}}
            body = {"id": added["id"], "tx": limit}
            check(client.request("PUT", "vm.set-rate-limit", body), 204)
            assert shown(client)["tx"] == limit
            body = {"id": added["id"], "force": True}
            check(client.request("PUT", "vm.remove-device", body), 204)
            assert shown(client) is None and not os.path.exists(path)
            monitor.wait_for(lambda: monitor.fds() == before)
        assert monitor.event_names().count(("vm", "device-added")) == 2
        assert monitor.event_names().count(("vm", "device-removed")) == 2


def test_vsock_refused(context, profile):
    with context.session() as (monitor, client):
        path = monitor.file("v.sock")
        bad = (({"cid": 2, "socket": path}, 400, "cid"), ({"cid": 0, "socket": path}, 400, "cid"),
               ({"cid": -1, "socket": path}, 400, "cid"), ({"socket": path}, 400, "cid"),
               ({"cid": 0xFFFFFFFF, "socket": path}, 400, "cid"),
               ({"cid": 1 << 40, "socket": path}, 400, "cid"),
               ({"cid": "3", "socket": path}, 400, "cid"), ({"cid": 3}, 400, "socket"),
               ({"cid": 3, "socket": ""}, 400, "socket"),
               ({"cid": 3, "socket": "/" + "x" * 107}, 400, "socket"),
               ({"cid": 3, "socket": path, "iommu": True}, 400, "iommu"),
               ({"cid": 3, "socket": path, "pci_segment": 1}, 400, "pci_segment"),
               ({"cid": 3, "fd": 0}, 400, "fd"))
        for body, status, text in bad:
            check_chain(client.request("PUT", "vm.create", context.config(vsock=body)), status,
                        "vsock", text)
        for body in ([], [{"cid": 3, "socket": path}], 3, "x"):
            check_chain(client.request("PUT", "vm.create", context.config(vsock=body)), 400,
                        "vsock")
        check(client.request("PUT", "vm.create", context.config(vsock=None)), 204)
        for boot in (False, True):
            if boot:
                check(client.request("PUT", "vm.boot"), 204)
            for body, status, text in bad:
                check_chain(client.request("PUT", "vm.add-vsock", body), status, text)
        assert shown(client) is None
        # A socket that somebody listens on is not taken away; a stale one is.
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(path)
            s.listen()
            check_chain(client.request("PUT", "vm.add-vsock", {"cid": 3, "socket": path}), 500,
                        path)
            assert os.path.exists(path) and shown(client) is None
        check(client.request("PUT", "vm.add-vsock", {"cid": 3, "socket": path}), 200)


def test_vsock_by_descriptor(context):
    """The listener may be the client's: its file stays where it is."""
    with context.session() as (monitor, client):
        path = monitor.file("v.sock")
        check(client.request("PUT", "vm.create", context.config()), 204)
        check(client.request("PUT", "vm.boot"), 204)
        with socket.socket(socket.AF_UNIX, socket.SOCK_STREAM) as s:
            s.bind(path)
            check_chain(client.request("PUT", "vm.add-vsock", {"cid": 3, "fd": 0}, [s.fileno()]),
                        500, "listen")
            s.listen()
            added = check(client.request("PUT", "vm.add-vsock", {"cid": 3, "fd": 0}, [s.fileno()]),
                          200).json()
        assert "socket" not in shown(client) and "fd" not in shown(client)
        assert connect(path, b"CONNECT x\n") == b""
        for verb in ("reboot", "shutdown", "boot"):
            check(client.request("PUT", "vm." + verb), 204)
        assert connect(path, b"CONNECT x\n") == b"" and state(client) == "Running"
        body = {"id": added["id"], "force": True}
        check(client.request("PUT", "vm.remove-device", body), 204)
        assert os.path.exists(path)


def test_vsock_of_two(context):
    """Two monitors do not share a socket."""
    with context.session() as (monitor, client), context.session() as (_, other):
        vsock = {"cid": 3, "socket": monitor.file("v.sock")}
        for one in (client, other):
            check(one.request("PUT", "vm.create", context.config(vsock=vsock, disks=[
                {"path": context.disk.name, "readonly": True}])), 204)
        check(client.request("PUT", "vm.boot"), 204)
        check_chain(other.request("PUT", "vm.boot"), 500, vsock["socket"])
        assert state(other) == "Created"
        check(client.request("PUT", "vm.delete"), 204)
        check(other.request("PUT", "vm.boot"), 204)
