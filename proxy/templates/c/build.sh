#!/bin/sh
# Builds {{name}}.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
missing() {
    echo "$1 is missing: $2" >&2
    exit 77
}
clang=$(command -v clang-19 || command -v clang) ||
    missing clang "apt-get install clang-19 lld-19 wasi-libc libclang-rt-19-dev-wasm32"
command -v wit-bindgen >/dev/null ||
    missing wit-bindgen "cargo install wit-bindgen-cli --no-default-features --features c"
bindings=$(echo {{kind}} | tr - _)
mkdir -p "$here/target"
said=$(wit-bindgen c "$here/wit" --world {{kind}} --out-dir "$here/target" 2>&1) || { echo "$said" >&2; exit 1; }
"$clang" --target=wasm32-wasi -mexec-model=reactor -Oz -Wall -I "$here/target" -o "${1:-$here/{{name}}.wasm}" \
    "$here/plugin.c" "$here/target/$bindings.c" "$here/target/${bindings}_component_type.o"
