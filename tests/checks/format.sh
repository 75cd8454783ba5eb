#!/bin/bash
# Every C and C++ file is as clang-format (14, Debian 12's) writes it. `clang-format -i FILE` repairs.
cd "$(dirname "$0")/../.." || exit
tool=$(command -v clang-format-14 || command -v clang-format) || { echo "clang-format-14 is missing"; exit 1; }
find core plugins sdk tests -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \) -print0 |
    xargs -0 --no-run-if-empty "$tool" --dry-run -Werror
