"""What both programs stand on: durable files, SQLite, configuration, logs, exit codes, signals."""
