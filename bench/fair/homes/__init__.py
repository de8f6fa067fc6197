"""Attacks of a home that ops enrolled: it has its own key and its own user of RabbitMQ. Rule: it says what it likes, and only that."""
