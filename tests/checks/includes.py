#!/usr/bin/env python3
"""The room rule: who may include whom. Reads the storeys from core/CMakeLists.txt and every #include "...".

    core      a room includes itself and rooms of lower storeys; only `plugin` (and who builds on it) includes the SDK
    plugins   themselves and the SDK, nothing of core
    sdk       itself

    includes.py ROOT         prints each include that breaks the rule; exit status 1 if there is one
    includes.py --self-test  shows that broken includes are found
"""
import re
import sys
import tempfile
from pathlib import Path

ROOM = re.compile(r"gorb_room\(\s*(\w+)\s+STOREY\s+(\d+)([^)]*)\)")
INCLUDE = re.compile(r'^\s*#\s*include\s*([<"])([^>"]+)[>"]', re.MULTILINE)
SUFFIXES = {".h", ".hpp", ".c", ".cpp"}


def read_rooms(root):
    """{room: (storey, rooms it is linked with)}"""
    rooms = {}
    for name, storey, rest in ROOM.findall((root / "core" / "CMakeLists.txt").read_text()):
        linked = re.search(r"\bROOMS\b((?:\s+[a-z_]+)*)", rest)
        rooms[name] = (int(storey), set(linked.group(1).split()) if linked else set())
    return rooms


def includes(folder):
    for path in sorted(folder.rglob("*")):
        if path.suffix in SUFFIXES:
            text = path.read_text(errors="replace")
            for match in INCLUDE.finditer(text):
                yield path, text.count("\n", 0, match.start()) + 1, match.group(2)


def room_faults(root, rooms):
    core = root / "core"
    for room, (storey, linked) in rooms.items():
        for other in linked:
            if other not in rooms or rooms[other][0] >= storey:
                yield f"core/CMakeLists.txt: room {room} (storey {storey}) is linked with {other}, which is not below it"
    for path, line, name in includes(core):
        where = f"{path.relative_to(root)}:{line}"
        room = path.relative_to(core).parts[0]
        first = name.split("/")[0]
        if room not in rooms:
            yield f"{where}: {room} is not a room of core/CMakeLists.txt"
        elif first in rooms and "/" in name and first != room:
            storey, linked = rooms[room]
            if rooms[first][0] >= storey:
                yield f"{where}: {room} (storey {storey}) includes {name} of storey {rooms[first][0]}, which is not below it"
            elif first not in linked:
                yield f"{where}: {room} includes {name}, but {first} is not among its ROOMS in core/CMakeLists.txt"
        elif ".." in Path(name).parts:
            yield f"{where}: {name} is a path through other folders; includes are written \"room/file.h\""


def foreign_faults(root, rooms):
    own = {path.name for path in (root / "sdk" / "include").iterdir()} if (root / "sdk" / "include").is_dir() else set()
    for folder, may in (("plugins", "itself and the SDK"), ("sdk", "itself")):
        for path, line, name in includes(root / folder):
            if name.split("/")[0] in rooms and "/" in name and name.split("/")[0] not in own:
                # A plugin's own folder may bear the name of a room; its own files are its own.
                if not (path.parent / name).exists():
                    yield f"{path.relative_to(root)}:{line}: includes {name} of core; {folder} include only {may}"
            elif "core/" in name or ".." in Path(name).parts:
                yield f"{path.relative_to(root)}:{line}: includes {name} outside its folder"


def faults(root):
    rooms = read_rooms(root)
    if not rooms:
        return ["core/CMakeLists.txt: no rooms found"]
    return [*room_faults(root, rooms), *foreign_faults(root, rooms)]


def self_test():
    files = {
        "core/CMakeLists.txt": "gorb_room(low STOREY 0)\ngorb_room(side STOREY 1 ROOMS low)\n"
                               "gorb_room(mid STOREY 1\n  ROOMS low LIBS a::b)\ngorb_room(top STOREY 2 ROOMS mid)\n",
        "core/low/a.h": '#include <vector>\n#include "low/b.h"\n',
        "core/mid/a.h": '#include "low/a.h"\n',
        "core/top/a.cpp": '#include "top/a.h"\n#include "mid/a.h"\n',
        "plugins/p/a.cpp": '#include "gorb/pulse.hpp"\n#include "a.h"\n',
        "sdk/include/gorb/pulse.hpp": '#include "gorb/abi.h"\n',
    }
    bad = {
        "upwards": ("core/low/x.h", '#include "mid/a.h"\n'),
        "sideways": ("core/mid/x.h", '  #  include "side/a.h"\n'),
        "below but not linked": ("core/top/x.h", '#include "low/a.h"\n'),
        "through the back door": ("core/low/x.h", '#include "../mid/a.h"\n'),
        "upwards in angle brackets": ("core/low/x.h", "#include <top/a.h>\n"),
        "plugin into core": ("plugins/p/x.cpp", '#include "low/a.h"\n'),
        "sdk into core": ("sdk/include/gorb/x.h", '#include "low/a.h"\n'),
        "file of no room": ("core/nowhere/x.h", '#include "low/a.h"\n'),
        "linked upwards": ("core/CMakeLists.txt", files["core/CMakeLists.txt"] + "gorb_room(odd STOREY 0 ROOMS mid)\n"),
    }

    def found(extra):
        with tempfile.TemporaryDirectory() as folder:
            root = Path(folder)
            for name, text in {**files, **extra}.items():
                (root / name).parent.mkdir(parents=True, exist_ok=True)
                (root / name).write_text(text)
            return faults(root)

    wrong = [f"good files: {fault}" for fault in found({})]
    wrong += [f"not found: {title}" for title, (name, text) in bad.items() if len(found({name: text})) != 1]
    return wrong


if __name__ == "__main__":
    if sys.argv[1:] == ["--self-test"]:
        problems, good = self_test(), "every broken include is found"
    else:
        problems, good = faults(Path(sys.argv[1])), "every include keeps the room rule"
    print("\n".join(problems) or good)
    sys.exit(1 if problems else 0)
