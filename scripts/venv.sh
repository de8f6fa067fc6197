#!/usr/bin/env bash
# venv.sh DIR: makes the virtual environment, with the first Python >= 3.11 found (PYTHON=… overrides). Keeps a good one.
set -euo pipefail

venv=$1
here=$(dirname "$0")

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then exit 0; fi

python=
if [ -n "${PYTHON:-}" ]; then
    if ! new_enough "$PYTHON"; then
        echo "PYTHON=$PYTHON: expected a Python of at least 3.11" >&2
        exit 1
    fi
    python=$PYTHON
else
    for candidate in python3 python3.11 python3.12 python3.13 python3.14; do
        if new_enough "$candidate"; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "missing: Python 3.11 or newer (found: $(python3 --version 2>/dev/null || echo none)). Install it, or name it: make PYTHON=/path/to/python3.11 …" >&2
    exit 1
fi

make_it() {
    rm -rf "$venv"
    "$python" -m venv "$venv"
}

echo "install: $venv, with $("$python" --version)"
# Debian keeps ensurepip in a package of its own, named for the version.
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$here/debian.sh" "the virtual environment" "python$version-venv"
fi
make_it
