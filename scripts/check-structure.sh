#!/bin/sh
# Rules of the structure that the compiler does not hold. Each prints what breaks it.
set -eu
failed=0

complain() {
    echo "structure: $1" >&2
    failed=1
}

# Pure crates are pure by manifest.
for crate in muster-ids muster-wire muster-domain muster-channel; do
    manifest="crates/$crate/Cargo.toml"
    normal=$(sed '/^\[dev-dependencies\]/,$d' "$manifest")
    for word in tokio axum hyper rusqlite tokio-postgres aws-lc-rs muster-edge muster-store muster-http; do
        if printf '%s\n' "$normal" | grep -q "^$word[. ]"; then
            complain "$manifest must stay pure and names $word"
        fi
    done
done

# The agent holds no server, store or domain crate.
tree=$(cargo tree --locked -p muster-agent -e normal --prefix none)
for crate in muster-server muster-store muster-domain muster-keyring muster-http axum rusqlite; do
    if printf '%s\n' "$tree" | grep -q "^$crate v"; then
        complain "the agent's dependency tree holds $crate"
    fi
done

# The dashboard is a client of the API: it holds nothing by which it could see or do more than that.
tree=$(cargo tree --locked -p muster-dashboard -e normal --prefix none)
for crate in muster-server muster-store muster-domain muster-keyring muster-proof rusqlite tokio-postgres; do
    if printf '%s\n' "$tree" | grep -q "^$crate v"; then
        complain "the dashboard's dependency tree holds $crate"
    fi
done

# SQL lives in the store crate only; what the swarm says to a database is what the store is measured against.
if grep -rnE '"(SELECT|INSERT|UPDATE|DELETE) ' crates/*/src --include='*.rs' | grep -vE '^crates/muster-(store|testkit|swarm)/'; then
    complain "SQL outside of the store crate"
fi

# Nothing unfinished, nothing skipped in silence.
if grep -rnE '\b(TODO|FIXME|XXX)\b|\b(todo|unimplemented)!\(' crates --include='*.rs'; then
    complain "unfinished work"
fi

# Implementation files stay small.
for file in $(git ls-files 'crates/*/src/*.rs' | grep -v '/tests'); do
    lines=$(wc -l < "$file")
    [ "$lines" -le 500 ] || complain "$file has $lines lines, 500 is the limit"
done

exit "$failed"
