"""How every connection to PostgreSQL notices that the other side is gone. Rule: no thread waits for an answer without an end."""

LINE = {  # a database that is gone without a word is given up after some 8 s, not after the kernel's quarter of an hour
    "keepalives_idle": 3,
    "keepalives_interval": 2,
    "keepalives_count": 3,
    "tcp_user_timeout": 8_000,
}
