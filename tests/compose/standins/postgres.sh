#!/bin/sh
# Makes the database cluster at the first start, and what /docker-entrypoint-initdb.d asks for, as the official image does; then runs the server.
set -eu
if [ ! -s "$PGDATA/PG_VERSION" ]; then
    initdb --auth=scram-sha-256 --username="$POSTGRES_USER" --pwfile="$POSTGRES_PASSWORD_FILE" --encoding=UTF8 >/dev/null
    echo 'host all all all scram-sha-256' >>"$PGDATA/pg_hba.conf"
    pg_ctl -D "$PGDATA" -w -o "-c listen_addresses='' -c unix_socket_directories=/tmp" start >/dev/null
    PGPASSWORD=$(cat "$POSTGRES_PASSWORD_FILE")
    export PGPASSWORD
    psql="psql -qX -v ON_ERROR_STOP=1 -h /tmp -U $POSTGRES_USER"
    $psql -d postgres -c "CREATE DATABASE \"$POSTGRES_DB\""
    for file in /docker-entrypoint-initdb.d/*.sql; do
        if [ -e "$file" ]; then $psql -d "$POSTGRES_DB" -f "$file"; fi
    done
    pg_ctl -D "$PGDATA" -w -m fast stop >/dev/null
    unset PGPASSWORD
fi
exec postgres -D "$PGDATA" -c listen_addresses='*' -c unix_socket_directories=/tmp
