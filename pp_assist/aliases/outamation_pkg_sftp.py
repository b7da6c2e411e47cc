"""The old import name of the SFTP service: `from outamation_pkg_sftp import SftpService` finds what it always found."""

from pp_assist.sftp import *  # noqa: F403
from pp_assist.sftp import __all__ as _all

__all__ = [*_all]  # noqa: PLE0604
