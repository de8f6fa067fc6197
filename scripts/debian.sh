#!/usr/bin/env bash
# debian.sh WHY PACKAGE...: installs Debian packages when we are root on Debian, else says exactly what to do and fails.
# The one rule: it starts no service. Flash's tests start their own private ones.
set -euo pipefail

why=$1
shift

if ! command -v apt-get >/dev/null; then
    printf '%s\n' "missing: $*" "    needed for: $why" "    install: with your system's package manager (these are Debian's names), then run make again" >&2
    exit 1
fi
if [ "$(id -u)" != 0 ]; then
    printf '%s\n' "missing: $*" "    needed for: $why" "    install: sudo apt-get install --no-install-recommends $*" >&2
    exit 1
fi

log=$(mktemp)
policy=/usr/sbin/policy-rc.d
saved=

restore() {
    rm -f "$log" "$policy"
    if [ -n "$saved" ]; then mv "$saved" "$policy"; fi
}
trap restore EXIT

# Packages ask this file before they start a service; 101 is "no" (Debian Policy, section 9.3.3.1).
if [ -e "$policy" ]; then
    saved=$policy.before-flash
    mv "$policy" "$saved"
fi
printf '#!/bin/sh\nexit 101\n' >"$policy"
chmod 755 "$policy"

quietly() {
    if ! "$@" >"$log" 2>&1; then
        cat "$log" >&2
        printf '%s\n' "failed: $*" >&2
        exit 1
    fi
}

echo "install: $* (Debian packages; $why)"
export DEBIAN_FRONTEND=noninteractive
wanted=/etc/systemd/system/multi-user.target.wants
wanted_before=$(ls "$wanted" 2>/dev/null || true)
quietly apt-get -q -o DPkg::Lock::Timeout=120 update
quietly apt-get -q -y -o DPkg::Lock::Timeout=120 -o Dpkg::Use-Pty=0 install --no-install-recommends "$@"

# The next boot must not start the services either, so what these packages enabled is disabled again. (Without systemd nothing would start it.)
if command -v systemctl >/dev/null; then
    for unit in $(ls "$wanted" 2>/dev/null || true); do
        if ! grep -qxF "$unit" <<<"$wanted_before"; then quietly systemctl disable "$unit"; fi
    done
fi
