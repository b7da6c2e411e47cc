"""Which versions of a path are meant: those of now, of a moment, the deleted ones, or all."""

from dataclasses import dataclass
from datetime import UTC, date, datetime, time
from urllib.parse import quote


@dataclass(frozen=True, slots=True)
class When:
    """Without anything: what is live now."""

    at: datetime | None = None
    """What was live at this moment (it has a time zone)."""
    deleted: bool = False
    """The last version of what is deleted now."""
    every: bool = False
    """All versions, and deletions."""

    def asked(self) -> dict[str, str]:
        """Return the parameters to ask a server with."""
        if self.at is not None:
            return {"at": quote(self.at.isoformat(), safe="")}
        shown = "deleted" if self.deleted else "all" if self.every else None
        return {} if shown is None else {"show": shown}


NOW = When()


def moment(text: str) -> datetime:
    """Return the moment that a person names: ISO 8601; without a time zone, it is that of this machine.

    A date alone is the end of that day: "as it was on the 20th" has what came on the 20th.

    Raises:
        ValueError: it is none.
    """
    try:
        day = date.fromisoformat(text)
    except ValueError:
        found = datetime.fromisoformat(text)
    else:
        found = datetime.combine(day, time(23, 59, 59, 999_000, fold=1))  # the last hour, where that comes twice
    try:
        return found.astimezone(UTC)
    except OverflowError:
        raise ValueError(f"{text} is in no calendar") from None
