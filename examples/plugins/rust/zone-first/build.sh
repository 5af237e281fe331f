#!/bin/sh
# Builds zone-first.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
command -v cargo >/dev/null || { echo "cargo is missing: https://rustup.rs" >&2; exit 77; }
cd "$here"
cargo build --quiet --locked --release --target wasm32-unknown-unknown --target-dir ../target
cp ../target/wasm32-unknown-unknown/release/zone_first.wasm "${1:-$here/zone-first.wasm}"
