#!/bin/sh
# Installs what is missing from Debian: `install-needs.sh run` for the demo, `install-needs.sh test` for the tests,
# `install-needs.sh bench` for the scale card.
set -eu

needs_of() {
    case "$1" in
        run) echo "gcc:gcc make:make restic:restic rclone:rclone" ;;
        test) echo "gcc:gcc make:make restic:restic rclone:rclone initdb:postgresql runuser:util-linux python-venv:python3-venv node:nodejs npm:npm chromium:chromium libfaketime:libfaketime pebble:pebble" ;;
        bench) echo "gcc:gcc make:make initdb:postgresql runuser:util-linux strace:strace" ;;
        *) echo "usage: $0 run|test|bench" >&2; exit 2 ;;
    esac
}

# PostgreSQL keeps its server programs outside of PATH.
found() {
    command -v "$1" >/dev/null 2>&1 && return 0
    # Debian splits what makes environments from Python.
    if [ "$1" = python-venv ]; then python3 -c 'import ensurepip' >/dev/null 2>&1; return; fi
    # A library is no program.
    if [ "$1" = libfaketime ]; then ls /usr/lib/*/faketime/libfaketimeMT.so.1 >/dev/null 2>&1; return; fi
    [ "$1" = initdb ] && ls /usr/lib/postgresql/*/bin/initdb >/dev/null 2>&1
}

missing=""
for need in $(needs_of "${1:-}"); do
    found "${need%%:*}" || missing="$missing ${need##*:}"
done

if ! command -v cargo >/dev/null 2>&1; then
    echo "Rust is missing: install it with rustup (https://rustup.rs), version 1.95 or newer." >&2
    exit 1
fi
[ -z "$missing" ] && exit 0

if [ "$(id -u)" -ne 0 ]; then
    echo "These Debian packages are missing:$missing" >&2
    echo "Install them with: sudo apt-get install$missing" >&2
    exit 1
fi
echo "Installing from Debian:$missing"
apt-get update -qq
# A server package starts its own cluster: it is neither used nor needed.
DEBIAN_FRONTEND=noninteractive apt-get install -y -qq --no-install-recommends $missing >/dev/null
