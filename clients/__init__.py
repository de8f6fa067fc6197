"""The programs people use. Rule: clients speak HTTP and AMQP through `flash_sdk` and never import the server's rooms."""
