"""How many changes were told of, however many one scan finds."""

from typing import Any, cast

import pytest

from pp_assist.scanner import announced
from pp_assist.scanner.announced import Announced


class Told:
    """What the system has told of so far."""

    def __init__(self, *names: bytes) -> None:
        self.names = set(names)

    def announces(self, root_id: int, directory: bytes, name: bytes) -> bool:
        return name in self.names


def changes(first: int, count: int) -> list[announced.Change]:
    return [(b"", b"%d" % number, 1) for number in range(first, first + count)]


def test_what_was_told_of_makes_room_for_more(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(announced, "REMEMBERED", 10)
    counter = Announced()
    with counter.scanning(1, b""):
        pass  # the first one: nobody could have told of what it finds
    told = Told(*(name for _, name, _ in changes(0, 25)))
    with counter.scanning(1, b"") as counted:
        for first in range(0, 30, 5):
            counted.found(changes(first, 5))
            if counted.is_full:
                counted.pending(cast(Any, told))
        told.names.add(b"25")  # on its way until then
        counted.pending(cast(Any, told))
    assert (counted.announced, counted.missed) == (26, 4)
