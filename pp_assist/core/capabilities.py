"""What one server announces that it can do: a verb is used only when it is announced."""

from collections.abc import Iterable, Mapping
from dataclasses import dataclass, field

FIRST_VERBS = frozenset({"initiate", "deletions", "hosts"})
"""What we believe of a server that has no `/api/version` to announce anything with."""


@dataclass(frozen=True, slots=True)
class Capabilities:
    """The features and limits of a server, as it announced them when it was greeted last."""

    features: frozenset[str] = FIRST_VERBS
    limits: Mapping[str, int] = field(default_factory=dict)

    @classmethod
    def announced(cls, features: Iterable[str], limits: Mapping[str, object]) -> "Capabilities":
        """Return what an answer announces; limits that are no positive numbers are those of a future we do not know."""
        numbers = {name: value for name, value in limits.items() if type(value) is int and value > 0}
        return cls(frozenset(features), numbers)

    def can(self, feature: str) -> bool:
        """Say whether the server announces *feature*."""
        return feature in self.features

    def limit(self, name: str, ours: int) -> int:
        """Return the smaller one of our own limit and the server's, where it announces one of that name."""
        return min(ours, self.limits.get(name, ours))
