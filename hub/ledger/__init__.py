"""The ledger: agencies, messages, deliveries, events and the evidence tree, in one SQLite file with one writer."""
