"""What a check has found."""

from dataclasses import dataclass

OK, FAILED, SKIPPED = "ok", "failed", "skipped"


@dataclass(frozen=True, slots=True)
class Check:
    """One of them."""

    name: str
    status: str
    detail: str
    advice: str | None = None
    """What a person can do, where something is wrong."""

    def fields(self) -> dict[str, str | None]:
        """Return it as JSON fields."""
        return {"name": self.name, "status": self.status, "detail": self.detail, "advice": self.advice}


def ok(name: str, detail: str) -> Check:
    """Return that all is well."""
    return Check(name, OK, detail)


def failed(name: str, detail: str, advice: str) -> Check:
    """Return that it is not."""
    return Check(name, FAILED, detail, advice)


def skipped(name: str, why: str) -> Check:
    """Return that it was not tried."""
    return Check(name, SKIPPED, why)
