"""What can be set, for a form: each setting with its type, its bounds, its unit, and what it is now."""

from collections.abc import Iterator, Mapping
from typing import Any

from pp_assist.settings import PREFIX, Settings, variables_set
from pp_assist.steering.live import LIVE

_UNITS = {"_kib_per_second": "KiB/s", "_seconds": "seconds", "_mb": "MiB", "_percent": "%", "_days": "days"}
_UNITS |= {"_mib": "MiB", "scan_interval": "seconds", "shutdown_timeout": "seconds"}
"""By how a name ends."""

NOT_HERE = frozenset({"state_dir"})
"""Said on the command line."""


def fields(
    now: Mapping[str, Any],
    saved: Mapping[str, Any],
    environment: Mapping[str, str] | None = None,
    dotenv_file: str = ".env",
) -> list[dict[str, Any]]:
    """Return every setting: *now* is what is in force, *saved* what the next start will find.

    *environment* and *dotenv_file* are where variables come from, as for `load_settings`.
    """
    schema = Settings.model_json_schema()
    variables = variables_set(environment, dotenv_file)
    found = []
    for name, about in _leaves(schema, schema):
        section, _, key = name.partition(".")
        bounds = [about, *about.get("anyOf", [])]
        value, later = (each[section][key] if key else each[section] for each in (now, saved))
        found.append(
            {
                "name": name,
                "type": _type(about),
                "description": about.get("description", ""),
                "unit": next((unit for end, unit in _UNITS.items() if name.endswith(end)), None),
                "default": about.get("default"),
                "value": value,
                "saved": later,
                "minimum": _first(bounds, "minimum", "exclusiveMinimum"),
                "maximum": _first(bounds, "maximum", "exclusiveMaximum"),
                "choices": about.get("enum"),
                "at_once": name in LIVE,
                "from_environment": PREFIX + name.replace(".", "__").upper() in variables,
            }
        )
    return found


def _leaves(schema: Mapping[str, Any], whole: Mapping[str, Any], above: str = "") -> Iterator[tuple[str, Any]]:
    for name, about in schema["properties"].items():
        resolved = _resolved(about, whole)
        if "properties" in resolved:
            yield from _leaves(resolved, whole, f"{name}.")
        elif above + name not in NOT_HERE:
            yield above + name, resolved


def _resolved(about: Mapping[str, Any], whole: Mapping[str, Any]) -> dict[str, Any]:
    """Return *about* with what it refers to in place; what it says itself wins."""
    reference = about.get("$ref") or next((each["$ref"] for each in about.get("allOf", []) if "$ref" in each), None)
    target = whole["$defs"][reference.rpartition("/")[2]] if reference else {}
    return {**target, **about}


def _type(about: Mapping[str, Any]) -> str:
    kind = about.get("type", "string")
    return "list" if kind == "array" else str(kind)


def _first(places: list[Any], *names: str) -> Any:
    return next((place[name] for place in places for name in names if name in place), None)
