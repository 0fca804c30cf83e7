"""English text of a fixed size from the Debian packages fortunes and fortunes-min, the same bytes on every machine.

    make_text.py FOLDER OUT BYTES     FOLDER holds the files of the packages

The entries of all files are put in the order of their hashes, so that every part of the text is about everything.
"""

import hashlib
import pathlib
import sys

folder, out, size = pathlib.Path(sys.argv[1]), pathlib.Path(sys.argv[2]), int(sys.argv[3])
files = (path for path in folder.iterdir() if path.suffix not in (".dat", ".u8"))
entries = {entry.strip(b"\n") for path in files for entry in path.read_bytes().split(b"\n%\n")}
text = b"\n\n".join(sorted(entries, key=lambda entry: hashlib.sha256(entry).digest()))
if len(text) < size:
    sys.exit(f"the packages hold {len(text)} bytes of text; {size} are needed")
out.write_bytes(text[:size])
