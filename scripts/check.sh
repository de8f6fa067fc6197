#!/usr/bin/env bash
# check.sh: runs every check that needs no running server, also after one has failed. Expects the tools on PATH.
set -uo pipefail

failed=()

check() {
    local name=$1
    shift
    local output
    if output=$("$@" 2>&1); then
        echo "check: $name: ok"
    else
        echo "check: $name: FAILED"
        printf '%s\n' "$output"
        failed+=("$name")
    fi
}

check "lint" ruff check --quiet --output-format concise .
check "format" ruff format --check --output-format concise .
check "types" mypy
check "layers" lint-imports --no-logo
check "dependencies" deptry .
check "dependencies of tests" deptry . --ignore DEP004 --exclude '\.venv' # where development dependencies may be imported
check "docs" python -m pytest -qq tests/docs

if [ ${#failed[@]} -gt 0 ]; then
    echo "check: failed: ${failed[*]}" >&2
    exit 1
fi
