"""Reading whatever is in line: files are hashed; directories and links have no content, but facts. Blocking."""

import errno
import time
from collections.abc import Callable

from pp_assist.checksum.hashing import LooksDifferent, NotThere, Read, hash_in
from pp_assist.core.errors import AssistError, FileUnreadable
from pp_assist.core.model import Claim, Hashed, Kind
from pp_assist.core.rest import is_racy
from pp_assist.disk import Directories, read_entry

RESTLESS_MS = 600_000
"""A directory in which names come and go without end is taken as it is after this time: its facts are always whole."""

Result = Read | AssistError


def read_claims(claims: list[Claim], stopped: Callable[[], bool]) -> list[Result]:
    """Read several things in one go: a thread hop per small file costs more than the file."""
    results: list[Result] = []
    with Directories() as directories:
        for claim in claims:
            assert claim.seen is not None
            try:
                if claim.kind is Kind.FILE:
                    results.append(hash_in(directories, claim.location, claim.seen, stopped))
                else:
                    results.append(read_facts(directories, claim))
            except AssistError as error:
                results.append(error)
    return results


def read_facts(directories: Directories, claim: Claim) -> Read:
    """Return what is to be told of a directory or a link.

    Raises:
        LooksDifferent: it is not as it was last seen: not at rest yet.
        NotThere: it is gone, or something else by now.
        FileUnreadable: it cannot be looked at.
        RootUnhealthy: its root is not there.
    """
    began_ns = time.time_ns()
    try:
        now, target = read_entry(directories.open(claim.location.folder), claim.location.name)
    except (FileNotFoundError, NotADirectoryError) as error:
        raise NotThere("not found") from error
    except OSError as error:
        if error.errno in (errno.EINVAL, errno.EXDEV):  # another thing took its place just now; a mount hides it
            raise NotThere(error.strerror or "something else") from error
        raise FileUnreadable(f"cannot look at it: {error.strerror}") from error
    if now.kind is not claim.kind or now.mounted or now.stat.device != claim.location.folder.root_device:
        raise NotThere("something else is there now")
    restless = now.kind is Kind.DIR and began_ns // 1_000_000 - claim.queued_at_ms >= RESTLESS_MS
    if now.stat != claim.seen and not restless:
        raise LooksDifferent(now.stat)
    facts = Hashed(now.stat, now.mode, now.uid, now.gid, "", kind=now.kind, target=target)
    return Read(facts, is_racy(now.stat, began_ns))
