"""Run: DSRunner, recordings, run directories."""
