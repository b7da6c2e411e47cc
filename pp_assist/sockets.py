"""Whose the other end of a connection on this machine is. Linux tells; elsewhere nobody is asked."""

import ipaddress
import os
import struct
import sys

Address = tuple[str, int]


def is_our_socket(client: Address, server: Address) -> bool:
    """Say whether the socket *client* of a connection to our *server* belongs to the user that we run as.

    Where the system does not tell (other systems than Linux), it counts as ours; where it should and does not, it does
    not.
    """
    return sys.platform != "linux" or owner_of(client, server) == os.getuid()


def owner_of(client: Address, server: Address) -> int | None:
    """Return the user id that owns the socket *client* of a TCP connection to *server*; None: there is none."""
    wanted = _hexadecimal(*client), _hexadecimal(*server)
    table = "/proc/net/tcp6" if ":" in client[0] else "/proc/net/tcp"
    with open(table, encoding="ascii") as lines:
        next(lines)
        for line in lines:
            fields = line.split()
            if (fields[1], fields[2]) == wanted:
                return int(fields[7])
    return None


def _hexadecimal(address: str, port: int) -> str:
    """Return an address as the tables have it: words of 32 bits, each as a number of this machine."""
    packed = ipaddress.ip_address(address).packed
    words = struct.unpack(f"={len(packed) // 4}I", packed)
    return "".join(f"{word:08X}" for word in words) + f":{port:04X}"
