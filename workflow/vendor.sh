#!/usr/bin/env bash
# Fetch the site's JavaScript at the versions of book/_static/vendor/package-lock.json, checked by its hashes, and copy
# the parts that the pages use. The copies are committed: a build needs neither npm nor the network.
set -euo pipefail
cd "$(dirname "$0")/../book/_static/vendor"
command -v npm >/dev/null || { echo "make vendor needs npm (Debian: apt-get install npm)"; exit 1; }
work=$(mktemp -d)
trap 'rm -rf "$work"' EXIT
cp package.json package-lock.json "$work"
(cd "$work" && npm ci --ignore-scripts --no-audit --no-fund --omit-lockfile-registry-resolved=true --loglevel=error)

mathjax="$work/node_modules/mathjax"
rm -rf mathjax
mkdir -p mathjax/output/chtml/fonts mathjax/input/tex
cp "$mathjax/LICENSE" "$mathjax/es5/tex-mml-chtml.js" mathjax/
cp -r "$mathjax/es5/output/chtml/fonts/woff-v2" mathjax/output/chtml/fonts/
cp -r "$mathjax/es5/input/tex/extensions" mathjax/input/tex/
rm mathjax/input/tex/extensions/all-packages.js # all of the others once more

# Its WebAssembly is kept packed, as the page loads it. The package holds no license; LICENSE is its repository's.
runtime="$work/node_modules/onnxruntime-web/dist"
mkdir -p onnxruntime
cp "$runtime/ort.wasm.min.mjs" "$runtime/ort-wasm-simd-threaded.mjs" onnxruntime/
gzip -9nc "$runtime/ort-wasm-simd-threaded.wasm" >onnxruntime/ort-wasm-simd-threaded.wasm.gz

# Only the browser tests use it, so it is no part of the site.
axe="$work/node_modules/axe-core"
cp "$axe/axe.min.js" ../../../tests/vendor/
cp "$axe/LICENSE" ../../../tests/vendor/axe-LICENSE.txt
du -sh .
