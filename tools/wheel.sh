#!/usr/bin/env bash
# Builds the distributions and tries the wheel in an environment of its own: wheel.sh PYTHON FOLDER
set -euo pipefail

python=$1
dist=$2
clip=data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg

rm -rf "$dist"
"$python" -m build --outdir "$dist" . >"$dist.log" 2>&1 || { tail -n 20 "$dist.log" >&2; exit 1; }

bare=$(mktemp -d)
trap 'rm -rf "$bare"' EXIT
"$python" -m venv "$bare/venv"
"$bare/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$dist"/*.whl
cp "$clip" "$bare/clip.ogg"
# Elsewhere, so that nothing of the clone is found.
(cd "$bare" && venv/bin/sercourse --version && venv/bin/sercourse predict clip.ogg)
ls -l "$dist"
