"""What an ELF file holds for GPUs.

A fat binary is a container (magic number, version, size of the header, size of what follows) of entries, each with a header (kind, its size, the size of
the image, the architecture) and an image: PTX or machine code. nvcc keeps containers in two sections of the ELF file, one after the other.
"""
import struct
import sys

SECTIONS = (b".nv_fatbin", b"__nv_relfatbin")
MAGIC = 0xBA55ED50
CONTAINER = struct.Struct("<IHHQ")     # magic, version, bytes of this header, bytes that follow
ENTRY = struct.Struct("<HHIQ12xI")     # kind, version, bytes of this header, bytes of the image, ..., architecture
PTX, MACHINE_CODE = 1, 2


def sections_of(elf):
    """(name, offset, size) of a 64-bit ELF file's sections."""
    if elf[:4] != b"\x7fELF":
        sys.exit("the file is no ELF library")
    table = struct.unpack_from("<Q", elf, 40)[0]
    width, count, names = struct.unpack_from("<HHH", elf, 58)
    headers = [struct.unpack_from("<IIQQQQ", elf, table + i * width) for i in range(count)]
    for name, _, _, _, offset, size in headers:
        start = headers[names][4] + name
        yield bytes(elf[start:elf.index(b"\0", start)]), offset, size


def containers_of(elf, offset, size):
    """(start, bytes of the header, bytes that follow); between containers there may be a gap."""
    at = offset
    while at + CONTAINER.size <= offset + size:
        magic, _, header, follows = CONTAINER.unpack_from(elf, at)
        if magic != MAGIC:
            at += 8
            continue
        yield at, header, follows
        at += header + follows


def entries_of(elf, start, end):
    """(start, size with its header, kind, architecture)."""
    at = start
    while at < end:
        kind, _, header, image, target = ENTRY.unpack_from(elf, at)
        yield at, header + image, kind, target
        at += header + image


def architectures_of(elf):
    """{(kind, architecture): how many images}."""
    found = {}
    for name, offset, size in sections_of(elf):
        if name not in SECTIONS:
            continue
        for start, header, follows in containers_of(elf, offset, size):
            for _, _, kind, target in entries_of(elf, start + header, start + header + follows):
                found[kind, target] = found.get((kind, target), 0) + 1
    return found
