#!/bin/sh
# Builds api-key.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/api-key.wasm}
need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 77; }
}
need wit-bindgen "cargo install wit-bindgen-cli --no-default-features --features c"
python="$here/../.venv/bin/python"
if [ -x "$python" ] && "$python" -c 'import ziglang' 2>/dev/null; then
    set -- "$python" -m ziglang
else
    need zig "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt"
    set -- zig
fi
build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
# Only for the section that tells the types of the world.
wit-bindgen c "$here/../../../../wit" --world http-filter --out-dir "$build" >/dev/null 2>&1
"$@" build-exe -target wasm32-freestanding -O ReleaseSmall -fno-entry -rdynamic \
    --cache-dir "$build" -femit-bin="$out" \
    "$here/api-key.zig" "$build/http_filter_component_type.o"
