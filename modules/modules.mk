# The ready-made workloads, into target/modules. Included by the Makefile at the top.
.PHONY: modules
modules:
	@sh modules/build.sh
