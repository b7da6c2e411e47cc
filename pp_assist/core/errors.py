"""What can go wrong, sorted by what its handler should do."""

from enum import StrEnum

from pp_assist.core.identity import Identity
from pp_assist.core.pause import PAUSED


class Remedy(StrEnum):
    """What to do with the work that failed. Dropping it is not on the list."""

    RETRY = "retry"  # the same again, later, with backoff
    LOOK = "look"  # the file is not what we thought: look at it and hash it again
    PARK = "park"  # cannot succeed as it is: keep the row and say why
    WAIT = "wait"  # the server is in trouble, not this file: wait for it, count no attempt
    LOGIN = "login"  # nothing will succeed until a person gives us valid credentials
    LEAVE = "leave"  # nothing is wrong: leave it as it is, and go on when it may


class AssistError(Exception):
    """Base of all our errors."""

    remedy = Remedy.RETRY
    reason = "failed"
    """A stable word for people and programs; the message says more."""
    server_wide = False
    """Whether this certainly concerns every file alike, so that no file is to blame."""

    def __init__(self, message: str = "", retry_after_s: float | None = None) -> None:
        super().__init__(message)
        self.retry_after_s = retry_after_s


class FileChanged(AssistError):
    """The file is not the one that was hashed, so its digest means nothing."""

    remedy = Remedy.LOOK
    reason = "changed"


class FileUnreadable(AssistError):
    """The file is there and cannot be read."""

    remedy = Remedy.RETRY
    reason = "unreadable"


class BehindALink(FileUnreadable):
    """A symbolic link stands on the way to the file: links are never followed, so what is behind it is not seen."""

    reason = "behind_a_link"


class RootUnhealthy(AssistError):
    """The root is missing, or is not the folder that was registered: nothing can be said about its files."""

    remedy = Remedy.RETRY
    reason = "root_unhealthy"


class RootRenumbered(RootUnhealthy):
    """The root is the folder that was registered, under another device number: what is known must follow that first."""

    reason = "root_renumbered"

    def __init__(self, found: Identity) -> None:
        super().__init__("its file system has another device number than before")
        self.found = found


class RootForgotten(AssistError):
    """The root is no longer registered: what was being found out about it is of no use."""

    reason = "root_forgotten"


class ServerUnreachable(AssistError):
    """No answer: refused, reset, timed out, or no such host."""

    remedy = Remedy.WAIT
    reason = "server_unreachable"
    server_wide = True


class Untrusted(ServerUnreachable):
    """The server's certificate is not one we may believe. Nothing was sent, our API key least of all."""

    reason = "server_untrusted"


class NoServer(AssistError):
    """There is no server to ask."""

    reason = "no_server"


class ServerTrouble(AssistError):
    """The server answered that it cannot work now."""

    remedy = Remedy.WAIT
    reason = "server_trouble"


class ServerUnavailable(ServerTrouble):
    """The server says that it can serve nobody now: overloaded, full, or its gateway finds it gone."""

    reason = "server_unavailable"
    server_wide = True


class ServerNonsense(AssistError):
    """The answer is not what our server would say: a proxy, a captive portal, a bug. It is never believed."""

    remedy = Remedy.WAIT
    reason = "server_nonsense"


class KeyChanged(ServerNonsense):
    """The server signs its receipts with another key than the one we know it by, or with none any more."""

    reason = "receipt_key_changed"
    server_wide = True


class HostShared(AssistError):
    """Another daemon speaks to the server as the host that we are: one of the two must become another one."""

    remedy = Remedy.WAIT
    reason = "host_shared"
    server_wide = True


class ServerBusy(AssistError):
    """The server asks for this request again a little later."""

    remedy = Remedy.RETRY
    reason = "server_busy"


class DamagedOnItsWay(AssistError):
    """The server received something else than was sent."""

    remedy = Remedy.RETRY
    reason = "damaged_on_its_way"


class NeedsLogin(AssistError):
    """The server does not accept our API key. Everything is kept."""

    remedy = Remedy.LOGIN
    reason = "needs_login"
    server_wide = True


class Paused(AssistError):
    """A person wants nothing to be sent for a while: what is half sent goes on from there later."""

    remedy = Remedy.LEAVE
    reason = PAUSED


class NotAllowed(NeedsLogin):
    """Our API key is good, and may not do this (403): a person must give it the right, or us another key."""

    reason = "not_allowed"


class NotOffered(AssistError):
    """The server does not announce the verb we would need; a later version of it may."""

    reason = "not_offered"


class Refused(AssistError):
    """The server refuses this very file and will go on refusing it."""

    remedy = Remedy.PARK
    reason = "refused"


class TooLarge(Refused):
    """The request as a whole is more than the server (or something before it) takes; less may do."""

    reason = "too_large"


class SessionLost(AssistError):
    """The server no longer has the upload we were sending: begin again."""

    remedy = Remedy.RETRY
    reason = "session_lost"


class Stale(AssistError):
    """The server knows a newer generation of this path."""

    remedy = Remedy.LOOK
    reason = "stale"

    def __init__(self, server_gen: int) -> None:
        super().__init__(f"the server has generation {server_gen}")
        self.server_gen = server_gen
