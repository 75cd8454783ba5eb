#!/bin/bash
# The one list of Debian packages that gorb needs, and how they get here.
#
#     packaging/packages.sh SET...         installs what is missing of the sets (build, demo, test, bench, vm)
#     packaging/packages.sh --list SET...  prints their names
#
# To be sourced as well: gorb_install SET... "a|b" means that either will do.

gorb_packages() {
    local set
    for set in "$@"; do
        case $set in
        build) # compiler, build tools and the libraries of core and plugins
            # Boost.DLL without Boost.Filesystem wants Boost 1.81; Debian's default is 1.74.
            echo g++ cmake ninja-build pkg-config \
                libpoco-dev libboost1.81-dev libnl-3-dev libnl-genl-3-dev libnl-route-3-dev \
                rapidjson-dev libexpected-dev prometheus-cpp-dev libsystemd-dev \
                libssl-dev libsqlite3-dev libre2-dev libpcre2-dev libldns-dev libnghttp2-dev
            ;;
        demo) # namespaces with clients and servers, and an independent witness of the kernel's table
            echo python3 curl ipvsadm iproute2 kmod util-linux
            ;;
        test) # frameworks, checks, and the real servers that pulses and their recipes are tested against
            # Where there is another mail server it stays: the one test that wants Exim will say so.
            echo libgtest-dev libgmock-dev libbenchmark-dev clang-format-14 clang-tidy-14 shellcheck binutils make "busybox-static|busybox" \
                nsd unbound python3-grpcio monitoring-plugins-basic openssl iproute2 util-linux e2fsprogs \
                redis-server mariadb-server dnsmasq-base nginx-light "exim4-daemon-light|exim4-daemon-heavy|postfix|opensmtpd"
            ;;
        bench) # what gorbd is measured beside
            echo haproxy iproute2 util-linux
            ;;
        vm) # where the running kernel has no IPVS: a guest that has
            echo qemu-system-x86 linux-image-amd64 "busybox-static|busybox" cpio kmod
            ;;
        *)
            echo "packages.sh: there is no set '$set'; there are build, demo, test, bench and vm" >&2
            return 2
            ;;
        esac
    done
}

# Names of those that are not installed, the first choice of each.
gorb_missing() {
    local entry name found
    for entry in "$@"; do
        found=
        for name in ${entry//|/ }; do
            [ "$(dpkg-query -W -f '${db:Status-Status}' "$name" 2>/dev/null)" = installed ] && found=yes
        done
        [ -n "$found" ] || echo "${entry%%|*}"
    done | sort -u
}

gorb_install() {
    local names wanted missing as_root=()
    names=$(gorb_packages "$@") || return
    read -r -d '' -a wanted <<<"$names" || true
    if ! command -v apt-get >/dev/null || ! command -v dpkg-query >/dev/null; then
        echo "This is not Debian; what is needed are the counterparts of its packages ${wanted[*]}" >&2
        return 0 # They may well be here; what is missing will be named by whoever misses it.
    fi
    mapfile -t missing < <(gorb_missing "${wanted[@]}")
    [ ${#missing[@]} -gt 0 ] || return 0
    if [ "$(id -u)" != 0 ]; then
        if ! command -v sudo >/dev/null; then
            echo "Packages are missing and there is no sudo. As root: apt-get install ${missing[*]}" >&2
            return 1
        fi
        as_root=(sudo)
    fi
    echo "Installing ${missing[*]}"
    # Packages that are in the way are never removed without asking (--no-remove); that is for the machine's owner.
    local apt=("${as_root[@]}" env DEBIAN_FRONTEND=noninteractive apt-get -qq -y -o DPkg::Lock::Timeout=300
        -o Acquire::Retries=3 -o Dpkg::Use-Pty=0 --no-install-recommends --no-remove)
    if ! { "${apt[@]}" update && "${apt[@]}" install "${missing[@]}" >/dev/null; }; then
        echo "apt-get could not install what is needed; on Debian 12 these are the packages ${missing[*]}" >&2
        return 1
    fi
}

if [ "${BASH_SOURCE[0]}" = "$0" ]; then
    if [ "${1:-}" = --list ]; then
        shift
        gorb_packages "$@" | tr -s ' |' '\n' | sort -u
    else
        gorb_install "$@"
    fi
fi
