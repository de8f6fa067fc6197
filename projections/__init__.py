"""Read models folded from events: who is online, who watches whom, who is who, who did what. Rule: no HTTP, no AMQP."""
