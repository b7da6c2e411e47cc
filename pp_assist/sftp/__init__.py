"""SFTP: a service to embed (`SftpService`), and drop folders that the daemon watches. paramiko is the extra `sftp`."""

from pp_assist.sftp.errors import SftpError
from pp_assist.sftp.service import SftpService
from pp_assist.sftp.signing import NotGenuine, sign, verify

__all__ = ["NotGenuine", "SftpError", "SftpService", "sign", "verify"]
