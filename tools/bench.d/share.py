# SPDX-License-Identifier: Apache-2.0
"""Work of Linux on a shared directory: fio with small reads that the guest has not in
its page cache, and small writes, each a request; files that are made and removed; find
over a tree; a compiler (tcc, one process a file, which is little work beside opening
what it reads). QEMU stands beside it with virtiofsd, and with its own 9P. All have
Debian's full kernel, as the one for clouds has no 9P.

In the lab all share one processor, so a figure is what the work costs in all: guest,
monitor, daemon. There an exit of the guest costs more than anything a monitor does."""

import os
import re
import shutil
import subprocess

import monitors
from process import Process
from report import Row, rounds

PEERS = ["qemu-virtiofsd", "qemu-9p"]
TIMEOUT_S = 900
FOLDERS, FILES = 40, 50
UNITS, HEADERS = 40, 30
MADE = 300
FIO_S = 3
# More than is read in that time: no block twice. Not O_DIRECT, which is for the host
# as well with vmm, and which virtiofsd and 9P leave out.
DATA_MIB = 128

# name, unit, better, what fio or a clock says
FIGURES = [
    ("share_find_s", "s", "lower"),
    ("share_find_again_s", "s", "lower"),
    ("share_create_s", "s", "lower"),
    ("share_compile_s", "s", "lower"),
    ("share_read4k_iops", "IO/s", "higher"),
    ("share_write4k_iops", "IO/s", "higher"),
]

# Each figure is a line; a clock of hundredths, and jobs of seconds.
JOB = f"""
now() {{ sed 's/ .*//' /proc/uptime; }}
clock() {{
	echo 3 >/proc/sys/vm/drop_caches
	from=$(now)
	eval "$2" || exit 1
	echo "FIGURE $1 $from $(now)"
}}
clock share_find_s '[ $(find /mnt/tree -type f -size -2 | wc -l) = {FOLDERS * FILES} ]'
from=$(now)
for i in 1 2 3; do [ $(find /mnt/tree -type f -size -2 | wc -l) = {FOLDERS * FILES} ] || exit 1; done
echo "FIGURE share_find_again_s $from $(now)"
clock share_create_s 'mkdir /mnt/made && for n in $(seq {MADE}); do echo $n >/mnt/made/$n; done &&
	rm -r /mnt/made'
cd /mnt/source || exit 1
clock share_compile_s 'for f in *.c; do tcc -c -I . -o ${{f%c}}o $f || exit 1; done; rm *.o'
for rw in read write; do
	echo 3 >/proc/sys/vm/drop_caches
	fio --name=x --filename=/mnt/data --ioengine=psync --rw=rand$rw --bs=4k \\
		--size={DATA_MIB}M --time_based --runtime={FIO_S} --ramp_time=1 --minimal >/tmp/fio || exit 1
	[ $rw = read ] && field=8 || field=49
	echo "FIGURE share_${{rw}}4k_iops 0 $(cut -d';' -f $field /tmp/fio)"
done
"""

HEADER = """
#ifndef H{n}
#define H{n}
{include}
struct s{n} {{ int a, b; struct s{n} *next; }};
static inline int f{n}(struct s{n} *s) {{ int r = 0; while (s) {{ r += s->a * s->b; s = s->next; }} return r; }}
#endif
"""


def make_source(path):
    """Each unit reads a third of all headers, by ways that make it look for them."""
    os.mkdir(path)
    for n in range(HEADERS):
        include = f'#include "h{n + 3}.h"' if n + 3 < HEADERS else ""
        with open(f"{path}/h{n}.h", "w", encoding="ascii") as f:
            f.write(HEADER.format(n=n, include=include))
    for n in range(UNITS):
        with open(f"{path}/u{n}.c", "w", encoding="ascii") as f:
            f.write(f'#include <h{n % 3}.h>\n')
            for i in range(20):
                f.write(f"int u{n}_{i}(struct s{n % 3} *s) {{ return f{n % 3}(s) + {i}; }}\n")


def prepare(context):
    path = os.path.join(context.tmp, "share")
    shutil.rmtree(path, ignore_errors=True)
    for n in range(FOLDERS):
        os.makedirs(f"{path}/tree/{n % 5}/{n}")
        for i in range(FILES):
            with open(f"{path}/tree/{n % 5}/{n}/file-{i}", "w", encoding="ascii") as f:
                f.write("x" * i)
    make_source(path + "/source")
    with open(path + "/data", "wb") as f:
        f.write(os.urandom(1 << 20) * DATA_MIB)
    with open(path + "/job", "w", encoding="ascii") as f:
        f.write(JOB)
    return path


def run(context, monitor, rows, image):
    full = os.path.join(context.kit, "full")
    guest = monitors.Guest(
        kernel=full + "/vmlinux", initramfs=full + "/initramfs.cpio", disk=image,
        share=prepare(context), linux=True, memory_mib=384,
        cmdline="console=ttyS0 quiet panic=-1 root=/dev/vda ro vmm.exec=\""
                f"mount -t {monitor.mount} share /mnt && cp /mnt/job /tmp && sh /tmp/job\"")
    with monitor.beside(guest, context.tmp):
        with Process(monitor.argv(guest, context.tmp), context.tmp) as process:
            process.read_until(b"vmm-guest: exit status", TIMEOUT_S)
            process.wait(TIMEOUT_S)
            said = process.output.decode(errors="replace")
    figures = {name: float(to) - float(begun)
               for name, begun, to in re.findall(r"FIGURE (\w+) ([\d.]+) ([\d.]+)", said)}
    if "exit status 0" not in said or len(figures) != len(rows):
        process.fail(f"{len(figures)} of {len(rows)} figures")
    for row in rows:
        row.add(monitor.name, figures[row.name])


def measure(context):
    if not context.kit:
        raise SystemExit("bench: share needs --kit")
    # All that it starts runs one after another here, and takes turns.
    os.sched_setscheduler(0, os.SCHED_OTHER, os.sched_param(0))
    image = os.path.join(context.tmp, "root.ext4")
    subprocess.run(["cp", "--sparse=always", context.kit + "/test-rootfs.ext4", image],
                   check=True)
    rows = [Row(*figure) for figure in FIGURES]
    rounds("share", context.nr_runs(3),
           {m.name: lambda _, m=m: run(context, m, rows, image) for m in context.monitors()},
           rows, warm=False)
    return rows
