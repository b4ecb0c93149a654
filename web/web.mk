# The dashboard: built to target/web, which the program embeds.

WEB_SOURCES := $(shell find web/src web/public web/index.html web/vite.config.ts web/package-lock.json -type f 2>/dev/null)

.PHONY: web
web: target/web/index.html ## Build the dashboard

web/node_modules/.stamp: web/package-lock.json | node
	cd web && npm ci --silent
	touch $@

target/web/index.html: $(WEB_SOURCES) web/node_modules/.stamp
	cd web && npm run --silent build
	touch $@

.PHONY: web-lint
web-lint: web/node_modules/.stamp
	cd web && npm run --silent lint

.PHONY: web-test
web-test: web/node_modules/.stamp
	cd web && npm test --silent

.PHONY: chromium
chromium:
	@test -x /usr/bin/chromium || { [ "$$(id -u)" = 0 ] && command -v apt-get >/dev/null && \
		apt-get update -qq && apt-get install -y -qq chromium >/dev/null; } || \
		{ echo "coracle: chromium is missing: on Debian 'apt-get install chromium'" >&2; exit 1; }

# Drives the dashboard of a real cluster in a real browser.
.PHONY: web-e2e
web-e2e: build chromium
	cd web && npm run --silent e2e
