"""Two daemons that say they are the same host: somebody has copied a state directory. Pure.

Each run of a daemon has a number of its own. A run that was followed by another one has ended, so it does not show
itself again; where two take turns, both are alive.
"""

from collections import OrderedDict
from dataclasses import dataclass, field

HOSTS = 10_000
RUNS = 8
TURNS = 2
"""A single turn may be a request of an ended run that was long on its way."""


@dataclass(slots=True)
class _Seen:
    """The runs of one host, oldest first, and how often each came back after another."""

    turns: dict[str, int] = field(default_factory=dict)
    last: str = ""
    second: set[str] = field(default_factory=set)


class Presences:
    """Who has shown itself as which host since the server was started; the oldest are forgotten."""

    def __init__(self, hosts: int = HOSTS) -> None:
        self._most = hosts
        self._hosts: OrderedDict[tuple[int, str], _Seen] = OrderedDict()

    def show(self, owner_id: int, host_id: str, run: str) -> bool:
        """Note that *run* speaks as a host; say whether another one does, too, that did so before it."""
        seen = self._hosts.setdefault((owner_id, host_id), _Seen())
        self._hosts.move_to_end((owner_id, host_id))
        while len(self._hosts) > self._most:
            self._hosts.popitem(last=False)
        if run not in seen.turns:
            seen.turns[run] = 0
            for oldest in list(seen.turns)[:-RUNS]:
                del seen.turns[oldest]
                seen.second.discard(oldest)
        elif seen.last != run:
            seen.turns[run] += 1
            if seen.turns[run] >= TURNS and seen.last in seen.turns:
                order = list(seen.turns)
                seen.second.add(max(run, seen.last, key=order.index))
        seen.last = run
        return run in seen.second
