"""What around the machine speaks against work just now: a battery that runs low, a line paid by the byte. Pure."""

from collections.abc import Iterable
from typing import NamedTuple

ON_BATTERY = "on_battery"
METERED = "metered"


class Supply(NamedTuple):
    """One power supply, as Linux lists it: the words of its files, without the line break."""

    type: str
    """Mains, USB, Battery, UPS, …"""
    online: str = ""
    status: str = ""
    """Of a battery: Charging, Discharging, Full, Not charging."""
    capacity: str = ""
    """Of a battery: percent."""
    scope: str = ""
    """Device: it feeds a mouse or the like, and not the machine."""


def battery_percent(supplies: Iterable[Supply]) -> int | None:
    """Return how full the batteries are that the machine runs on; None: it runs on none, as far as is known."""
    ours = [supply for supply in supplies if supply.scope != "Device"]
    if any(supply.online == "1" for supply in ours if supply.type != "Battery"):
        return None
    levels = [
        int(supply.capacity)
        for supply in ours
        if supply.type == "Battery" and supply.status == "Discharging" and supply.capacity.isascii()
        and supply.capacity.isdecimal()
    ]  # fmt: skip
    return sum(levels) // len(levels) if levels else None


def is_metered(answer: str) -> bool:
    """Say whether a line is paid by the byte, by what `nmcli -g GENERAL.METERED,GENERAL.STATE device show` answers.

    The devices follow each other, two lines each and an empty one: a guess of NetworkManager counts as its word.
    """
    for device in answer.split("\n\n"):
        metered, _, state = device.strip().partition("\n")
        if metered.startswith("yes") and state.startswith("100 "):  # connected
            return True
    return False
