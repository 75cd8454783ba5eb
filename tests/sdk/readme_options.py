#!/usr/bin/env python3
"""A plugin's README holds the option tables as the library declares them.

    readme_options.py [--write] CHECK FILE.so README.md

The tables stand between the lines <!-- options --> and <!-- /options -->; --write puts them there.
"""
import subprocess
import sys
from pathlib import Path

BEGIN, END = "<!-- options -->\n", "<!-- /options -->\n"


def main(words):
    write = words[0] == "--write"
    check, library, readme = words[1:] if write else words
    wanted = subprocess.run([check, "--options-markdown", library], check=True, capture_output=True, text=True).stdout
    text = Path(readme).read_text()
    if text.count(BEGIN) != 1 or text.count(END) != 1:
        print(f"{readme} has no place for the option tables ({BEGIN.strip()} ... {END.strip()})")
        return 1
    head, rest = text.split(BEGIN)
    there, tail = rest.split(END)
    if write:
        Path(readme).write_text(head + BEGIN + wanted + END + tail)
    elif there != wanted:
        print(f"{readme} does not say what the plugin declares; readme_options.py --write repairs. Declared:\n{wanted}")
        return 1
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
