# Coracle: `make up` runs a cluster, `make test` runs every test. Both bring what they need.

SHELL := /bin/bash
.SHELLFLAGS := -eu -o pipefail -c
.DEFAULT_GOAL := help
.DELETE_ON_ERROR:

TOOLS := $(CURDIR)/.tools
export PATH := $(TOOLS)/bin:$(PATH)

# Options for `coracle up`, as in: make up ARGS="--nodes 5 --port 7443"
ARGS ?=

include tools.mk
include modules/modules.mk
include web/web.mk
include tests/tests.mk

.PHONY: help
help: ## Say what there is
	@awk -F ':.*## ' '/^[a-z-]+:.*## / { printf "  make %-10s %s\n", $$1, $$2 }' Makefile

.PHONY: up
up: release ## Build everything and run a cluster until Ctrl-C
	exec target/release/coracle up $(ARGS)

.PHONY: release
release: rust modules web ## Build the program for use: target/release/coracle
	cargo build --release --workspace --bins

.PHONY: build
build: rust modules web ## Build the program as the tests use it: target/debug/coracle
	cargo build --workspace --bins --tests

.PHONY: test
test: build nextest kubectl oras modules-test web-test ## Run every test
	cargo nextest run --workspace -E 'not binary(/^(conformance|suites)$$/)'
	$(MAKE) conformance
	$(MAKE) web-e2e
	$(MAKE) suites

.PHONY: lint
lint: rust modules web modules-lint web-lint ## Check formatting and lints of everything
	cargo fmt --all -- --check
	cargo clippy --workspace --all-targets -- -D warnings

.PHONY: bench
bench: release kubectl ## Measure; figures go to standard output
	CORACLE_BIN=target/release/coracle target/release/bench

.PHONY: doc
doc: rust ## Build the documentation of the rooms
	cargo doc --workspace --no-deps

.PHONY: clean
clean: ## Remove what was built; .tools stays
	cargo clean
	rm -rf modules/target guest-sdk/target web/dist web/node_modules
