"""Why is a path where it is? Pure: from what is known, what the disk shows and what is in the way, to a verdict."""

from dataclasses import dataclass
from enum import StrEnum

from pp_assist.core.aside import CANCELLED, HELD_BY_PERSON
from pp_assist.core.model import NOT_TAKEN, FileState, Kind, Stage, WorkState
from pp_assist.core.patterns import Rule
from pp_assist.core.pause import PAUSED
from pp_assist.core.rest import BUSY
from pp_assist.core.rules import LeftOut
from pp_assist.core.surroundings import METERED, ON_BATTERY


class Verdict(StrEnum):
    """Where a path stands, in one word."""

    STORED = "stored"  # the server has given its receipt for how it looks now
    PENDING = "pending"  # something about it is still to be done
    EXCLUDED = "excluded"
    UNSUPPORTED = "unsupported"
    NOT_WATCHED = "not_watched"  # in none of the watched folders
    UNKNOWN = "unknown"  # nothing is known, or nothing can be said


class Blame(StrEnum):
    """What it lies with, or who can change it."""

    WAITING = "waiting"  # nobody: it goes on by itself, in a while
    FILE = "file"
    SERVER = "server"
    PERSON = "person"
    RULE = "rule"


@dataclass(frozen=True, slots=True)
class Sight:
    """What the disk and the rules say about a path of a root, at this moment."""

    root_problem: str | None = None
    """Why nothing can be said about the whole root."""
    problem: str | None = None
    """Why nothing can be said about the path."""
    kind: Kind | None = None
    """What is there; None: nothing."""
    size_bytes: int = 0
    mtime_ns: int = 0
    out: LeftOut | None = None
    """What leaves it out, or a folder above it."""
    unsupported: str | None = None
    is_root: bool = False
    """It is the watched folder itself."""


@dataclass(frozen=True, slots=True)
class Known:
    """What is known about a file, and what is to be done with it."""

    state: FileState
    size_bytes: int | None = None
    mtime_ns: int | None = None
    stage: Stage | None = None
    work_state: WorkState | None = None
    work_reason: str | None = None
    last_error: str | None = None
    eligible_at_ms: int | None = None
    snapshot: bool = False
    """What the server has of it was read while it changed."""
    kind: Kind = Kind.FILE
    reason: str | None = None
    """What leaves it out, or why it is not supported."""
    moving: bool = False
    """It came here with its folder, and the server is still to be told."""
    at_work: bool = False
    """Somebody works on it at this moment, or is about to."""


@dataclass(frozen=True, slots=True)
class Explanation:
    """The answer."""

    verdict: Verdict
    code: str
    blame: Blame
    text: str
    rule: Rule | None = None
    next_try_at_ms: int | None = None
    advice: str | None = None


_OF_SERVER = {
    "server_unreachable": "the server does not answer",
    "server_trouble": "the server cannot work now",
    "server_unavailable": "the server can serve nobody now: overloaded, full, or gone behind its gateway",
    "server_nonsense": "what answers is not our server, or is not well",
    "damaged_on_its_way": "the server received something else than was sent; something between may be changing it",
    "server_busy": "the server asks to be asked again a little later",
    "not_offered": "the server does not offer what this needs",
    "session_lost": "the server has forgotten a half-sent upload: it begins again",
    "stale": "the server knows something newer of this path: it is looked at again",
}
_OF_PERSON = {
    "no_server": ("no server is known yet", "pp_assist server add NAME URL --api-key-file FILE"),
    "needs_login": (
        "the server does not accept our key",
        "add the server again with a good key: pp_assist server rm, add",
    ),
    "not_allowed": ("our key may not do this", "give the key the right, or add the server with another key"),
    "server_untrusted": ("the server's certificate is not believed", "pp_assist server list says why"),
    "receipt_key_changed": ("the server signs with another key than before", "pp_assist server list says what to do"),
    PAUSED: ("you paused it: nothing is hashed or sent meanwhile", "pp_assist resume"),
    HELD_BY_PERSON: ("you hold it", "pp_assist queue release, with its path"),
    CANCELLED: ("you cancelled it: it is left alone until it changes", "pp_assist queue retry, with its path"),
    "held": ("so many files are missing at once that a person must decide", "pp_assist deletions list"),
}
_OUTSIDE = {
    ON_BATTERY: "the battery is low: it goes on with more power (wait.battery_below_percent)",
    METERED: "the line is paid by the byte: it goes on with another one (wait.metered)",
}
_WAITING = {
    "too_young": "it waits until it has been left alone for rules.min_age_seconds",
    "changing": "it changed while it was read: it is read again once it is at rest",
    "changed": "it changed while it was sent: it is read again once it is at rest",
    "being_uploaded": "its upload is still under way",
    "not_reconciled": "what the server has is compared with what is known here before it is told of any deletion",
    BUSY: "it goes on changing: it is stored once it comes to rest",
}
_RULES = {
    "own_directory": "it belongs to the daemon itself",
    "server_data": "it belongs to a server",
    "coming_back": "it is a part of a file that comes back from the server, and gets its own name when it is whole",
    "system_junk": "the system makes such names for itself",
    "other_file_system": "it lies on another file system than the watched folder",
    "too_large": "it is larger than rules.max_size_mb",
    "pattern": "a pattern leaves it out",
    "behind_a_link": "a link stands on the way to it: links are stored as links, and never followed",
}
_RULE_ADVICE = {
    "other_file_system": "to have it stored: pp_assist add, with this folder",
    "too_large": "to have it stored: raise rules.max_size_mb",
    "pattern": "to have it stored: take the pattern away, or add one with ! behind it",
    "behind_a_link": "to have it stored: pp_assist add, with the folder itself",
}
_STAGES = {
    Stage.CHECKSUM: "it is in line to be read",
    Stage.UPLOAD: "it is in line to be sent",
    Stage.VANISHED: "it is missing, and looked for a second time",
    Stage.DELETION: "it is missing, and in line for the server to be told",
}
_AT_WORK = {
    Stage.CHECKSUM: "it is being read, or sent already if it is small, or is next",
    Stage.UPLOAD: "it is being sent, or is next",
    Stage.VANISHED: "it is missing, and being looked for a second time",
    Stage.DELETION: "it is missing, and the server is being told",
}
_TRY_NOW = "pp_assist scan --force tries it at once"


def explain(
    sight: Sight, known: Known | None, obstacle: str | None, now_ms: int, pause_ends_ms: int | None = None
) -> Explanation:
    """Return why a path of a watched folder is where it is. *obstacle*: why nothing can be sent at this moment."""
    if sight.root_problem:
        text = f"the watched folder is not there, so nothing is concluded: {sight.root_problem}"
        return _say(
            Verdict.UNKNOWN, "root_unhealthy", Blame.PERSON, text, advice="bring the folder back, or mount its disk"
        )
    if sight.out:
        text = _RULES.get(sight.out.reason, "a rule leaves it out")
        advice = _RULE_ADVICE.get(sight.out.reason)
        return Explanation(Verdict.EXCLUDED, sight.out.reason, Blame.RULE, text, sight.out.rule, advice=advice)
    if sight.unsupported:
        word = sight.unsupported.replace(" ", "_")
        return _say(Verdict.UNSUPPORTED, word, Blame.FILE, f"this is not stored: {sight.unsupported}")
    if known is not None and known.stage is not None:
        return _at_work(known, known.stage, sight, obstacle, now_ms, pause_ends_ms)
    if sight.problem:
        return _say(Verdict.UNKNOWN, "unreadable", Blame.FILE, f"it cannot be looked at: {sight.problem}")
    if sight.is_root:
        text = "the watched folder itself is not stored, but everything in it"
        return _say(Verdict.UNSUPPORTED, "watched_folder", Blame.RULE, text)
    if sight.kind is None:
        if known is None:
            text = "nothing is there, and nothing is known of it here; what was once stored, the server keeps"
            return _say(Verdict.UNKNOWN, "not_there", Blame.FILE, text, advice=_EARLIER)
        return _say(Verdict.PENDING, "missing", Blame.WAITING, "it is missing: the next look at its folder notes that")
    if known is not None and (known.state, known.reason) == (FileState.UNSUPPORTED, NOT_TAKEN):
        text = "this server takes files only, no folders or links"
        return _say(
            Verdict.UNSUPPORTED, NOT_TAKEN, Blame.SERVER, text, advice="sent as soon as a newer server is there"
        )
    if known is None or known.state not in (FileState.COMPLETED, FileState.UNCHANGED):
        return _say(
            Verdict.PENDING, "not_seen_yet", Blame.WAITING, "the next look at its folder finds it", advice=_SCAN
        )
    if sight.kind is Kind.DIR and (known.kind, known.mtime_ns) != (Kind.DIR, sight.mtime_ns):
        text = "names have come or gone in it: the next scan notes its new time, the names themselves are noted before"
        return _say(Verdict.PENDING, "not_seen_yet", Blame.WAITING, text, advice=_SCAN)
    if known.moving:
        text = "its folder was moved here, and the server is told of that before anything else"
        return _say(Verdict.PENDING, "moving", Blame.WAITING, text)
    same_size = sight.kind is Kind.DIR or known.size_bytes == sight.size_bytes
    if (known.kind, known.mtime_ns) != (sight.kind, sight.mtime_ns) or not same_size:
        return _say(
            Verdict.PENDING, "not_seen_yet", Blame.WAITING, "it has just changed, which is not noted yet", advice=_SCAN
        )
    return _say(Verdict.STORED, "stored", Blame.FILE, "the server has confirmed that it has it, as it is now")


IN_LINE = "in_line"
"""Nothing keeps it but those before it."""

_SCAN = "pp_assist scan looks at once"
_EARLIER = "pp_client ls --versions, with this path, lists what the server has; get, or get --deleted, brings it back"


def _at_work(
    known: Known, stage: Stage, sight: Sight, obstacle: str | None, now_ms: int, pause_ends_ms: int | None
) -> Explanation:
    """Explain what keeps a file that something is to be done with."""
    at_ms = known.eligible_at_ms
    next_ms = at_ms if at_ms is not None and at_ms > now_ms else None
    code = known.work_reason
    if known.work_state is WorkState.HELD:
        return _person(HELD_BY_PERSON if code == HELD_BY_PERSON else "held")
    if known.work_state is WorkState.PARKED and code == CANCELLED:
        return _person(CANCELLED)
    if known.work_state is WorkState.PARKED:
        text = known.last_error or "it cannot be done as it is"
        return _say(
            Verdict.PENDING, code or "parked", Blame.FILE, text, advice=f"left alone until it changes; {_TRY_NOW}"
        )
    if obstacle == PAUSED:
        return _person(PAUSED, pause_ends_ms)
    if obstacle in _OUTSIDE:
        return _say(Verdict.PENDING, obstacle, Blame.WAITING, _OUTSIDE[obstacle])
    if obstacle and stage in (Stage.UPLOAD, Stage.DELETION):
        if obstacle in _OF_PERSON:
            return _person(obstacle)
        return _say(Verdict.PENDING, obstacle, Blame.SERVER, _OF_SERVER.get(obstacle, "nothing can be sent now"))
    if code in _OF_PERSON and known.work_state is WorkState.BACKOFF:
        return _person(code, next_ms)
    if code in _WAITING:
        blame = Blame.FILE if code == BUSY else Blame.WAITING
        text = _WAITING[code] + ("; a snapshot, read while it changed, is stored" if known.snapshot else "")
        return _say(Verdict.PENDING, code, blame, text, next_ms)
    if code and (known.work_state is WorkState.BACKOFF or next_ms):
        blame = Blame.SERVER if code in _OF_SERVER else Blame.FILE
        text = known.last_error or _OF_SERVER.get(code, "it could not be done")
        return _say(Verdict.PENDING, code, blame, text, next_ms, _TRY_NOW if next_ms else None)
    if stage is Stage.CHECKSUM and next_ms:
        return _say(Verdict.PENDING, "not_at_rest", Blame.WAITING, "it was written to just now", next_ms)
    text = _STAGES[stage]
    if stage in (Stage.VANISHED, Stage.DELETION) and sight.kind is not None:
        text = "it was missing and is back, which is not noted yet"
    elif known.at_work:
        return _say(Verdict.PENDING, "at_work", Blame.WAITING, _AT_WORK[stage])
    return _say(Verdict.PENDING, IN_LINE, Blame.WAITING, text, next_ms)


def _person(code: str, next_ms: int | None = None) -> Explanation:
    text, advice = _OF_PERSON[code]
    return _say(Verdict.PENDING, code, Blame.PERSON, text, next_ms, advice)


def _say(
    verdict: Verdict, code: str, blame: Blame, text: str, next_ms: int | None = None, advice: str | None = None
) -> Explanation:
    return Explanation(verdict, code, blame, text, None, next_ms, advice)


def not_watched(recursive: bool = True) -> Explanation:
    """Explain a path that is in no watched folder, or below one of which only the files directly in it are watched."""
    if not recursive:
        text = "only the files directly in the watched folder are, not those in folders below it"
        return _say(
            Verdict.NOT_WATCHED, "not_recursive", Blame.PERSON, text, advice="pp_assist rm, then add, the folder"
        )
    text = "it is in no watched folder"
    return _say(Verdict.NOT_WATCHED, "not_watched", Blame.PERSON, text, advice="pp_assist add FOLDER")
