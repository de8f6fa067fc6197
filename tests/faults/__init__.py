"""Reliability shown by breaking things: real processes, a real RabbitMQ, the real SDK. Rule: every message of a run is accounted for."""
