# SPDX-License-Identifier: Apache-2.0
"""ping.py SOCKET: pings a monitor until its input ends, and prints how long the
answers took."""

import json
import os
import select
import sys
import time

sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)), os.pardir, "api"))
# pylint: disable-next=wrong-import-position
from client import GoProfile


def main():
    client = GoProfile(sys.argv[1])
    client.wire.socket.settimeout(60)
    took = []
    while not select.select([sys.stdin], [], [], 0.005)[0]:
        start = time.monotonic()
        reply = client.request("GET", "vmm.ping")
        took.append((time.monotonic() - start) * 1000)
        assert reply.status == 200, (reply.status_line, reply.body)
    took.sort()
    print(json.dumps({"max": took[-1], "p999": took[int(len(took) * 0.999)],
                      "median": took[len(took) // 2], "count": len(took)}))


if __name__ == "__main__":
    main()
