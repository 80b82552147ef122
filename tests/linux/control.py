# SPDX-License-Identifier: Apache-2.0
"""The control socket of a guest's vmm, and the events that it writes."""

import json
import os
import sys
import time

# Last, for its cases have names that ours have too.
sys.path.append(os.path.join(os.path.dirname(os.path.abspath(__file__)),
                             os.pardir, "api"))

import client       # pylint: disable=wrong-import-position

# An answer may wait for the guest, which has this long to bind a driver.
ANSWER_SECONDS = 60


class Wrong(Exception):
    """An answer that makes it pointless to go on."""


class Control:
    """One connection; more of them for requests side by side."""

    def __init__(self, directory):
        self.directory = directory
        self.client = self.connect()
        self.taken = set()      # numbers of the events that were waited for

    def connect(self):
        one = client.GoProfile(os.path.join(self.directory, "socket"))
        one.wire.socket.settimeout(ANSWER_SECONDS)
        return one

    def close(self):
        self.client.close()

    # -- requests --------------------------------------------------------
    def request(self, method, verb, body=None):
        """The answer, whatever it is."""
        return self.client.request(method, f"vm.{verb}", body)

    def take(self, reply, what):
        """The body of an answer that has to be a good one."""
        if reply.status >= 300:
            raise Wrong(f"{what}: {reply.status} {reply.body.decode()}")
        return reply.json() if reply.body else None

    def put(self, verb, body=None):
        return self.take(self.request("PUT", verb, body), f"vm.{verb} {body}")

    def get(self, verb):
        return self.take(self.request("GET", verb), f"vm.{verb}")

    def put_together(self, verb, bodies):
        """All on their way before the first answer is read. As many as there
        are: whoever finds no place waits for one that another leaves."""
        clients = []
        try:
            for body in bodies:
                clients.append(self.connect())
                clients[-1].send("PUT", f"vm.{verb}", body)
            answers = []
            for one, body in zip(clients, bodies):
                answers.append(self.take(one.wire.reply(), f"vm.{verb} {body}"))
                one.close()
            return answers
        finally:
            for one in clients:
                one.close()

    # -- events ----------------------------------------------------------
    def events(self):
        with open(os.path.join(self.directory, "events"), encoding="ascii") as f:
            parts = f.read().split("\n\n")
        return [json.loads(part) for part in parts[:-1]]

    def count(self, name, **properties):
        return sum(self.fits(event, [name], properties)
                   for event in self.events())

    @staticmethod
    def fits(event, names, properties):
        have = event["properties"] or {}
        return event["event"] in names and all(
            have.get(key) == value for key, value in properties.items())

    def wait_event(self, *names, seconds=60, **properties):
        """The first that was not waited for yet, of one of these names."""
        deadline = time.monotonic() + seconds
        while True:
            for number, event in enumerate(self.events()):
                if number not in self.taken and \
                        self.fits(event, names, properties):
                    self.taken.add(number)
                    return event
            if time.monotonic() > deadline:
                raise Wrong(f"no event {' or '.join(names)} {properties} in "
                            f"{seconds} s")
            time.sleep(0.02)
