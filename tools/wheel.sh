#!/usr/bin/env bash
# Builds the distributions and tries the wheel in an environment of its own:
# wheel.sh PYTHON FOLDER [TAG], where the tag of a release is v and the version that is built.
set -euo pipefail

python=$1
dist=$2
tag=${3:-}
clip=data/sample/ravdess/Actor_01/03-01-05-01-01-01-01.ogg

rm -rf "$dist"
mkdir -p "$dist"
"$python" -m build --outdir "$dist" . >"$dist.log" 2>&1 || {
    tail -n 20 "$dist.log" >&2
    exit 1
}

if [ -n "$tag" ] && [ ! -e "$dist/sercourse-${tag#v}.tar.gz" ]; then
    echo "wheel: the tag is $tag, and $(cd "$dist" && echo *.tar.gz) was built: set __version__ and tag again" >&2
    exit 1
fi

bare=$(mktemp -d)
trap 'rm -rf "$bare"' EXIT
"$python" -m venv "$bare/venv"
"$bare/venv/bin/python" -m pip install --quiet --disable-pip-version-check "$dist"/*.whl
cp "$clip" "$bare/clip.ogg"
# Elsewhere, so that nothing of the clone is found.
(cd "$bare" && venv/bin/sercourse --version && venv/bin/sercourse predict clip.ogg)
ls -l "$dist"
