# One entry point for every task. The targets install what they need; see CONTRIBUTING.md.
.DEFAULT_GOAL := help
SHELL := bash
CACHE ?= $(HOME)/.cache/graphmill
CONTRACT := $(CACHE)/contract
BINARY = $${CARGO_TARGET_DIR:-target}/debug/graphmill
FEATURES := --features graphmill/fault-points

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

run: ## build and start the server
	cargo run --release --bin graphmill -- serve

test: documents contract-tools neo4j ## every test: unit, conformance, contract, faults
	GRAPHMILL_TEST_DOCUMENTS=$(CACHE)/documents GRAPHMILL_TEST_NEO4J=$(CACHE)/neo4j \
		cargo test --workspace --no-fail-fast $(FEATURES)
	cargo build --bin graphmill $(FEATURES)
	$(CONTRACT)/bin/python tests/contract/run $(BINARY)
	$(CONTRACT)/bin/python tests/contract/client $(BINARY)
	$(CONTRACT)/bin/python tests/contract/fuzz $(BINARY)

contract-tools: ## the Python environment of the contract tests
	scripts/contract-tools $(CONTRACT)

neo4j: ## the Neo4j server of the tests (Maven, a JDK 17 or 21)
	scripts/neo4j $(CACHE)/neo4j

fuzz-api: contract-tools ## schemathesis with all checks over /openapi.json
	cargo build --bin graphmill $(FEATURES)
	$(CONTRACT)/bin/python tests/contract/fuzz $(BINARY)

client: contract-tools ## a client generated from /openapi.json: upload, watch, search, delete
	cargo build --bin graphmill $(FEATURES)
	$(CONTRACT)/bin/python tests/contract/client $(BINARY)

documents: ## real documents for tests and benches, from Debian's packages
	scripts/fetch-documents $(CACHE)/documents

bench: documents ## speed and memory, beside a peer where there is one
	benches/run $(CACHE)

soak: ## a mixed load for MINUTES (60), then the random tests with new seeds
	scripts/soak $(or $(MINUTES),60)

fuzz: documents ## fuzz parsers and chunker, SECONDS (60) each
	CACHE=$(CACHE) scripts/fuzz $(or $(SECONDS),60)

lint: ## format, clippy, documentation
	cargo fmt --all --check
	cargo clippy --workspace --all-targets $(FEATURES) -- -D warnings
	RUSTDOCFLAGS="-D warnings" cargo doc --workspace --no-deps

docs: ## the API documentation of all crates
	cargo doc --workspace --no-deps

clean-cache: ## remove what the targets fetched
	rm -rf $(CACHE)

.PHONY: help run test documents contract-tools neo4j fuzz-api client bench soak fuzz lint docs clean-cache
