#!/bin/sh
# Builds the ready-made workloads into target/modules/<name>.wasm. Two ways to a compiler for
# wasm32-wasip1, the first that is there or can be had:
#   installed   the Rust in use knows the target (`rustup target add` is tried);
#   debian      Debian's rustc-web builds the standard library from source (apt-get is tried).
# CORACLE_GUEST_TOOLCHAIN=installed or =debian insists on one.
set -eu
cd "$(dirname "$0")"
target=wasm32-wasip1
out=../target/modules
wish=${CORACLE_GUEST_TOOLCHAIN:-}

say() { echo "modules: $*" >&2; }

# --- a Rust that knows the target --------------------------------------------------------------

has_target() { [ -d "$(rustc --print sysroot 2>/dev/null)/lib/rustlib/$target/lib" ]; }

add_target() {
    command -v rustup >/dev/null || return 1
    say "adding the target $target by rustup"
    timeout 120 rustup target add $target >&2
}

# --- Debian's -----------------------------------------------------------------------------------

debian_packages="rustc-web rust-web-src cargo-web wasi-libc"
debian_std=/usr/lib/rustlib/src/rust/library/std
debian_libc=/usr/lib/wasm32-wasi

has_debian() {
    [ -x /usr/bin/cargo ] && [ -d $debian_std ] && [ -f $debian_libc/crt1-reactor.o ] && linker >/dev/null
}

add_debian() {
    command -v apt-get >/dev/null || return 1
    [ "$(id -u)" = 0 ] || return 1
    say "installing $debian_packages by apt-get"
    { apt-get install -y --no-install-recommends $debian_packages ||
        { apt-get update && apt-get install -y --no-install-recommends $debian_packages; }; } >&2
}

# The linker that Rust carries; Debian's wasm-ld may be older than Debian's rustc-web.
linker() {
    sysroot=$(rustc --print sysroot 2>/dev/null) || return 1
    ls "$sysroot"/lib/rustlib/*/bin/rust-lld 2>/dev/null | head -n 1 | grep .
}

# --- build -----------------------------------------------------------------------------------

build_installed() {
    cargo build --locked --release --target $target --target-dir target/installed
    built=target/installed/$target/release
}

build_debian() {
    CORACLE_LINKER=$(linker) CORACLE_WASI_LIBC=$debian_libc \
        RUSTC=/usr/bin/rustc RUSTC_BOOTSTRAP=1 \
        RUSTFLAGS="-L native=$debian_libc -C link-self-contained=no -C linker=$PWD/link-debian.sh" \
        /usr/bin/cargo build --locked --release --target $target --target-dir target/debian \
        -Zbuild-std=std,panic_abort
    built=target/debian/$target/release
}

case $wish in
installed) has_target || add_target || { say "rustup cannot add $target"; exit 1; } ;;
debian) has_debian || add_debian || { say "apt-get cannot install $debian_packages"; exit 1; } ;;
"")
    if has_target; then wish=installed
    elif has_debian; then wish=debian
    elif add_target && has_target; then wish=installed
    elif add_debian && has_debian; then wish=debian
    else
        say "no compiler for $target. Either of these gives one:"
        say "  rustup target add $target"
        say "  apt-get install $debian_packages   (beside rustup's Rust, for its linker)"
        exit 1
    fi ;;
*) say "CORACLE_GUEST_TOOLCHAIN is installed or debian, not $wish"; exit 1 ;;
esac

build_$wish

mkdir -p $out
for manifest in */Cargo.toml; do
    name=$(dirname "$manifest")
    # A library's file bears the crate's name, with underscores.
    file=$built/$name.wasm
    [ -f "$file" ] || file=$built/$(echo "$name" | tr - _).wasm
    # Unchanged files keep their time, so that nothing that embeds them is built again.
    cmp -s "$file" "$out/$name.wasm" || cp "$file" "$out/$name.wasm"
done
