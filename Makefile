# One entry point for every task. The targets install what they need; see CONTRIBUTING.md.
.DEFAULT_GOAL := help
SHELL := bash
CACHE ?= $(HOME)/.cache/graphmill
FEATURES := --features graphmill/fault-points

help: ## this list
	@grep -hE '^[a-z-]+:.*##' $(MAKEFILE_LIST) | sed 's/:.*##/ —/'

run: ## build and start the server
	cargo run --release --bin graphmill -- serve

test: documents ## every test: unit, conformance, contract, faults
	GRAPHMILL_TEST_DOCUMENTS=$(CACHE)/documents cargo test --workspace $(FEATURES)

documents: ## real documents for tests and benches, from Debian's packages
	scripts/fetch-documents $(CACHE)/documents

bench: documents ## speed and memory, beside a peer where there is one
	benches/run $(CACHE)

soak: ## the random tests with new seeds for MINUTES (30)
	scripts/soak $(or $(MINUTES),30)

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

.PHONY: help run test documents bench soak fuzz lint docs clean-cache
