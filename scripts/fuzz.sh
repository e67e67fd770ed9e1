#!/bin/sh
# Runs the fuzz targets under libFuzzer for a bounded time each: `fuzz.sh [TARGET...]`, seconds in MUSTER_FUZZ_SECS.
set -eu
seconds=${MUSTER_FUZZ_SECS:-60}

if ! cargo fuzz --version >/dev/null 2>&1; then
    echo "cargo-fuzz is missing: install it with cargo install cargo-fuzz --locked" >&2
    exit 1
fi
if ! cargo +nightly --version >/dev/null 2>&1; then
    echo "a nightly compiler is missing: install it with rustup toolchain install nightly" >&2
    exit 1
fi
if ! command -v c++ >/dev/null 2>&1; then
    echo "a C++ compiler is missing: install it with apt-get install g++" >&2
    exit 1
fi

[ "$#" -gt 0 ] || set -- $(ls fuzz/corpus)
# What is found on the way stays out of the committed corpus: a good input is copied there by hand, with a name.
found=target/fuzz/found
for target in "$@"; do
    mkdir -p "$found/$target" "$found/crashes"
    echo "== $target, $seconds s"
    cargo +nightly fuzz run --fuzz-dir fuzz --target-dir target/fuzz "$target" "$found/$target" "fuzz/corpus/$target" -- \
        -max_total_time="$seconds" -max_len=8192 -print_final_stats=1 -artifact_prefix="$found/crashes/$target-"
done
