"""The edge through real sockets, in front of small stand-ins."""
