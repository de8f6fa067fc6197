#!/usr/bin/env bash
# build.sh DIR: images that stand in for the official ones where none can be pulled, from a Debian tree made in DIR with this machine's own sources.
# The one rule: only names differ; docker-compose.yml and the Dockerfile are used as they are. Prints the variables that name the stand-ins.
set -euo pipefail

directory=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
packages=python3,python3-venv,rabbitmq-server,postgresql,nginx-light,curl

say() { echo "standins: $*" >&2; }

if ! docker image inspect flash-standin-debian >/dev/null 2>&1; then
    codename=$(. /etc/os-release && echo "$VERSION_CODENAME")
    source=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | awk -v r="$codename" '$2 == r && $3 == "main" {print $1; exit}')
    say "a Debian tree ($codename)"
    rm -rf "$directory/tree"
    debootstrap --variant=minbase --include="$packages" "$codename" "$directory/tree" "$source" >"$directory/debootstrap.log" 2>&1 || {
        tail -n 20 "$directory/debootstrap.log" >&2
        exit 1
    }
    rm -rf "$directory/tree/var/cache/apt/archives" "$directory/tree/var/lib/apt/lists"
    # The image is built without a network: its pip finds wheels, which this machine's pip has brought.
    mkdir -p "$directory/tree/wheels"
    "$root/.venv/bin/python" -m pip -qq --disable-pip-version-check download --require-hashes --only-binary :all: \
        -r "$root/requirements/run.txt" -d "$directory/tree/wheels"
    printf '[global]\nno-index = true\nfind-links = /wheels\n' >"$directory/tree/etc/pip.conf"
    say "the tree as an image"
    tar -C "$directory/tree" -c . | docker import - flash-standin-debian >/dev/null
    rm -rf "$directory/tree"
fi
for name in rabbitmq postgres proxy; do
    say "$name"
    docker build --quiet -t "flash-standin-$name" -f "$here/$name.Dockerfile" "$here" >/dev/null 2>"$directory/build.log" || {
        cat "$directory/build.log" >&2
        exit 1
    }
done
cat <<END
PYTHON_IMAGE=flash-standin-debian
RABBITMQ_IMAGE=flash-standin-rabbitmq
POSTGRES_IMAGE=flash-standin-postgres
PROXY_IMAGE=flash-standin-proxy
END
