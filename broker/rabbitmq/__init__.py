"""The broker on RabbitMQ. Rule: only `channel.py` and `connection.py` touch the inside of the client library."""
