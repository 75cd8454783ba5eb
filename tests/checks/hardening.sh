#!/bin/bash
# What is shipped is hardened: position independent, full RELRO, no executable stack, stack protector, fortified calls.
#
#     hardening.sh FILE...   executables and plugins of a release build
status=0
fault() {
    echo "$1: $2"
    status=1
}
[ $# -gt 0 ] || { echo "no files named"; exit 1; }
for file in "$@"; do
    if ! header=$(readelf -hW "$file") || ! segments=$(readelf -lW "$file") || ! dynamic=$(readelf -dW "$file") ||
        ! symbols=$(readelf -sW --dyn-syms "$file"); then
        fault "$file" "can not be read"
        continue
    fi
    grep -q 'Type: *DYN' <<<"$header" || fault "$file" "is not position independent"
    grep -q GNU_RELRO <<<"$segments" || fault "$file" "has no RELRO segment"
    grep -qE 'BIND_NOW|FLAGS_1.*NOW' <<<"$dynamic" || fault "$file" "binds lazily, so RELRO is not full"
    grep -q 'GNU_STACK.* RW ' <<<"$segments" || fault "$file" "has an executable stack"
    grep -qE '(RPATH|RUNPATH)' <<<"$dynamic" && fault "$file" "carries a library search path"
    grep -q __stack_chk_fail <<<"$symbols" || fault "$file" "has no stack protector"
    # A plugin may call nothing that can be fortified; an executable of this size always does.
    [[ $file == *.so ]] || grep -qE '__[a-z]+_chk(@|$)' <<<"$(grep -v __stack_chk_fail <<<"$symbols")" ||
        fault "$file" "is not fortified"
done
echo "$# files looked at"
exit "$status"
