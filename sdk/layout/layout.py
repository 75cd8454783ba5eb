#!/usr/bin/env python3
"""Layout of every struct in gorb/abi.h, so that nothing moves without being seen.

  layout.py cc CC HEADER      what the C compiler CC says (also asserts that no growing struct ends in padding)
  layout.py lp64 HEADER       what the rules of LP64 with natural alignment say, without a compiler
  layout.py check CC HEADER RECORD...   compares the compiler's truth with each recorded file

HEADER's folder must hold gorb/abi.h's other needs (none so far). A line is `struct.member offset size`, and a struct's own line
`struct size alignment`.
"""
import re
import subprocess
import sys
import tempfile
from pathlib import Path

SCALARS = {"bool": 1, "char": 1, "uint8_t": 1, "uint16_t": 2, "int32_t": 4, "uint32_t": 4, "int": 4,
           "int64_t": 8, "uint64_t": 8, "size_t": 8, "double": 8}


def structs(header):
    """{name: [(member, type, count)]} in the order of the header; type "*" is any pointer."""
    text = re.sub(r"/\*.*?\*/", " ", Path(header).read_text(), flags=re.S)
    found = {}
    for name, body in re.findall(r"struct\s+(gorb_\w+)\s*\{(.*?)\}", text, flags=re.S):
        members = []
        for declaration in filter(None, (part.strip() for part in body.split(";"))):
            members += read_declaration(" ".join(declaration.split()))
        found[name] = members
    return found


def read_declaration(text):
    function = re.match(r".*?\(\s*\*\s*(\w+)\s*\)\s*\(", text)
    if function:
        return [(function.group(1), "*", 1)]
    base = re.match(r"(?:const\s+)?(?:struct\s+)?(\w+)\s*(.*)", text)
    members = []
    for item in base.group(2).split(","):
        pointer = "*" in item
        name = re.search(r"(\w+)\s*(?:\[(\d+)\])?\s*$", item)
        members.append((name.group(1), "*" if pointer else base.group(1), int(name.group(2) or 1)))
    return members


def typedefs(header):
    return dict((new, old) for old, new in re.findall(r"typedef\s+(\w+)\s+(\w+)\s*;", Path(header).read_text()))


def lp64(header):
    aliases, layout, lines = typedefs(header), {}, []
    for name, members in structs(header).items():
        offset, align, rows = 0, 1, []
        for member, kind, count in members:
            kind = aliases.get(kind, kind)
            size, alignment = (8, 8) if kind == "*" else layout.get(kind) or (SCALARS[kind],) * 2
            offset = -(-offset // alignment) * alignment
            rows.append(f"{name}.{member} {offset} {size * count}")
            offset += size * count
            align = max(align, alignment)
        total = -(-offset // align) * align
        layout[name] = (total, align)
        lines += [f"{name} {total} {align}"] + rows
    return "\n".join(lines) + "\n"


def compiled(cc, header):
    code = ['#include <stdio.h>', f'#include "{Path(header).resolve()}"']
    prints = []
    for name, members in structs(header).items():
        prints.append(f'printf("{name} %zu %zu\\n", sizeof({name}), _Alignof({name}));')
        for member, _, _ in members:
            prints.append(f'printf("{name}.{member} %zu %zu\\n", offsetof({name}, {member}), '
                          f'sizeof((({name} *)0)->{member}));')
        if members[0][0] == "struct_size":
            last = members[-1][0]
            code.append(f'_Static_assert(offsetof({name}, {last}) + sizeof((({name} *)0)->{last}) == sizeof({name}), '
                        f'"{name} ends in padding: a member added there would leave its size as it was");')
    code += ["int main(void) {"] + prints + ["return 0; }"]
    with tempfile.TemporaryDirectory() as folder:
        source, program = Path(folder, "layout.c"), Path(folder, "layout")
        source.write_text("\n".join(code) + "\n")
        subprocess.run([cc, "-std=c11", "-o", str(program), str(source)], check=True)
        return subprocess.run([str(program)], check=True, capture_output=True, text=True).stdout


def differences(truth, record, name):
    want, have = record.splitlines(), truth.splitlines()
    known = dict(line.split(" ", 1) for line in have)
    for line in want:
        key, place = line.split(" ", 1)
        if known.get(key) != place:
            yield f"{name}: {key} was {place}, is {known.get(key, 'gone')}"
    for line in sorted(set(have) - set(want)):
        if line.split(" ", 1)[0] not in {w.split(" ", 1)[0] for w in want}:
            yield f"{name}: {line} is new and not recorded"


def main(argv):
    if argv[1:2] == ["cc"] and len(argv) == 4:
        sys.stdout.write(compiled(argv[2], argv[3]))
    elif argv[1:2] == ["lp64"] and len(argv) == 3:
        sys.stdout.write(lp64(argv[2]))
    elif argv[1:2] == ["check"] and len(argv) > 4:
        truth = compiled(argv[2], argv[3])
        found = [line for record in argv[4:] for line in differences(truth, Path(record).read_text(), Path(record).name)]
        calculated = Path(argv[4]).with_name("lp64.txt")
        found += differences(lp64(argv[3]), calculated.read_text(), "lp64.txt (calculated)")
        print("\n".join(found) if found else f"{len(truth.splitlines())} lines agree")
        return 1 if found else 0
    else:
        print(__doc__, file=sys.stderr)
        return 2
    return 0


if __name__ == "__main__":
    sys.exit(main(sys.argv))
