#!/bin/sh
# Makes a component (second argument) of a core module that carries the types of its world (first).
set -eu
if command -v wasm-tools >/dev/null; then
    exec wasm-tools component new "$1" -o "$2"
fi
command -v jco >/dev/null ||
    { echo "wasm-tools is missing: cargo install wasm-tools, or npm install --global @bytecodealliance/jco" >&2; exit 77; }
exec jco new "$1" -o "$2"
