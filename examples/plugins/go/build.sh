#!/bin/sh
# build.sh WORLD NAME [FILE]: builds NAME/plugin.go to NAME/NAME.wasm, or to the file that is named.
# Exit code 77: the toolchain is missing.
set -eu
here=$(cd "$(dirname "$0")" && pwd)
world=$1 name=$2
out=${3:-$here/$name/$name.wasm}
PATH="$here/.venv/bin:$PATH"
need() {
    command -v "$1" >/dev/null || { echo "$1 is missing: $2" >&2; exit 77; }
}
need go "python3 -m venv .venv && .venv/bin/pip install -r requirements.txt, or https://go.dev/dl"
need wit-bindgen "cargo install wit-bindgen-cli --no-default-features --features c,go"
wit-bindgen go --help >/dev/null 2>&1 ||
    { echo "wit-bindgen has no Go: cargo install wit-bindgen-cli --no-default-features --features c,go" >&2; exit 77; }
case $world in
balancer) package=export_jackfield_plugin_balancing ;;
http-filter) package=export_jackfield_plugin_filtering ;;
esac

build=$(mktemp -d)
trap 'rm -rf "$build"' EXIT
wit-bindgen go "$here/../../../wit" --world "$world" --format=false --out-dir "$build" --quiet >/dev/null 2>&1
mkdir -p "$build/$package"
cp "$here/$name"/*.go "$build/$package/"
cd "$build"

# The module go.bytecodealliance.org/pkg comes with the sources of wit-bindgen, in the same version;
# where cargo has not kept them, it comes from Go's module proxy.
version=$(wit-bindgen --version | cut -d ' ' -f 2)
for pkg in "${CARGO_HOME:-$HOME/.cargo}"/registry/src/*/wit-bindgen-go-"$version"/src/pkg; do
    if [ -d "$pkg" ]; then
        go mod edit -replace "go.bytecodealliance.org/pkg=$pkg"
        export GOPROXY=off
    fi
done
GOOS=wasip1 GOARCH=wasm GOFLAGS=-mod=mod go build -trimpath -buildmode=c-shared -ldflags="-s -checklinkname=0" -o "$out" .
