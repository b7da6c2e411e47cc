"""Giving files to a server once, without a daemon: found, read, sent, and forgotten."""
