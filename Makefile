# Two commands: `make run` plays the main job with real parts, `make test` runs everything.

CARGO ?= cargo
export CARGO_TERM_PROGRESS_WHEN ?= auto

.PHONY: run test lint build soak fuzz openapi permissions release clean-data bench bench-quick bench-build

## Plays the demo and keeps the server running; data is under ./muster-data.
run:
	@scripts/install-needs.sh run
	$(CARGO) build --workspace --locked
	@exec target/debug/muster demo

## Lints, then every test: unit, contract and black-box, on SQLite and on a private PostgreSQL.
test: lint
	$(CARGO) build --workspace --all-targets --locked
	target/debug/muster-testkit-postgres -- $(CARGO) test --workspace --locked --no-fail-fast

lint:
	@scripts/install-needs.sh test
	$(CARGO) fmt --all --check
	scripts/check-structure.sh
	$(CARGO) clippy --workspace --all-targets --locked -- -D warnings

## The fault loops again, longer.
soak:
	@scripts/install-needs.sh test
	$(CARGO) build --workspace --all-targets --locked
	MUSTER_SOAK=1 target/debug/muster-testkit-postgres -- \
		$(CARGO) test --locked --no-fail-fast -p muster -p muster-server -p muster-channel -p muster-fuzz -- --nocapture

## The fuzz targets under libFuzzer, MUSTER_FUZZ_SECS (60) each; says what is missing. `make test` runs them without it.
fuzz:
	scripts/fuzz.sh

## Writes docs/openapi.json from the handlers.
openapi:
	MUSTER_WRITE_OPENAPI=1 $(CARGO) test --locked -p muster-server --test server openapi::

## Writes docs/permissions.md from the answers of the server.
permissions:
	MUSTER_WRITE_PERMISSIONS=1 $(CARGO) test --locked -p muster-server --test server lets_through::sqlite

## Optimised binaries: target/release/muster and target/release/muster-agent.
release:
	$(CARGO) build --release --locked -p muster -p muster-agent

# The agent as it is shipped to machines nobody knows: one file without a library.
STATIC_TARGET := x86_64-unknown-linux-gnu
STATIC_AGENT := target/$(STATIC_TARGET)/release/muster-agent

bench-build:
	@scripts/install-needs.sh bench
	$(CARGO) build --release --locked -p muster -p muster-swarm
	RUSTFLAGS="-C target-feature=+crt-static" \
		$(CARGO) build --release --locked -p muster-agent --target $(STATIC_TARGET)

## Measures every goal against its floor, ten minutes or more, alone on the machine; writes docs/scale-card.md and .json.
bench: bench-build
	target/release/muster-swarm bench --agent $(STATIC_AGENT) --write docs

## The same with small numbers, a few minutes; writes nothing.
bench-quick: bench-build
	target/release/muster-swarm bench --quick --agent $(STATIC_AGENT)

clean-data:
	rm -rf ./muster-data
