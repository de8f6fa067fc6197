#!/usr/bin/env bash
# test_compose.sh: docker-compose.yml on a real Docker engine: brought up, used through its proxy, each service killed once, taken down; then the
# tests' own containers. The one rule: a missing engine or image is made, and the script names what cannot be made (exit 77).
set -euo pipefail

cd "$(dirname "$0")/.."
PATH=$PATH:/usr/sbin:/sbin
work=$(mktemp -d)
engine_pid=
missing=()

say() { echo "test-compose: $*, after $SECONDS s"; }

finish() {
    if [ -n "$engine_pid" ]; then
        kill "$engine_pid" 2>/dev/null || true
        wait "$engine_pid" 2>/dev/null || true
    fi
    rm -rf "$work" 2>/dev/null || say "left: $work"
}
trap finish EXIT

need() { # how to find it, Debian package
    if ! eval "$1" >/dev/null 2>&1; then missing+=("$2"); fi
}
need "docker --version" docker.io
need "docker compose version || docker-compose --version" docker-compose
need "command -v openssl" openssl
need "command -v curl" curl
if ! docker version >/dev/null 2>&1; then
    need "command -v dockerd" docker.io
    need "command -v iptables" iptables
fi
need "command -v debootstrap" debootstrap
if [ ${#missing[@]} -gt 0 ]; then scripts/debian.sh "the test in containers" "${missing[@]}"; fi

# -- an engine: the one that runs, else a private one --------------------------------------------------------------------------------------
if ! docker version >/dev/null 2>&1; then
    if [ "$(id -u)" != 0 ]; then
        say "not run: no Docker engine answers, and only root can start one"
        exit 77
    fi
    export DOCKER_HOST=unix://$work/docker.sock
    dockerd --data-root "$work/data" --exec-root "$work/exec" --pidfile "$work/pid" -H "$DOCKER_HOST" >"$work/dockerd.log" 2>&1 &
    engine_pid=$!
    for _ in $(seq 60); do
        if docker version >/dev/null 2>&1 || ! kill -0 "$engine_pid" 2>/dev/null; then break; fi
        sleep 0.5
    done
    if ! docker version >/dev/null 2>&1; then
        say "not run: the Docker engine does not start here:"
        tail -n 5 "$work/dockerd.log"
        exit 77
    fi
    say "a Docker engine of our own, $(docker version --format '{{.Server.Version}}')"
fi

# -- images: the official ones, else stand-ins ---------------------------------------------------------------------------------------------
if timeout 60 docker pull -q "${POSTGRES_IMAGE:-postgres:17}" >/dev/null 2>&1; then
    say "with the images that docker-compose.yml names"
else
    say "no image can be pulled: stand-ins from Debian's packages"
    variables=$(tests/compose/standins/build.sh "$work")
    while read -r line; do export "${line?}"; done <<<"$variables"
    export FLASH_TEST_RABBITMQ_IMAGE=$RABBITMQ_IMAGE
fi
if docker compose version >/dev/null 2>&1; then compose="docker compose"; else compose="docker-compose"; fi
files=$(ulimit -Hn)
if [ "$files" != unlimited ] && [ "$files" -lt 100000 ]; then export FLASH_FILES=$files; fi

deploy/secrets.sh
say "the image of Flash"
$compose -p flash-test build --quiet >"$work/build.log" 2>&1 || {
    tail -n 30 "$work/build.log"
    exit 1
}

# -- the tests -----------------------------------------------------------------------------------------------------------------------------
failed=0
SSL_CERT_FILE=$PWD/deploy/secrets/certificate.pem FLASH_TEST_COMPOSE=$compose .venv/bin/python -m pytest --timeout 900 tests/compose "$@" || failed=1
say "the tests' own containers"
TESTCONTAINERS_RYUK_DISABLED=true .venv/bin/python -m pytest -q tests/broker/contract/test_inboxes.py tests/broker/rabbitmq/test_definitions.py -k rabbitmq || failed=1
exit $failed
