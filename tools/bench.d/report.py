# SPDX-License-Identifier: Apache-2.0
"""The figures: collected in rounds, told as medians, in JSON and as a table."""

import json
import os
import platform
import re
import statistics
import time
from dataclasses import asdict, dataclass, field

from process import Failed, say

OURS = "vmm"
LIMIT = "limit"

# A run of a guest that polls, and the pause before it. Processes with real-time
# priority have 95 % of a core's second (sched(7)): one that used its share up
# stands still in the middle of what is measured.
WARM_MS, RUN_MS, PAUSE_MS = 100, 600, 300


@dataclass
class Row:
    """One figure: what was measured of ours, of each peer and of the limit."""

    name: str
    unit: str
    better: str
    values: dict = field(default_factory=dict)

    def add(self, who, value):
        self.values.setdefault(who, []).append(value)

    def median(self, who):
        values = self.values.get(who)
        return statistics.median(values) if values else None

    def peers(self):
        return [who for who in self.values if who not in (OURS, LIMIT)]


def rounds(title, nr, contenders, rows, warm=True):
    """Calls each contender in turn, round after round, after one round that is
    thrown away; or with a pause before each, when they warm up themselves.
    contenders: name -> function(first) that adds to its rows, or
    throws away what it measured when first. A peer that fails is left out of
    the rows: what it did before is not measured in the same rounds as the rest."""
    failed = set()
    for i in range(0 if warm else 1, nr + 1):
        for who, run in contenders.items():
            if who in failed:
                continue
            say(f"{title}: {who}, " + (f"run {i} of {nr}" if i else "warm-up"))
            if not warm:
                time.sleep(PAUSE_MS / 1000)
            try:
                run(i == 0)
            except Failed as e:
                if who == OURS:
                    raise SystemExit(f"bench: {e}") from None
                say(f"{who} is left out: {e}")
                failed.add(who)
                for row in rows:
                    row.values.pop(who, None)


def host():
    """This machine in a line."""
    model = "unknown CPU"
    with open("/proc/cpuinfo", encoding="utf-8") as f:
        text = f.read()
    found = re.search(r"^model name\s*:\s*(.*)$", text, re.M)
    if found:
        model = found.group(1)
    kind = "no vmx or svm"
    for flag in ("vmx", "svm"):
        if re.search(rf"^flags\s*:.*\b{flag}\b", text, re.M):
            kind = flag
    if os.environ.get("VMM_LAB"):
        kind = "lab, " + kind
    return (f"{os.cpu_count()} x {model}, {kind}, "
            f"Linux {platform.release()} {platform.machine()}")


def tidy(value):
    """Four digits that mean something, or a whole number."""
    if value is None:
        return None
    return round(value) if abs(value) >= 1000 else float(f"{value:.4g}")


def save(path, where, rows):
    """All values, for another process to report."""
    with open(path, "w", encoding="utf-8") as f:
        json.dump([where, [asdict(row) for row in rows]], f)


def load(path):
    """(host, rows) as they were saved."""
    with open(path, encoding="utf-8") as f:
        where, rows = json.load(f)
    return where, [Row(**row) for row in rows]


def write_json(path, bench, where, rows):
    document = {"bench": bench, "host": where, "rows": [
        {"name": row.name, "unit": row.unit, "better": row.better,
         "ours": tidy(row.median(OURS)),
         "peers": {who: tidy(row.median(who)) for who in row.peers()},
         "limit": tidy(row.median(LIMIT))} for row in rows]}
    with open(path, "w", encoding="utf-8") as f:
        json.dump(document, f, indent=1)
        f.write("\n")


def text(value):
    if value is None:
        return "-"
    if abs(value) >= 1000 or value == int(value):
        return f"{value:,.0f}".replace(",", " ")
    return f"{value:.3g}"


def spread(values):
    """The middle half of the runs."""
    if not values or len(values) < 3:
        return ""
    low, _, high = statistics.quantiles(values, n=4, method="inclusive")
    return f"{text(tidy(low))}..{text(tidy(high))}"


def ratio(row, who):
    """How many times better than that one ours is."""
    ours, theirs = row.median(OURS), row.median(who)
    if theirs is None:
        return "-"
    words = text(tidy(theirs))
    if row.better == "lower":
        ours, theirs = theirs, ours
    return f"{words} ({ours / theirs:.2f}x)" if theirs else words


def print_table(bench, where, rows):
    peers = list(dict.fromkeys(who for row in rows for who in row.peers()))
    others = peers + [LIMIT] * any(LIMIT in row.values for row in rows)
    lines = [[bench, "unit", "vmm", "middle half", *others]]
    for row in rows:
        lines.append([row.name, row.unit, text(tidy(row.median(OURS))),
                      spread(row.values.get(OURS)),
                      *(ratio(row, who) for who in others)])
    widths = [max(len(line[i]) for line in lines) for i in range(len(lines[0]))]
    for line in lines:
        print("  ".join(f"{cell:<{width}}" if i < 2 else f"{cell:>{width}}"
                        for i, (cell, width) in enumerate(zip(line, widths))))
    print("Medians; in brackets how many times better vmm is.\n"
          + where.replace("; ", "\n"))
