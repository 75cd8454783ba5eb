#!/bin/bash
# No source file of core, plugins or sdk is longer than 500 lines: it would be more than one thing.
cd "$(dirname "$0")/../.." || exit
long=$(find core plugins sdk -type f \( -name '*.c' -o -name '*.cpp' -o -name '*.h' -o -name '*.hpp' \) -print0 |
    xargs -0 wc -l | awk '$2 != "total" && $1 > 500 { print $2 ": " $1 " lines" }')
[ -z "$long" ] || { echo "$long"; exit 1; }
