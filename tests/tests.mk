# The suites of other projects, and fuzzing. Included by the Makefile at the top.

SUITES := target/suites
SUITE_PYTHON := $(TOOLS)/suites/bin/python

# What the Python suites and schemathesis run on.
$(TOOLS)/suites/.stamp: tests/suites/requirements.txt
	$(call need,python3,install Python 3.11 or newer with venv: on Debian 'apt-get install python3-venv')
	python3 -m venv $(TOOLS)/suites
	$(SUITE_PYTHON) -m pip install --quiet --disable-pip-version-check -r $<
	touch $@

# A suite is what a source package unpacks to, of the version that is installed.
$(SUITES)/kr8s $(SUITES)/kopf $(SUITES)/kubernetes: $(SUITES)/%: $(TOOLS)/suites/.stamp
	rm -rf $@ $@.new
	mkdir -p $@.new
	$(SUITE_PYTHON) -m pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
		--dest $@.new $$(grep '^$*==' tests/suites/requirements.txt)
	tar -xzf $@.new/*.tar.gz --strip-components=1 -C $@.new
	touch $@.new
	mv $@.new $@

# The kube-client that this program itself uses.
$(SUITES)/kube-client: Cargo.lock tests/suites/kube-client.sh | rust
	bash tests/suites/kube-client.sh $@

.PHONY: suites
suites: build nextest kubectl $(SUITES)/kr8s $(SUITES)/kopf $(SUITES)/kubernetes $(SUITES)/kube-client ## Run other projects' tests against a cluster
	cargo nextest run -p coracle-tests --test suites

# One cluster for all of them: they share a process.
.PHONY: conformance
conformance: build ## Test Kubernetes' conformance behaviours
	cargo test -q -p coracle-tests --test conformance

# An input that breaks something is kept in tests/fuzz/corpus and tried by every test run.
FUZZ_SECONDS ?= 60

.PHONY: fuzz
fuzz: build nextest $(TOOLS)/suites/.stamp ## Feed every parser with mutated bytes, FUZZ_SECONDS each
	target/debug/fuzz --seconds $(FUZZ_SECONDS)
	SCHEMATHESIS_EXAMPLES=10 cargo nextest run -p coracle-tests --test suites schemathesis::
