"""Looks at the battery and the line now and then, where a person wants work to wait for better ones. Linux only."""

import asyncio
import logging
import os
import subprocess

from pp_assist.core.surroundings import METERED, ON_BATTERY, Supply, battery_percent, is_metered
from pp_assist.steering.holding import Holding
from pp_assist.steering.settings import WaitSettings

log = logging.getLogger(__name__)

LOOK_EVERY_S = 15.0
POWER_SUPPLIES = "/sys/class/power_supply"
ASK_NETWORK = ("nmcli", "-g", "GENERAL.METERED,GENERAL.STATE", "device", "show")
ANSWER_S = 10.0


class Surroundings:
    """The component."""

    name = "surroundings"

    def __init__(self, holding: Holding, settings: WaitSettings, supplies: str = POWER_SUPPLIES) -> None:
        self._holding = holding
        self._settings = settings
        self._supplies = supplies
        self._changed = asyncio.Event()

    def set(self, settings: WaitSettings) -> None:
        """Let other settings hold from now on."""
        self._settings = settings
        self._changed.set()

    async def run(self) -> None:
        """Look until cancelled. While nothing is wanted, nothing is looked at."""
        while True:
            self._changed.clear()
            wanted = self._settings
            self._holding.outside(await asyncio.to_thread(self._reason, wanted))
            try:
                async with asyncio.timeout(LOOK_EVERY_S if wanted.battery_below_percent or wanted.metered else None):
                    await self._changed.wait()
            except TimeoutError:
                continue

    def _reason(self, wanted: WaitSettings) -> str | None:
        if wanted.battery_below_percent:
            percent = battery_percent(supplies(self._supplies))
            if percent is not None and percent < wanted.battery_below_percent:
                return ON_BATTERY
        return METERED if wanted.metered and is_metered(_network()) else None


def supplies(folder: str) -> list[Supply]:
    """Return the power supplies that Linux lists; none where it lists none. Blocking."""
    try:
        names = os.listdir(folder)
    except OSError:
        return []
    return [Supply(*(_word(os.path.join(folder, name, field)) for field in Supply._fields)) for name in names]


def _word(path: str) -> str:
    try:
        with open(path, encoding="ascii", errors="replace") as file:
            return file.read(100).strip()
    except OSError:
        return ""


def _network() -> str:
    """Return what NetworkManager says of the lines; nothing where there is none. Blocking."""
    try:
        done = subprocess.run(  # noqa: S603 - a constant
            ASK_NETWORK, capture_output=True, text=True, timeout=ANSWER_S, check=False, env=os.environ | {"LC_ALL": "C"}
        )
    except (OSError, subprocess.SubprocessError):
        return ""
    return done.stdout
