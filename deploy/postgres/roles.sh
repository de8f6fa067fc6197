#!/usr/bin/env bash
# roles.sh SERVER...: prints the SQL, for psql and a superuser, that gives each server (`global`, or a home such as `h1`) a database and a role of its own,
# its keys another database and another role, and `flash_audit` the right to read what is not a key. What is there already stays.
#
#   deploy/postgres/roles.sh global h1 h2 | psql -v ON_ERROR_STOP=1
#   psql -c '\password flash_h1' -c '\password flash_keys_h1'
#
#   FLASH_STORE_URL=postgresql://flash_h1:…@host/flash_h1  FLASH_KEYS_URL=postgresql://flash_keys_h1:…@host/flash_keys_h1
#
# A database for each, and not a schema: whoever may connect to a database may take its advisory locks, with which commits take turns, and no right can
# be taken away from that.
set -euo pipefail

: "${1:?roles.sh SERVER...}"

role() {
    echo "SELECT 'CREATE ROLE \"$1\" LOGIN' WHERE NOT EXISTS (SELECT FROM pg_roles WHERE rolname = '$1') \\gexec"
}

database() {
    echo "SELECT 'CREATE DATABASE \"$1\" OWNER \"$1\" TEMPLATE template0 ENCODING ''UTF8''' WHERE NOT EXISTS (SELECT FROM pg_database WHERE datname = '$1') \\gexec"
    echo "REVOKE ALL ON DATABASE \"$1\" FROM PUBLIC;"
}

role flash_audit
for server in "$@"; do
    name="flash_$server" keys="flash_keys_$server" schema="flash_${server//-/\$}"
    role "$name"
    role "$keys"
    database "$name"
    database "$keys"
    cat <<END
GRANT CONNECT ON DATABASE "$name" TO flash_audit;
\\connect "$name"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
CREATE SCHEMA IF NOT EXISTS "$schema" AUTHORIZATION "$name";
GRANT USAGE ON SCHEMA "$schema" TO flash_audit;
GRANT SELECT ON ALL TABLES IN SCHEMA "$schema" TO flash_audit;
ALTER DEFAULT PRIVILEGES FOR ROLE "$name" IN SCHEMA "$schema" GRANT SELECT ON TABLES TO flash_audit;
\\connect "$keys"
REVOKE ALL ON SCHEMA public FROM PUBLIC;
END
done
