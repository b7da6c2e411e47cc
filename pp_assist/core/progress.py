"""How far one upload by chunks has come."""

from dataclasses import dataclass

from pp_assist.core.model import Claim


@dataclass(slots=True)
class Progress:
    """How far one file has come."""

    claim: Claim
    bytes_total: int
    chunks_total: int
    chunks_done: int
    """Those that the server has, from earlier attempts, too."""
    bytes_sent: int = 0
    """Since this attempt began."""
    told_at_s: float = 0.0
    """When somebody was told of it last, by the event loop's clock."""
