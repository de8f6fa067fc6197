#!/usr/bin/env bash
# build.sh DIR: images that stand in for the official ones where none can be pulled, from a Debian tree made in DIR with this machine's own sources.
# The one rule: only names differ; docker-compose.yml and the Dockerfile are used as they are. Prints the variables that name the stand-ins.
set -euo pipefail

directory=$1
here=$(cd "$(dirname "$0")" && pwd)
root=$(cd "$here/../../.." && pwd)
packages=python3,python3-venv,rabbitmq-server,postgresql,nginx-light,curl

say() { echo "standins: $*" >&2; }

in_tree() { chroot "$directory/tree" "$@"; }

if ! docker image inspect flash-standin-debian >/dev/null 2>&1; then
    own=$(. /etc/os-release && echo "$VERSION_CODENAME")
    source=$(apt-get indextargets --format '$(SITE) $(RELEASE) $(COMPONENT)' 'Created-By: Packages' | awk -v r="$own" '$2 == r && $3 == "main" {print $1; exit}')
    # trixie has what docker-compose.yml names, RabbitMQ 4 and PostgreSQL 17, and a new Python; this machine's own release is what else there is.
    for codename in "${FLASH_TEST_DEBIAN:-trixie}" "$own"; do
        say "a Debian tree ($codename)"
        rm -rf "$directory/tree"
        if debootstrap --foreign --variant=minbase --include="$packages" "$codename" "$directory/tree" "$source" >"$directory/debootstrap.log" 2>&1; then break; fi
        tail -n 2 "$directory/debootstrap.log" >&2
    done
    {
        # A tree that is thrown away need not be on the disk after each file, nor hold manuals, nor a database cluster of its own.
        mkdir -p "$directory/tree/etc/dpkg/dpkg.cfg.d" "$directory/tree/etc/postgresql-common"
        printf '%s\n' force-unsafe-io 'path-exclude=/usr/share/doc/*' 'path-exclude=/usr/share/man/*' 'path-exclude=/usr/share/locale/*' \
            >"$directory/tree/etc/dpkg/dpkg.cfg.d/standin"
        echo 'create_main_cluster = false' >"$directory/tree/etc/postgresql-common/createcluster.conf"
        in_tree /debootstrap/debootstrap --second-stage
    } >>"$directory/debootstrap.log" 2>&1 || {
        tail -n 20 "$directory/debootstrap.log" >&2
        exit 1
    }
    rm -rf "$directory/tree/var/cache/apt/archives" "$directory/tree/var/lib/apt/lists"
    python=$(in_tree python3 -c 'import platform; print(platform.python_version())')
    say "Python $python, RabbitMQ $(in_tree dpkg-query -f '${Version}' -W rabbitmq-server), $(in_tree sh -c '/usr/lib/postgresql/*/bin/postgres --version')"
    # The image is built without a network: its pip finds wheels, which this machine's pip has brought.
    mkdir -p "$directory/tree/wheels"
    "$root/.venv/bin/python" -m pip -qq --disable-pip-version-check download --require-hashes --only-binary :all: --python-version "${python%.*}" \
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
