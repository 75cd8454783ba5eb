#!/bin/bash
# Every shell script passes shellcheck, and every Python file compiles.
cd "$(dirname "$0")/../.." || exit
status=0
mapfile -t shell < <(grep -rlIE '^#!/bin/(ba)?sh' --include='*' .ci packaging tests sdk plugins core | sort)
mapfile -t python < <({ find tests packaging -name '*.py'; grep -rlI '^#!/usr/bin/env python3' .ci packaging tests; } | sort -u)
if [ ${#shell[@]} = 0 ] || [ ${#python[@]} = 0 ]; then
    echo "no scripts found"
    exit 1
fi
shellcheck -x -P SCRIPTDIR "${shell[@]}" || status=1
for file in "${python[@]}"; do
    python3 -c 'import sys; compile(open(sys.argv[1]).read(), sys.argv[1], "exec")' "$file" || status=1
done
echo "${#shell[@]} shell scripts, ${#python[@]} Python files"
exit "$status"
