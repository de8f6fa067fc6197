"""The options of every connection to PostgreSQL. Rule: no thread waits for ever for a database that is gone."""

KEEPALIVES = {  # a database that vanishes without a word is given up after about 8 s; the kernel's defaults take a quarter of an hour
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}
