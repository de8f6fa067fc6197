"""The running Home Server and Global Server. Rule: no HTTP, and AMQP only through the `Broker` port."""
