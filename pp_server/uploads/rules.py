"""The limits uploads are held to."""

from dataclasses import dataclass


@dataclass(frozen=True, slots=True)
class UploadRules:
    """Settings of uploading, as this package needs them."""

    session_ttl_ms: int = 3_600_000
    max_open_per_owner: int = 1024

    @property
    def slack_ms(self) -> int:
        """How much later than promised a session ends, so that not every chunk has to record its activity."""
        return self.session_ttl_ms // 60

    def expiry(self, now_ms: int) -> int:
        """Return when a session active now ends."""
        return now_ms + self.session_ttl_ms + self.slack_ms

    def promised(self, expires_ms: int) -> int:
        """Return the end that clients are told of."""
        return expires_ms - self.slack_ms

    def renewal(self, expires_ms: int, now_ms: int) -> int | None:
        """Return the expiry to record for activity now; None where the recorded one still promises enough."""
        return None if expires_ms >= now_ms + self.session_ttl_ms else self.expiry(now_ms)
