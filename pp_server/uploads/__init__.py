"""Use cases of uploading: initiate, chunk, complete, abort, expire. Knows Protocols, neither HTTP nor SQL."""
