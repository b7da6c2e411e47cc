"""Dividing work into portions that are neither too many things nor too much. Pure."""

from collections.abc import Callable, Iterable, Iterator
from typing import TypeVar

T = TypeVar("T")


def portions(
    things: Iterable[T], size: Callable[[T], int], most: int, at_a_time: int | None = None
) -> Iterator[list[T]]:
    """Yield *things* in order, in lists of at most *at_a_time* of them and of sizes that are at most *most* together.

    One that is larger by itself is alone.
    """
    portion: list[T] = []
    total = 0
    for thing in things:
        weight = size(thing)
        if portion and (len(portion) == at_a_time or total + weight > most):
            yield portion
            portion, total = [], 0
        portion.append(thing)
        total += weight
    if portion:
        yield portion
