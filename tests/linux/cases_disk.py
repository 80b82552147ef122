# SPDX-License-Identifier: Apache-2.0
"""Disks: what a guest's file system and tools make of them."""

import hashlib
import os

from cases import case, MIB

FIO = """
fio --name=verify --filename=/mnt/data --rw=randwrite --bsrange=4k-64k \\
	--bs_unaligned=0 --size={mib}M --ioengine={io} --iodepth=16 --direct=1 \\
	--verify=crc32c --verify_fatal=1 --do_verify=1 --end_fsync=1 \\
	--randseed=1 >/tmp/fio 2>&1
say fio $?
tell fio-error sed -n '/error\\|bad\\|verify:/p' /tmp/fio
"""


def ext4_with(t, mib=16, **options):
    """A file system under load, then checked from outside, then trimmed."""
    disk = t.ext4("disk", 96, **options)
    job = f"""
mount -t ext4 /dev/vdb /mnt || say no mount
{FIO.format(mib=mib, io="libaio")}
sync
say written
sleep 2
rm /mnt/data; sync
fstrim -v /mnt >/dev/null || say no fstrim
echo kept >/mnt/kept
umount /mnt
"""
    guest = t.guest(job, root=t.root("test-rootfs.ext4"), disks=[disk]).start()
    guest.wait("^T: written", t.settings.seconds * 2)
    before = disk.blocks()
    t.end(guest)
    after = disk.blocks()
    t.equal("what the guest could not do", guest.facts("no"), [])
    t.check(guest.fact("fio") == "0", f"fio's status is {guest.fact('fio')}: "
            f"{'; '.join(guest.facts('fio-error')[:2])}")
    t.check(before >= mib * MIB, f"{before} bytes of the image are in use "
            f"after {mib} MiB were written")
    t.check(after <= before - mib * MIB * 0.9, "after fstrim the image still "
            f"has {after} bytes of {before}")
    t.fsck(disk)
    t.equal("the last file", t.tool("debugfs", "-R", "cat /kept", disk.path),
            "kept\n")
    t.log_is_clean(guest)


@case("ext4-uring", smoke=True)
def ext4_uring(t):
    ext4_with(t, engine="uring")


@case("ext4-aio-direct")
def ext4_aio_direct(t):
    ext4_with(t, engine="aio", direct=True)


@case("ext4-sync")
def ext4_sync(t):
    ext4_with(t, engine="sync")


@case("ext4-uring-direct-long", long=True)
def ext4_uring_direct_long(t):
    ext4_with(t, 64, engine="uring", direct=True, num_queues=1)


@case("ext4-aio-long", long=True)
def ext4_aio_long(t):
    ext4_with(t, 64, engine="aio")


@case("disk-read-only")
def disk_read_only(t):
    disk = t.disk("disk", 1, readonly=True)
    content = hashlib.sha256(b"disk").digest() * (MIB // 32)
    with open(disk.path, "wb") as f:
        f.write(content)
    digest = hashlib.md5(content).hexdigest()
    guest = t.run("""
say ro $(cat /sys/block/vdb/ro)
say sum $(md5sum </dev/vdb)
dd if=/dev/zero of=/dev/vdb bs=4k count=1 conv=fsync 2>/dev/null && say wrote
blkdiscard -f /dev/vdb 2>/dev/null && say discarded
say again $(md5sum </dev/vdb)
""", root=t.root("test-rootfs.ext4"), disks=[disk])
    t.equal("/sys/block/vdb/ro", guest.fact("ro"), "1")
    t.equal("what the guest read", guest.fact("sum"), f"{digest} -")
    t.equal("what it read at the end", guest.fact("again"), f"{digest} -")
    t.equal("writes", guest.facts("wrote"), [])
    t.equal("discards", guest.facts("discarded"), [])
    t.check(disk.read() == content, "the file on the host has changed")


@case("disks-8")
def disks_8(t):
    """In the order of the command line, each in its slot; one is discarded."""
    names = ["one", "two", "three", "four", "five", "six"]
    disks = [t.disk(name, 4, serial=f"disk-{name}") for name in names]
    disks[1].options["num_queues"] = 2
    disks[2].options["queue_size"] = 16
    with open(disks[5].path, "wb") as f:
        f.write(b"x" * (4 * MIB))
    guest = t.run("""
for disk in /sys/block/vd?; do
	path=$(realpath $disk/device/..)
	say disk ${disk#/sys/block/} ${path##*:} $(cat $disk/serial)
done
say queues $(ls /sys/block/vdc/mq | wc -l)
for disk in b c d e f; do
	echo "this is vd$disk" | dd of=/dev/vd$disk bs=512 conv=sync,fsync 2>/dev/null
done
blkdiscard /dev/vdg || say no discard
""", cpus=2, root=t.root("test-rootfs.ext4"), disks=disks)
    want = ["vda 01.0"] + [f"vd{letter} {slot:02}.0 disk-{name}" for
                           slot, (letter, name) in
                           enumerate(zip("bcdefg", names), 2)] + ["vdh 08.0 job"]
    have = guest.facts("disk")
    # The root disk has a serial that nobody chose.
    t.equal("disk, slot and serial", [" ".join(line.split()[:2]) if n == 0
                                      else line for n, line in enumerate(have)],
            want)
    t.equal("the queues of the second", guest.fact("queues"), "2")
    for letter, disk in zip("bcdef", disks):
        t.equal(f"the start of {disk.path}", disk.read(12), b"this is vd" +
                letter.encode() + b"\n")
    t.equal("what could not be done", guest.facts("no"), [])
    t.check(disks[5].blocks() < MIB, "after blkdiscard the image has "
            f"{disks[5].blocks()} bytes")
    t.log_is_clean(guest)
    t.check(not any(disk.is_locked() for disk in disks), "an image is locked")
