# Two commands: `make run` plays the main job with real parts, `make test` runs everything.

CARGO ?= cargo
export CARGO_TERM_PROGRESS_WHEN ?= auto

.PHONY: run test lint build soak openapi permissions release clean-data

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
	MUSTER_SOAK=1 target/debug/muster-testkit-postgres -- $(CARGO) test --workspace --locked -- --nocapture soak

## Writes docs/openapi.json from the handlers.
openapi:
	MUSTER_WRITE_OPENAPI=1 $(CARGO) test --locked -p muster-server --test openapi

## Writes docs/permissions.md from the answers of the server.
permissions:
	MUSTER_WRITE_PERMISSIONS=1 $(CARGO) test --locked -p muster-server --test permissions lets_through::sqlite

## Optimised binaries: target/release/muster and target/release/muster-agent.
release:
	$(CARGO) build --release --locked -p muster -p muster-agent

clean-data:
	rm -rf ./muster-data
