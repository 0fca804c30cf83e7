#!/usr/bin/env python3
"""Programs hold the kernels for every GPU that they are said to run on: fat_binary_test.py PROGRAM..."""
import pathlib
import sys
import unittest

from fat_binary import MACHINE_CODE, PTX, architectures_of

PROGRAMS = [pathlib.Path(name) for name in sys.argv[1:]]
ROOT = pathlib.Path(__file__).resolve().parents[2]
KERNEL_SOURCES = sum(len(list((ROOT / folder).glob("**/*.cu"))) for folder in ("core", "comm", "zero"))


class FatBinary(unittest.TestCase):
    def test_every_source_of_kernels_is_there_for_every_architecture(self):
        self.assertGreater(KERNEL_SOURCES, 0)
        for program in PROGRAMS:
            found = architectures_of(program.read_bytes())
            for image in ((MACHINE_CODE, 80), (MACHINE_CODE, 90), (PTX, 90)):
                self.assertGreaterEqual(found.get(image, 0), KERNEL_SOURCES, f"{program.name}: {found}")


unittest.main(argv=sys.argv[:1])
