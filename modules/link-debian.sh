#!/bin/sh
# rust-lld as the linker for Debian's rustc-web: adds the start-up object that rustc leaves out when
# the C library is not its own, the reactor's for libraries and the command's for programs.
set -eu
start=crt1-command.o
for argument; do
    case $argument in
    --no-entry | _initialize) start=crt1-reactor.o ;;
    esac
done
# rustc names the flavour itself only to a linker called rust-lld.
[ "${1:-}" = -flavor ] || set -- -flavor wasm "$@"
exec "$CORACLE_LINKER" "$@" "$CORACLE_WASI_LIBC/$start"
