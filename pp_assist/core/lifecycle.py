"""What follows for a file once something about it is known. Pure."""

from dataclasses import dataclass

from pp_assist.core.model import Claim, FileState, Hashed, Stored


@dataclass(frozen=True, slots=True)
class AfterHash:
    """What to do with a freshly hashed file."""

    send: bool
    """Whether the server must hear of it."""
    new_gen: bool
    """Whether it needs a new generation: its present one has already been used for other content."""
    state: FileState


def after_hash(claim: Claim, hashed: Hashed) -> AfterHash:
    """Decide what follows from *hashed*.

    The question is whether the *server* has this version, not whether the digest changed: a file that is touched while
    it waits for its first upload has the same digest and still has to be sent.
    """
    if claim.stored is not None and not _offered_since(claim, claim.stored) and says_the_same(claim.stored, hashed):
        return AfterHash(send=False, new_gen=False, state=stored_state(claim.stored.sent))
    used = claim.offered_gen is not None and claim.gen <= claim.offered_gen and not _is_as_offered(claim, hashed)
    return AfterHash(send=True, new_gen=used, state=FileState.READY_FOR_UPLOAD)


def _is_as_offered(claim: Claim, hashed: Hashed) -> bool:
    """Say whether *hashed* is what the present generation was offered as: what no receipt came for is offered again."""
    before = claim.hashed
    if before is None or claim.gen != claim.offered_gen:
        return False
    return before.stat.mtime_ns == hashed.stat.mtime_ns and before[1:] == hashed[1:]


def changed_silently(claim: Claim, hashed: Hashed) -> bool:
    """Say whether the content is another one although nothing says that it was written to since it was hashed.

    Written through a mapping or by the disk's own doing: no look at the file's times will ever tell.
    """
    before = claim.hashed
    if before is None or claim.racy:
        return False
    return before.stat == hashed.stat and before.sha256 != hashed.sha256


def _offered_since(claim: Claim, stored: Stored) -> bool:
    """Say whether the server may have a newer version by now: it was offered, and no receipt for it has come."""
    return claim.offered_gen is not None and claim.offered_gen > stored.gen


def says_the_same(stored: Stored, hashed: Hashed) -> bool:
    """Say whether the receipt covers *hashed* with all metadata that a restore needs, and without reserve."""
    covered = (stored.kind, stored.sha256, stored.target, stored.mtime_ns, stored.mode, stored.uid, stored.gid)
    return not stored.snapshot and covered == (
        hashed.kind,
        hashed.sha256,
        hashed.target,
        hashed.stat.mtime_ns,
        hashed.mode,
        hashed.uid,
        hashed.gid,
    )


def stored_state(sent: bool) -> FileState:
    """Return the state of a file whose present content has a receipt."""
    return FileState.COMPLETED if sent else FileState.UNCHANGED


def was_sent(claim: Claim, hashed: Hashed, bytes_sent: int) -> bool:
    """Say whether our bytes are what the server has: sent now, or before under the same digest; no bytes always are."""
    return (
        bytes_sent > 0
        or hashed.content_bytes == 0
        or (claim.stored is not None and claim.stored.sent and claim.stored.sha256 == hashed.sha256)
    )
