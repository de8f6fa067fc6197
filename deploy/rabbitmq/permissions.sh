#!/usr/bin/env bash
# permissions.sh [-j] SERVER [VHOST]: prints the commands that make the queues of SERVER (`global`, or a home such as `h1`) and let its RabbitMQ user, who
# is called as the server is, do what that server needs and no more. Before that: `rabbitmqctl import_definitions definitions.json`, and
# `rabbitmqctl add_user h1 PASSWORD`.
#
#   deploy/rabbitmq/permissions.sh h1 | sh
#
# -j: the same as four fields of a definitions file, as deploy/secrets.sh wants them.
#
# A home publishes to the exchanges, as a source of events and presence in its own name only, and reads four queues: its mail, its calls, the
# heartbeats, and the history, from which it puts back what its own log has lost. It makes and binds nothing: whoever
# may make a queue may have RabbitMQ publish from it under any key, and whoever may bind an exchange goes round the rights on its keys.
set -euo pipefail

as_definitions=
if [ "${1:-}" = -j ]; then
    as_definitions=yes
    shift
fi
server=${1:?permissions.sh [-j] SERVER [VHOST]}
vhost=${2:-/}

if [ "$server" = global ]; then
    configure='^flash\..*$' write='^flash\..*$' read='^flash\..*$'
    events='^global\.' presence='^era\.' topics='.*' questions=global
else
    configure='^$'
    write='^flash\.(homes|requests|answers|beats|dead|events|presence)$'
    read="^flash\\.(home\\.$server|calls\\.$server|heartbeats|history)\$"
    events="^$server\\." presence="^presence\\.$server\\." topics='^$' questions="home.$server"
fi

queues() {
    local inbox="flash.home.$server" calls="flash.calls.$server" durable="\"vhost\": \"$vhost\", \"durable\": true, \"auto_delete\": false"
    local bound="\"vhost\": \"$vhost\", \"destination_type\": \"queue\", \"arguments\": {}"
    cat <<END
"queues": [
  {"name": "$inbox", $durable, "arguments": {"x-queue-type": "quorum", "x-single-active-consumer": true, "x-dead-letter-exchange": "flash.dead", "x-delivery-limit": 1000000}},
  {"name": "$calls", $durable, "arguments": {"x-queue-type": "stream", "x-max-length-bytes": 5000000, "x-stream-max-segment-size-bytes": 1000000}}
],
"bindings": [
  {"source": "flash.homes", "destination": "$inbox", "routing_key": "$server", $bound},
  {"source": "flash.requests", "destination": "$calls", "routing_key": "$questions", $bound},
  {"source": "flash.answers", "destination": "$calls", "routing_key": "$server", $bound}
]
END
}

if [ -n "$as_definitions" ]; then
    whose="\"user\": \"$server\", \"vhost\": \"$vhost\""
    sed 's/\\/\\\\/g' <<END
"permissions": [{$whose, "configure": "$configure", "write": "$write", "read": "$read"}],
"topic_permissions": [
  {$whose, "exchange": "flash.events", "write": "$events", "read": "$topics"},
  {$whose, "exchange": "flash.presence", "write": "$presence", "read": "$topics"}
],
END
    queues
    exit
fi
cat <<END
rabbitmqctl set_permissions -p '$vhost' '$server' '$configure' '$write' '$read'
rabbitmqctl set_topic_permissions -p '$vhost' '$server' flash.events '$events' '$topics'
rabbitmqctl set_topic_permissions -p '$vhost' '$server' flash.presence '$presence' '$topics'
rabbitmqctl import_definitions <<'DEFINITIONS'
{
$(queues)
}
DEFINITIONS
END
