"""The rules of the house (tests/README.md). Prints one line per breach and exits 1 if there is any.

    check_house.py [ROOT]
"""

import os
import re
import subprocess
import sys

# A folder may include its own files and those of the folders named here.
KNOWS = {
    "core": {"core"},
    "comm": {"comm", "core"},
    "offload": {"offload", "core"},
    "zero": {"zero", "comm", "offload", "core"},
    "launcher": {"launcher", "zero", "comm", "offload", "core"},
    "examples": {"examples", "zero", "comm", "offload", "core"},
    "tests": {"tests", "launcher", "zero", "comm", "offload", "core"},
    "docker": set(),
}
INSTALLED = "zerorun/"  # headers of the installed library; for those who use it
TOP_FILES = {"CMakeLists.txt", "CMakePresets.json", "README.md"}
NOT_OURS = {"build", "runs"}

MAX_LINES = 300
ENGINE, ENGINE_MAX_LINES = "zero/engine.cpp", 250
# Files that may be longer than MAX_LINES, each with its reason.
LONG_FILES = {"tests/comm/contract_suite.cpp": "the one contract, as one suite for every backend"}

CPP = (".h", ".cpp", ".cu", ".cuh")
SOURCE = CPP + (".py", ".sh", ".cmake", "CMakeLists.txt")

INCLUDE = re.compile(r'^\s*#\s*include\s*(["<])([^">]+)[">]')
BACKEND_SWITCH = re.compile(r"^\s*#\s*(?:el)?if.*(?:CUDA|NCCL|MPI|GPU|URING)", re.IGNORECASE)
UNFINISHED = re.compile("|".join(a + b for a, b in (("TO", "DO"), ("FIX", "ME"), ("GTEST_", "SKIP"), ("DISA", "BLED_"))))


def list_files(root):
    """Paths relative to root: what git knows or would take; without git, everything but build folders and dot-folders."""
    git = ["git", "-C", root, "ls-files", "-z", "--cached", "--others", "--exclude-standard"]
    if os.path.exists(os.path.join(root, ".git")):
        done = subprocess.run(git, capture_output=True, text=True)
        if done.returncode == 0:
            return sorted(path for path in set(done.stdout.split("\0")) if path and os.path.exists(os.path.join(root, path)))
    found = []
    for folder, folders, files in os.walk(root):
        here = os.path.relpath(folder, root)
        folders[:] = [f for f in folders if not f.startswith(".") and not (here == "." and f in NOT_OURS) and f != "__pycache__"]
        found += [os.path.normpath(os.path.join(here, file)) for file in files]
    return sorted(found)


def top_of(path):
    return path.split("/")[0] if "/" in path else None


def check_top_level(paths):
    for name in sorted({path.split("/")[0] for path in paths}):
        folder = any(path.startswith(name + "/") for path in paths)
        if not name.startswith(".") and name not in (KNOWS if folder else TOP_FILES):
            yield f"{name}: the top level has no such {'folder' if folder else 'file'}"


def check_readmes(paths, read):
    """A folder of the top level has a README.md; a room inside has one too, or that of its folder names it as `room/`."""
    folders = {os.path.dirname(path) for path in paths if "/" in path and not path.startswith(".")}
    for folder in sorted(folders | {top_of(path) for path in folders if "/" in path}):
        parent, name = os.path.split(folder)
        if folder + "/README.md" in paths or name == "data" and parent.startswith("tests"):
            continue
        if not parent:
            yield f"{folder}: no README.md"
        elif parent + "/README.md" in paths and name + "/" not in read(parent + "/README.md"):
            yield f"{folder}: neither a README.md of its own nor named in {parent}/README.md"


def check_includes(path, lines):
    folder = top_of(path)
    for number, line in enumerate(lines, 1):
        match = INCLUDE.match(line)
        if not match:
            continue
        quoted, target = match.group(1) == '"', match.group(2)
        if target.startswith(INSTALLED) and folder in ("examples", "tests"):
            continue
        if target.startswith(".") or (quoted and top_of(target) not in KNOWS):
            yield f'{path}:{number}: include "{target}" by its path from the top level'
        elif top_of(target) in KNOWS and top_of(target) not in KNOWS[folder]:
            yield f"{path}:{number}: {folder} must not know {top_of(target)} (includes {target})"


def check_lines(path, lines):
    for number, line in enumerate(lines, 1):
        if UNFINISHED.search(line):
            yield f"{path}:{number}: unfinished or skipped: {line.strip()}"
        if path.endswith(CPP) and BACKEND_SWITCH.match(line):
            yield f"{path}:{number}: an absent backend is a file of its own, not a switch: {line.strip()}"


def check_length(path, lines, long_files):
    if path == ENGINE and len(lines) >= ENGINE_MAX_LINES:
        yield f"{path}: {len(lines)} lines; it explains ZeRO in under {ENGINE_MAX_LINES}"
    if len(lines) > MAX_LINES and path not in long_files:
        yield f"{path}: {len(lines)} lines, over {MAX_LINES}; split it, or name the reason in LONG_FILES"
    if len(lines) <= MAX_LINES and path in long_files:
        yield f"{path}: in LONG_FILES, but has {len(lines)} lines only"


def check(root, long_files=LONG_FILES):
    def read(path):
        with open(os.path.join(root, path), encoding="utf-8") as file:
            return file.read()

    paths = list_files(root)
    problems = [*check_top_level(paths), *check_readmes(paths, read)]
    problems += [f"{path}: in LONG_FILES, but there is no such file" for path in long_files if path not in paths]
    for path in paths:
        if not path.endswith(SOURCE) or path.startswith("."):
            continue
        lines = read(path).splitlines()
        problems += [*check_lines(path, lines), *check_length(path, lines, long_files)]
        if path.endswith(CPP) and top_of(path) in KNOWS:
            problems += check_includes(path, lines)
    return problems


if __name__ == "__main__":
    root = sys.argv[1] if len(sys.argv) > 1 else os.path.join(os.path.dirname(os.path.abspath(__file__)), "..", "..")
    problems = check(root)
    print("\n".join(problems) or "the house is in order")
    sys.exit(1 if problems else 0)
