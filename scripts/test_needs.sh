#!/usr/bin/env bash
# test_needs.sh: the programs outside Python that the tests use. Looks for each; installs what is missing (see debian.sh).
# The one rule: a need is one line of the table, and the script looks for the program, not for its package.
set -euo pipefail

PATH=$PATH:/usr/sbin:/sbin  # where Debian puts daemons; not on the path of ordinary users

# how to find it                        | Debian package
needs='
command -v rabbitmq-server              | rabbitmq-server
command -v curl                         | curl
ls /usr/lib/postgresql/*/bin/initdb || command -v initdb | postgresql
command -v nft                          | nftables
command -v node                         | nodejs
command -v npm                          | npm
command -v Xvfb                         | xvfb
command -v openbox                      | openbox
command -v icewm                        | icewm
command -v xdotool                      | xdotool
command -v import                       | imagemagick
command -v chromium || command -v chromium-browser | chromium
command -v xprop                        | x11-utils
command -v haproxy                      | haproxy
command -v systemd-analyze              | systemd
test -n "$(fc-list)"                    | fonts-dejavu-core
.venv/bin/python -c "import tkinter"    | python3-tk
as_root command -v ip                   | iproute2
as_root command -v nft                  | nftables
as_root command -v conntrack            | conntrack
as_root command -v sysctl               | procps
as_root command -v nginx                | nginx
as_root command -v haproxy              | haproxy
as_root command -v squid                | squid
'

# What only the tests in network namespaces use; those are skipped for anybody but root.
as_root() { [ "$(id -u)" -ne 0 ] || "$@"; }

missing=()
while read -r line; do
    check=${line%|*} package=${line##*|}
    if [ -z "${package// /}" ]; then continue; fi
    if ! eval "$check" >/dev/null 2>&1; then missing+=("${package// /}"); fi
done <<<"$needs"

if [ ${#missing[@]} -gt 0 ]; then
    exec "$(dirname "$0")/debian.sh" "the tests against real services" "${missing[@]}"
fi
