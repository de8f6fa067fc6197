#!/usr/bin/env bash
# venv.sh DIR: makes the virtual environment. Keeps a good one.
# The one rule: the system's own Python comes first when it is at least 3.11, then the one on the path (PYTHON=… overrides). Distributions
# compile theirs with profile-guided optimization; one compiled by hand mostly goes without, and then a popup costs a third more.
set -euo pipefail

venv=$1
here=$(dirname "$0")

new_enough() {
    "$1" -c 'import sys; sys.exit(sys.version_info < (3, 11))' >/dev/null 2>&1
}

if new_enough "$venv/bin/python" && "$venv/bin/python" -m pip --version >/dev/null 2>&1; then exit 0; fi

# Debian keeps ensurepip in a package of its own, named for the version: root installs it, anybody else takes a Python that has it.
makes_venvs() {
    "$1" -c 'import ensurepip, venv' >/dev/null 2>&1 || { [ "$1" = /usr/bin/python3 ] && [ "$(id -u)" = 0 ] && command -v apt-get >/dev/null; }
}

python=
if [ -n "${PYTHON:-}" ]; then
    if ! new_enough "$PYTHON"; then
        echo "PYTHON=$PYTHON: expected a Python of at least 3.11" >&2
        exit 1
    fi
    python=$PYTHON
else
    for candidate in /usr/bin/python3 python3 python3.11 python3.12 python3.13 python3.14; do
        if ! new_enough "$candidate"; then continue; fi
        if [ -z "$python" ]; then python=$candidate; fi
        if makes_venvs "$candidate"; then
            python=$candidate
            break
        fi
    done
fi
if [ -z "$python" ]; then
    echo "missing: Python 3.11 or newer (found: $(python3 --version 2>/dev/null || echo none)). Install it, or name it: make PYTHON=/path/to/python3.11 …" >&2
    exit 1
fi

echo "install: $venv, with $("$python" --version), $python"
if ! "$python" -c 'import ensurepip, venv' >/dev/null 2>&1; then
    version=$("$python" -c 'import sys; print("%d.%d" % sys.version_info[:2])')
    "$here/debian.sh" "the virtual environment" "python$version-venv"
fi
rm -rf "$venv"
"$python" -m venv "$venv"
