"""What several tests need: waiting on conditions, and a RabbitMQ of their own."""
