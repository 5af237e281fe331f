#!/bin/sh
# Builds canary-by-header.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 77; }
}
need clang-19 "apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32"
need wit-bindgen "cargo install wit-bindgen-cli --no-default-features --features c"
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
wit-bindgen c "$here/../../../../wit" --world balancer --out-dir "$build" >/dev/null
clang-19 --target=wasm32-wasi -mexec-model=reactor -Oz -s -Wall -Werror -I "$build" -o "${1:-$here/canary-by-header.wasm}" \
    "$here/canary-by-header.c" "$build/balancer.c" "$build/balancer_component_type.o"
