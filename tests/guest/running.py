# SPDX-License-Identifier: Apache-2.0
"""A monitor and its guest that run beside a test, and what they have said."""

import subprocess
import threading

from net_cases import check
from net_life import wait_for


class Running:
    """argv is the subclass's."""

    argv = ()

    def __init__(self):
        self.lines = []

    def __enter__(self):
        self.process = subprocess.Popen(self.argv, stdin=subprocess.DEVNULL,
                                        stdout=subprocess.PIPE, text=True)
        self.reader = threading.Thread(target=self.read)
        self.reader.start()
        return self

    def __exit__(self, *_):
        self.process.kill()
        self.process.wait()
        self.reader.join()
        self.process.stdout.close()

    def read(self):
        for line in self.process.stdout:
            self.lines.append(line.strip())

    def until(self, line, count=1, seconds=20):
        wait_for(lambda: self.lines.count(line) >= count or self.process.poll() is not None,
                 seconds)
        check(self.lines.count(line) >= count, line, "did not come:", self.lines[-3:])
