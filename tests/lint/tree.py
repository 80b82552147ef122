# SPDX-License-Identifier: Apache-2.0
"""The files of the source tree, for the lints."""

import os
import re

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = ("vmm", "devices", "arch", "boot")


def files():
    """Paths of all files, relative to the root; builds and hidden folders are
    left out, and so is the .git file of a worktree."""
    found = []
    for folder, folders, names in os.walk(ROOT):
        if folder != ROOT and "build.ninja" in names:
            folders.clear()
            continue
        folders[:] = sorted(f for f in folders
                            if f == ".ci" or not f.startswith((".", "__")))
        found += [os.path.relpath(os.path.join(folder, name), ROOT)
                  for name in sorted(names) if name != ".git"]
    # A build folder that is being configured holds nothing of ours yet.
    return [f for f in found if not f.startswith("build")]


def sources(*suffixes, parts=PARTS + ("tests", "tools")):
    return [f for f in files() if f.endswith(suffixes) and f.split("/")[0] in parts]


def read(path):
    with open(os.path.join(ROOT, path), encoding="utf-8", errors="replace") as text:
        return text.read()


def without_comments(code):
    """C with comments and string contents blanked, lines kept."""
    def blank(match):
        text = match.group(0)
        if text[0] in "\"'":
            return text[0] + text[0]
        return "\n" * text.count("\n")
    return re.sub(r'/\*.*?\*/|//[^\n]*|"(?:\\.|[^"\\\n])*"|\'(?:\\.|[^\'\\\n])*\'',
                  blank, code, flags=re.S)
