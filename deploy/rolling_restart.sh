#!/usr/bin/env bash
# rolling_restart.sh [-t SECONDS] [-p SECONDS] COMMAND SERVER=URL... restarts servers one after another. It waits until each is ready before
# it restarts the next one. Rule: when a server does not come back, it stops, and the servers that are left go on as they were.
#
#   deploy/rolling_restart.sh 'systemctl restart flash-{}' global=http://127.0.0.1:8080 home@h1=http://127.0.0.1:8081 home@h2=http://127.0.0.1:8082
#   deploy/rolling_restart.sh 'docker compose restart {}' global=https://localhost:8443 h1=https://localhost:8443/h1 h2=https://localhost:8443/h2
#   deploy/rolling_restart.sh 'kill -TERM "$(cat /run/flash/{}.pid)"' h1=http://127.0.0.1:8081      (where something starts the server again)
#
# COMMAND restarts the server {} by SIGTERM, and may return before the server is back. -t says how many seconds a server may take until it is
# ready (60 if it is not given). -p says how many seconds to pause after each server (6, because the clients come back within so many seconds).
# The script needs curl. It exits with 0 when all servers are back, and with 1 when one is not.
set -euo pipefail

timeout_s=60 pause_s=6
while getopts t:p: option; do
    case $option in
        t) timeout_s=$OPTARG ;;
        p) pause_s=$OPTARG ;;
        *) exit 2 ;;
    esac
done
shift $((OPTIND - 1))
if [ $# -lt 2 ]; then
    echo "rolling_restart.sh [-t SECONDS] [-p SECONDS] COMMAND SERVER=URL..." >&2
    exit 2
fi
command=$1
shift

# life URL prints a number that is another one after each start of the server; it prints nothing when the server does not answer.
life() { curl -fsS -m 2 "$1/metrics" 2>/dev/null | awk '$1 == "flash_started_seconds" {print $2}' || true; }

# why_not URL prints why the server is not ready; it prints nothing when it is. A standby counts as ready, because it cannot be more.
why_not() {
    local answer
    answer=$(curl -sS -m 2 -w '\n%{http_code}' "$1/readyz" 2>&1) || true
    case $answer in
        *$'\n200' | *Standby:*) ;;
        *) printf '%s' "${answer//$'\n'/ }" ;;
    esac
}

for server in "$@"; do
    reason=$(why_not "${server#*=}")
    if [ -n "$reason" ]; then
        echo "${server%%=*} is not ready, so nothing was restarted: $reason" >&2
        exit 1
    fi
done

while [ $# -gt 0 ]; do
    name=${1%%=*} url=${1#*=}
    shift
    before=$(life "$url")
    began=$SECONDS
    if ! bash -c "${command//\{\}/$name}"; then
        echo "$name: the command failed; not restarted: $name $*" >&2
        exit 1
    fi
    while now=$(life "$url"); [ -z "$now" ] || [ "$now" = "$before" ] || [ -n "$(why_not "$url")" ]; do
        if [ $((SECONDS - began)) -ge "$timeout_s" ]; then
            echo "$name did not come back within $timeout_s s: $(why_not "$url"); left as they are: $*" >&2
            exit 1
        fi
        sleep 0.2
    done
    echo "$name: back after $((SECONDS - began)) s"
    if [ $# -gt 0 ]; then sleep "$pause_s"; fi
done
