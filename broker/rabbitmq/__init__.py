"""The broker on RabbitMQ, through aio-pika. Rule: only `publisher.py` touches what the client library does not document."""
