"""What operators do: backups, restarts, diagnosis. Rule: on real files, brokers and processes."""
