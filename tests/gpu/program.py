#!/usr/bin/env python3
"""Runs a test program as a part of check.sh, writes its line, and shows the end of what it printed where it failed.

    program.py OUT PART SECONDS COMMAND...
"""
import pathlib
import re
import sys

import machine


def main():
    out, part, seconds, command = pathlib.Path(sys.argv[1]), sys.argv[2], float(sys.argv[3]), sys.argv[4:]
    out.mkdir(parents=True, exist_ok=True)
    program = next(word for word in reversed(command) if not word.startswith("-"))
    passed = []
    with machine.timed(out, part, program=pathlib.Path(program).name) as found:
        log = out / f"{part}.log"
        machine.run(command, seconds, log=log)
        text = log.read_text(encoding="utf-8")
        tests = re.findall(r"\[==========\] (\d+) tests? from", text)
        errors = re.search(r"ERROR SUMMARY: (\d+) error|RACECHECK SUMMARY: \d+ hazards? displayed \((\d+) error", text)
        found["tests"] = int(tests[-1]) if tests else None
        if errors:
            found["errors"] = int(errors.group(1) or errors.group(2))
        if found["tests"] == 0:
            raise machine.Failed("it ran no test at all")
        passed.append(True)
    sys.exit(not passed)


main()
