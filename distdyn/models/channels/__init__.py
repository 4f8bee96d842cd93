"""Ion channels: one family per file."""
