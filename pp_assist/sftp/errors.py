"""What can go wrong with an SFTP server, by what is to be done about it."""

from pp_assist.core.errors import AssistError, Remedy


class SftpError(AssistError):
    """Base of these errors."""

    remedy = Remedy.WAIT
    reason = "sftp_failed"


class ExtraMissing(SftpError):
    """What speaks SFTP is not installed."""

    remedy = Remedy.PARK
    reason = "sftp_not_installed"


class SftpUnreachable(SftpError):
    """No connection, or it broke."""

    reason = "sftp_unreachable"


class HostKeyRefused(SftpError):
    """The server shows a key that is not to be believed. Neither password nor signature was sent."""

    remedy = Remedy.LOGIN
    reason = "host_key_refused"


class HostKeyUnknown(HostKeyRefused):
    """Nobody has said yet which key the server has."""

    reason = "host_key_unknown"


class LoginRefused(SftpError):
    """The server does not let this user in."""

    remedy = Remedy.LOGIN
    reason = "sftp_login_refused"


class RemoteChanged(SftpError):
    """The file is not the one that was listed: look again."""

    remedy = Remedy.LOOK
    reason = "changed"


class RemoteRefused(SftpError):
    """The server refuses what was asked, of this very file."""

    remedy = Remedy.RETRY
    reason = "sftp_refused"


class TooManyNames(SftpError):
    """A folder has more in it than fits into memory."""

    reason = "sftp_too_many_names"


class Stopped(Exception):
    """Nobody wants any more what is being done."""
