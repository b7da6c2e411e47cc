"""Documents to drop."""

import random


def pdf(seed: int = 1, size: int = 3000) -> bytes:
    """Return something that begins and ends as a PDF does."""
    body = b"%PDF-1.7\n" + random.Random(seed).randbytes(size).replace(b"%%EOF", b"")
    return body + b"\nxref\n0 1\ntrailer\n<<>>\nstartxref\n%d\n%%%%EOF\n" % (len(body) + 1)
