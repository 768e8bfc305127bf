"""Payloads: attachments and sealed envelopes, content-addressed, durable before anything refers to them."""
