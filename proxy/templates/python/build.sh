#!/bin/sh
# Builds {{name}}.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
tool="$here/.venv/bin/componentize-py"
[ -x "$tool" ] || tool=$(command -v componentize-py) || {
    echo "componentize-py is missing: python3 -m venv .venv && .venv/bin/pip install -r requirements.txt" >&2
    exit 77
}
# Python's library imports sockets, which no plugin is given: so no WASI at all.
"$tool" --wit-path "$here/wit" --world {{kind}} componentize --stub-wasi --python-path "$here" plugin \
    --output "${1:-$here/{{name}}.wasm}"
