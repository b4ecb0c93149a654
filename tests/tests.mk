# The suites of other projects, and fuzzing. Included by the Makefile at the top.

SUITES := target/suites
SUITE_PYTHON := $(TOOLS)/suites/bin/python

# What the Python suites and schemathesis run on.
$(TOOLS)/suites/.stamp: tests/suites/requirements.txt
	$(call need,python3,install Python 3.11 or newer with venv: on Debian 'apt-get install python3-venv')
	python3 -m venv $(TOOLS)/suites
	$(TOOLS)/suites/bin/pip install --quiet --disable-pip-version-check -r $<
	touch $@

# A suite is what a source package unpacks to, of the version that is installed.
$(SUITES)/kr8s $(SUITES)/kopf $(SUITES)/kubernetes: $(SUITES)/%: $(TOOLS)/suites/.stamp
	rm -rf $@ $@.new
	mkdir -p $@.new
	$(TOOLS)/suites/bin/pip download --quiet --disable-pip-version-check --no-deps --no-binary :all: \
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
