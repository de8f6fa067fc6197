"""How parts reach a client: endless answers and polls. Rule: a transport frames and bounds; sessions decide what is sent."""
