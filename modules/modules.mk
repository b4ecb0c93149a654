# The ready-made workloads, into target/modules. Included by the Makefile at the top.

COMPONENTIZE_PY_VERSION := 0.25.1
COMPONENTIZE_PY := .tools/componentize-py-$(COMPONENTIZE_PY_VERSION)/bin/componentize-py
PYTHON_HELLO := target/modules/python-hello.wasm

.PHONY: modules
modules: rust-modules python-modules ## Build the ready-made workloads into target/modules

.PHONY: rust-modules
rust-modules:
	@sh modules/build.sh

# A workload in Python: an example and a test, 18 MB large; not part of the program.
.PHONY: python-modules
ifeq ($(shell python3 -c 'import ensurepip, venv' 2>/dev/null && echo yes),yes)
python-modules: $(PYTHON_HELLO)
else
python-modules:
	@echo "modules: no python3 with venv (Debian: apt-get install python3-venv): python-hello is not built" >&2
endif

$(PYTHON_HELLO): modules/python-hello/app.py modules/python-hello/world.wit $(COMPONENTIZE_PY) \
		$(wildcard guest-sdk/wit/sdk/*.wit guest-sdk/wit/sdk/deps/*.wit)
	@mkdir -p $(@D)
	$(COMPONENTIZE_PY) -q -d guest-sdk/wit/sdk -d modules/python-hello/world.wit \
		-w coracle:python-hello/hello@0.1.0 componentize -p modules/python-hello app -o $@.new
	@mv $@.new $@

$(COMPONENTIZE_PY):
	python3 -m venv $(@D)/..
	$(@D)/pip install --quiet --disable-pip-version-check componentize-py==$(COMPONENTIZE_PY_VERSION)

# What of the guests needs no cluster, on the machine itself.
.PHONY: modules-test
modules-test: rust ## Test the guests' own logic
	cargo test --quiet --locked --manifest-path modules/Cargo.toml --target-dir modules/target/native \
		-p toolbox -p web-server

# Clippy needs the target from rustup: Debian's compiler, the other way to build, has none.
GUEST_CLIPPY := cargo clippy --target wasm32-wasip1 --target-dir modules/target/installed --release

.PHONY: modules-lint
modules-lint: rust-modules ## Check formatting and lints of the guests
	cargo fmt --manifest-path modules/Cargo.toml --all -- --check
	@if [ -d "$$(rustc --print sysroot)/lib/rustlib/wasm32-wasip1/lib" ]; then set -x; \
		$(GUEST_CLIPPY) --manifest-path modules/Cargo.toml --workspace -- -D warnings; \
		$(GUEST_CLIPPY) --manifest-path guest-sdk/Cargo.toml -- -D warnings; \
	else \
		echo "modules: clippy does not see the guests: rustup has no wasm32-wasip1 here" >&2; \
	fi
