"""Receipts: signed for clients, and kept in a log from which the records of all files can be made again."""
