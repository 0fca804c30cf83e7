"""The checker must catch what it is for: made-up houses, each with one breach."""

import os
import sys
import tempfile
import unittest

sys.dont_write_bytecode = True
sys.path.insert(0, os.path.dirname(os.path.abspath(__file__)))
import check_house

IN_ORDER = {
    "CMakeLists.txt": "",
    "README.md": "",
    ".gitignore": "",
    "core/README.md": "data/ holds the data",
    "core/error.h": "#include <string>\n",
    "core/data/corpus.h": '#include "core/error.h"\n',
    "comm/README.md": "",
    "comm/communicator.h": '#include <c10/core/ScalarType.h>\n#include "core/error.h"\n',
    "zero/README.md": "",
    "zero/engine.cpp": '#include "zero/engine.h"\n#include "comm/communicator.h"\n#include "offload/store.h"\n',
    "launcher/README.md": "",
    "launcher/train.cpp": '#include "zero/engine.h"\n#include "core/error.h"\n',
    "tests/README.md": "zero/ core/",
    "tests/zero/engine_test.cpp": '#include "zero/engine.h"\n#include "launcher/train.h"\n#include "tests/core/helper.h"\n',
    "tests/core/data/presets.json": "{}",
    "examples/README.md": "",
    "examples/loop.cpp": '#include "zerorun/zerorun.h"\n#include "zero/engine.h"\n',
    "build/release/core/generated.cpp": '#include "launcher/train.h"\n',
}


def breaches(changes, **options):
    """What the checker says about the house in order with these files changed (None removes)."""
    with tempfile.TemporaryDirectory() as root:
        for path, content in {**IN_ORDER, **changes}.items():
            if content is not None:
                os.makedirs(os.path.dirname(os.path.join(root, path)), exist_ok=True)
                with open(os.path.join(root, path), "w", encoding="utf-8") as file:
                    file.write(content)
        return check_house.check(root, **{"long_files": {}, **options})


class CheckHouse(unittest.TestCase):
    def assert_caught(self, changes, *words, **options):
        found = breaches(changes, **options)
        self.assertEqual(len(found), 1, found)
        for word in words:
            self.assertIn(word, found[0])

    def test_accepts_a_house_in_order(self):
        self.assertEqual(breaches({}), [])

    def test_catches_every_arrow_that_does_not_point_down(self):
        folders = ("core", "comm", "offload", "zero", "launcher", "examples", "tests")
        down = {
            "core": "", "comm": "core", "offload": "core", "zero": "core comm offload", "launcher": "core comm offload zero",
            "examples": "core comm offload zero", "tests": "core comm offload zero launcher",
        }
        for folder in folders:
            for target in folders:
                changes = {f"{folder}/README.md": "data/ zero/ core/", f"{folder}/arrow.cpp": f'\n#include "{target}/x.h"\n'}
                with self.subTest(folder=folder, target=target):
                    if target == folder or target in down[folder].split():
                        self.assertEqual(breaches(changes), [])
                    else:
                        self.assert_caught(changes, f"{folder}/arrow.cpp:2:", f"must not know {target}")

    def test_sees_arrows_in_angle_brackets_and_in_rooms(self):
        self.assert_caught({"core/data/corpus.h": "  #  include <zero/engine.h>\n"}, "core/data/corpus.h:1:", "zero")

    def test_wants_includes_by_their_path_from_the_top(self):
        for target in ("engine.h", "../launcher/train.h", "models/gpt2.h"):
            self.assert_caught({"zero/engine.cpp": f'#include "{target}"\n'}, "path from the top level", target)

    def test_keeps_the_umbrella_header_out_of_the_library(self):
        self.assert_caught({"zero/engine.cpp": '#include "zerorun/zerorun.h"\n'}, "zerorun/zerorun.h")

    def test_keeps_the_top_level_small(self):
        self.assert_caught({"NOTES.md": ""}, "NOTES.md", "file")
        self.assert_caught({"src/README.md": ""}, "src", "folder")

    def test_wants_a_readme_in_every_folder_and_every_room_named(self):
        self.assert_caught({"comm/README.md": None}, "comm", "README.md")
        self.assert_caught({"core/README.md": ""}, "core/data", "core/README.md")
        self.assertEqual(breaches({"core/README.md": "", "core/data/README.md": ""}), [])

    def test_limits_the_engine_and_every_file(self):
        self.assert_caught({"zero/engine.cpp": "\n" * 250}, "zero/engine.cpp", "250")
        self.assert_caught({"core/long.cpp": "\n" * 301}, "core/long.cpp", "301")
        self.assertEqual(breaches({"core/long.cpp": "\n" * 301}, long_files={"core/long.cpp": "one table"}), [])

    def test_drops_stale_exceptions(self):
        self.assert_caught({}, "no such file", long_files={"core/gone.cpp": "one table"})
        self.assert_caught({}, "core/error.h", long_files={"core/error.h": "one table"})

    def test_wants_no_switches_between_backends(self):
        for switch in ("#ifdef ZERORUN_CUDA", "#if defined(USE_NCCL)", " # ifndef WITH_MPI", "#elif HAVE_LIBURING"):
            self.assert_caught({"comm/no.cpp": switch + "\n"}, "comm/no.cpp:1:", "backend")

    def test_wants_nothing_unfinished_or_skipped(self):
        for mark in ("// TO" + "DO later", "// FIX" + "ME", "GTEST_" + "SKIP();", "TEST(A, DISA" + "BLED_B) {}"):
            self.assert_caught({"tests/zero/engine_test.cpp": mark + "\n"}, "engine_test.cpp:1:")


if __name__ == "__main__":
    unittest.main()
