"""The page: its source, and what is built of it and served; no Python. How it is made: docs/ui.md."""
