"""The third stage: gives hashed files to the server and tells it of deletions, until it has confirmed each of them."""
