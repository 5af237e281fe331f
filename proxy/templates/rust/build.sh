#!/bin/sh
# Builds {{name}}.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v cargo >/dev/null || { echo "cargo is missing: https://rustup.rs" >&2; exit 77; }
cargo build --quiet --release --target wasm32-unknown-unknown --manifest-path "$here/Cargo.toml"
cp "${CARGO_TARGET_DIR:-$here/target}/wasm32-unknown-unknown/release/plugin.wasm" "${1:-$here/{{name}}.wasm}"
