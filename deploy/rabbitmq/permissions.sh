#!/usr/bin/env bash
# permissions.sh [-j] SERVER [VHOST]: prints the commands that let RabbitMQ's user SERVER (`global`, or a home such as `h1`) do what that server needs,
# and no more. Before that: `rabbitmqctl import_definitions definitions.json`, and `rabbitmqctl add_user h1 PASSWORD`.
#
#   deploy/rabbitmq/permissions.sh h1 | sh
#
# -j: the same as two fields of a definitions file, as deploy/secrets.sh wants them.
#
# A home makes its own queue and reads it, hears requests and heartbeats, and publishes; as a source of events and presence only in its own name.
set -euo pipefail

as_definitions=
if [ "${1:-}" = -j ]; then
    as_definitions=yes
    shift
fi
server=${1:?permissions.sh [-j] SERVER [VHOST]}
vhost=${2:-/}
transient='amq\.gen-.*'  # queues of one connection: requests to this server, heartbeats

if [ "$server" = global ]; then
    configure="^(flash\\..*|$transient)\$"
    write="^(flash\\..*|amq\\.default|$transient)\$"
    read="^(flash\\..*|$transient)\$"
    events='^global\.' presence='^$'
else
    name=${server//./\\.}
    configure="^(flash\\.beats|flash\\.home\\.$name|$transient)\$"
    write="^(flash\\.(homes|events|presence|requests|dead|beats)|flash\\.home\\.$name|amq\\.default|$transient)\$"  # amq.default: answers
    read="^(flash\\.(homes|requests|beats)|flash\\.home\\.$name|$transient)\$"
    events="^$name\\." presence="^presence\\.$name\\."
fi
# The heartbeats and requests that a server hears are bound by any key; what it may say is another matter.
if [ -n "$as_definitions" ]; then
    whose="\"user\": \"$server\", \"vhost\": \"$vhost\""
    sed 's/\\/\\\\/g' <<END
"permissions": [{$whose, "configure": "$configure", "write": "$write", "read": "$read"}],
"topic_permissions": [
  {$whose, "exchange": "flash.events", "write": "$events", "read": ".*"},
  {$whose, "exchange": "flash.presence", "write": "$presence", "read": ".*"}
]
END
    exit
fi
cat <<END
rabbitmqctl set_permissions -p '$vhost' '$server' '$configure' '$write' '$read'
rabbitmqctl set_topic_permissions -p '$vhost' '$server' flash.events '$events' '.*'
rabbitmqctl set_topic_permissions -p '$vhost' '$server' flash.presence '$presence' '.*'
END
