#!/usr/bin/env bash
# Makes the virtual environment that the Makefile uses: bootstrap.sh PYTHON VENV [CONSTRAINTS]
# Without constraints the newest versions are installed. What is missing here is said in one line.
set -euo pipefail

python=$1
venv=$2
constraints=${3:-}

stop() {
    printf 'bootstrap: %s\n' "$1" >&2
    exit 1
}

version_of() {
    "$1" -c 'import sys; print("%d.%d" % sys.version_info[:2])' 2>/dev/null
}

command -v "$python" >/dev/null || stop "there is no '$python' here: install Python 3.11, 3.12 or 3.13, or name one: make PYTHON=python3.12 ..."

version=$(version_of "$python") ||
    stop "'$python' does not start: name another Python: make PYTHON=python3.12 ..."

# Where nobody chose a Python and the usual one is too new or too old, another may be installed.
if [ "$python" = python3 ]; then
    for other in 3.13 3.12 3.11; do
        case $version in 3.11 | 3.12 | 3.13) break ;; esac
        [ "$(version_of "python$other")" = "$other" ] || continue
        echo "python3 is Python $version: python$other is taken instead"
        python=python$other version=$other
    done
fi
case $version in
    3.11 | 3.12 | 3.13) ;;
    *) stop "'$python' is Python $version, and 3.11, 3.12 or 3.13 is needed: make PYTHON=python3.12 ..." ;;
esac

"$python" -c 'import venv, ensurepip' 2>/dev/null ||
    stop "Python $version here lacks the venv module: on Debian or Ubuntu, apt install python$version-venv"

# An environment left by an interrupted run, or by another Python, is made anew.
if ! "$venv/bin/python" -c "import pip, sys; sys.exit('%d.%d' % sys.version_info[:2] != '$version')" 2>/dev/null; then
    echo "Making $venv with Python $version"
    "$python" -m venv --clear "$venv"
fi

echo "Installing the package and its tools into $venv: the first time, about 600 MB to download"
# Only ready-made packages, so that no compiler is needed. Of pip's lines, only progress is shown.
"$venv/bin/python" -m pip install --disable-pip-version-check --no-input --progress-bar off \
    --only-binary :all: ${constraints:+--constraint "$constraints"} --editable '.[lessons,networks,live,big,cluster,site,dev]' |
    grep --line-buffered -oE '^ *Downloading .*|^Installing collected packages' ||
    stop "the installation failed for the reason above; where a package is not ready-made for this machine (Intel Macs, rare processors), use conda (see docs/platforms.md)"
echo "Installed"
