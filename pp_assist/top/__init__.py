"""A live view of the daemon, on a terminal."""
