#!/usr/bin/env bash
# secrets.sh [DOMAIN]: passwords and a certificate for docker-compose.yml, made once into deploy/secrets. Keeps what is there.
# The one rule: a secret is in a file, never in the environment or on a command line. The certificate is for a trial: put a real one in its place.
set -euo pipefail

domain=${1:-${FLASH_DOMAIN:-localhost}}
cd "$(dirname "$0")"
mkdir -p secrets
chmod 700 secrets  # no other user of this machine gets in; the containers' own users read the files
cd secrets

random() { openssl rand -hex 24; }

# As RabbitMQ stores it: four bytes of salt, and SHA-256 over salt and password.
hashed() {
    local salt
    salt=$(openssl rand -hex 2)
    { printf %s "$salt" && printf '%s%s' "$salt" "$1" | openssl dgst -sha256 -binary; } | openssl base64 -A
}

# Each server is a user of its own. RabbitMQ makes it from a definitions file when it starts, with what permissions.sh says now.
for server in global h1 h2; do
    if [ ! -e "broker_url_$server" ]; then printf 'amqp://%s:%s@rabbitmq:5672/' "$server" "$(random)" >"broker_url_$server"; fi
    password=$(sed 's/.*:\(.*\)@.*/\1/' "broker_url_$server")
    cat >"rabbitmq_$server.json" <<END
{
"users": [{"name": "$server", "password_hash": "$(hashed "$password")", "hashing_algorithm": "rabbit_password_hashing_sha256", "tags": ""}],
$(../rabbitmq/permissions.sh -j "$server")
}
END
done
# Here the service `enroll` writes for each home the secret with which it becomes known. Its user is another one, and nobody else gets in here.
for home in h1 h2; do mkdir -p "enroll/$home"; done
chmod 777 enroll enroll/*
# Each server has a database and a role of its own, and its keys have another one. An installation from before has one of all, and keeps it.
url_of() { printf 'postgresql://%s:%s@postgres:5432/%s' "$1" "$(random)" "$1"; }
if [ ! -e postgres_password ]; then
    random | tr -d '\n' >postgres_password
    for server in global h1 h2; do
        url_of "flash_$server" >"store_url_$server"
        url_of "flash_keys_$server" >"keys_url_$server"
    done
    url_of flash_audit | sed 's/[^/]*$/flash_h1/' >audit_url_h1
fi
for server in global h1 h2; do
    if [ ! -e "store_url_$server" ]; then
        cp store_url "store_url_$server"
        : >"keys_url_$server"
    fi
done
# What PostgreSQL runs when it makes its data.
{
    if [ -e audit_url_h1 ]; then
        ../postgres/roles.sh global h1 h2
        sed -n 's|^postgresql://\([^:]*\):\([^@]*\)@.*|ALTER ROLE "\1" PASSWORD '"'\2'"';|p' store_url_* keys_url_* audit_url_h1
    fi
} >postgres_roles.sql
if [ ! -e certificate.pem ]; then
    openssl req -x509 -newkey ec -pkeyopt ec_paramgen_curve:P-256 -nodes -days 825 -subj "/CN=$domain" \
        -addext "subjectAltName=DNS:$domain,IP:127.0.0.1" -keyout certificate_key.pem -out certificate.pem 2>/dev/null
fi
find . -maxdepth 1 -type f -exec chmod 644 {} +
echo "deploy/secrets: ready, certificate for $domain"
