"""What happened: told to whoever listens as it happens, and kept for a while."""
