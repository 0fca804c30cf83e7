#!/usr/bin/env python3
"""A CUDA library with the machine code of one GPU architecture only: as large as before and at the same addresses, but what it loses is zeros, which
pack to nothing.

    slim_cubins.py IN OUT ARCHITECTURE        90: compute capability 9.0
"""
import os
import pathlib
import struct
import sys

from fat_binary import MACHINE_CODE, SECTIONS, containers_of, entries_of, sections_of


def images_for(elf, start, end, architecture):
    """The entries, header and image, of machine code for it."""
    for at, size, kind, target in entries_of(elf, start, end):
        if kind == MACHINE_CODE and target == architecture:
            yield bytes(elf[at:at + size])


def main():
    if len(sys.argv) != 4:
        sys.exit(__doc__)
    source, target, architecture = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
    elf = bytearray(source.read_bytes())
    kept = found = 0
    for name, offset, size in list(sections_of(elf)):
        if name not in SECTIONS:
            continue
        for start, header, follows in list(containers_of(elf, offset, size)):
            images = b"".join(images_for(elf, start + header, start + header + follows, architecture))
            found += 1
            if not images and name == SECTIONS[0]:
                continue  # none of its code fits: it stays whole, as what is loaded must not be empty
            body = start + header
            elf[body:body + follows] = images + bytes(follows - len(images))
            struct.pack_into("<Q", elf, start + 8, len(images))
            kept += len(images)
    if not kept:
        sys.exit(f"slim_cubins: {source} has {found} fat binaries, and none with machine code for architecture {architecture}")
    target.write_bytes(elf)
    os.chmod(target, 0o755)
    print(f"{target.name}: {kept} bytes of code for architecture {architecture}, of a file of {len(elf)}")


main()
