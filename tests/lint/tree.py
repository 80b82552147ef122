# SPDX-License-Identifier: Apache-2.0
"""The files of the source tree, for the lints."""

import os
import re
import shutil
import subprocess

ROOT = os.path.dirname(os.path.dirname(os.path.dirname(os.path.abspath(__file__))))
PARTS = ("vmm", "devices", "arch", "boot")
# What .clang-format and .clang-tidy say is read otherwise by each release; this
# is Debian 12's.
CLANG = 14


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


def clang_tool(name):
    """The program of that name of release CLANG; None, and a line that says why."""
    found = "none is installed"
    for program in (f"{name}-{CLANG}", name):
        if not shutil.which(program):
            continue
        text = subprocess.run([program, "--version"], capture_output=True, text=True,
                              timeout=60, check=False).stdout
        match = re.search(r"version (\d+)", text)
        if match and int(match.group(1)) == CLANG:
            return program
        found = f"{program} here is {match.group(1) if match else 'of no version'}"
    print(f"skipped: this lint is for {name} {CLANG} (Debian 12), {found}")
    return None
