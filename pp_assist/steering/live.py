"""Which settings take effect while the daemon runs."""

from collections.abc import Iterator, Mapping
from typing import Any, TypeVar

from pydantic import BaseModel

Model = TypeVar("Model", bound=BaseModel)

LIVE = frozenset(
    {
        "checksum_calculator.parallel_workers",
        "log_level",
        "uploader.bandwidth_kib_per_second",
        "uploader.bandwidth_timetable",
        "uploader.parallel_uploads",
        "wait.battery_below_percent",
        "wait.metered",
    }
)


def changed(before: Mapping[str, Any], after: Mapping[str, Any]) -> set[str]:
    """Return the names of the settings that differ. Pure."""
    old, new = dict(_flat(before)), dict(_flat(after))
    return {name for name in old.keys() | new.keys() if old.get(name) != new.get(name)}


def merged(before: Model, after: Model, names: set[str]) -> Model:
    """Return *before* with the values that *names* have in *after*. Pure."""
    updates: dict[str, Any] = {}
    for name in names:
        section, _, key = name.partition(".")
        value = getattr(after, section)
        if key:
            part: BaseModel = updates.get(section, getattr(before, section))
            value = part.model_copy(update={key: getattr(value, key)})
        updates[section] = value
    return before.model_copy(update=updates)


def _flat(settings: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, value in settings.items():
        if isinstance(value, Mapping):
            yield from ((f"{section}.{key}", each) for key, each in value.items())
        else:
            yield section, value
