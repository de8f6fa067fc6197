"""What happened, stored for ever. Rule: an event has fields and a topic, and no behaviour."""
