"""Migrations of the server's tables, applied at start. A released one is never edited."""
