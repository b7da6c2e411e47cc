"""The state machine, for as long as asked; or every seeded bug, until it is caught.

    python tests/machine/prove_machine.py walk --seed 1 --seconds 2400     (make prove-machine)
    python tests/machine/prove_machine.py model --seed 1                   (make prove-machine)
    python tests/machine/prove_machine.py bugs --seed 1 --seconds 600      (make prove-bugs)

Each adds a line to tests/evidence/machine.jsonl. A batch that fails prints its steps and its seed; `walk --seed N
--seconds 0` repeats just it.
"""

import argparse
import contextlib
import io
import json
import os
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import bugs
import machine
import protocol_model
from world import World, opened_world

BATCH = 50
MODEL_EXAMPLES = 20_000
MODEL_BATCH = 1_000
"""Hypothesis remembers all examples of a batch."""
SHM = "/dev/shm"
EVIDENCE = Path(__file__).parent.parent / "evidence" / "machine.jsonl"


@contextlib.contextmanager
def playground(bug: str | None = None) -> Iterator[World]:
    """A world for the machine, with a bug in it or without; in memory, where that can be had."""
    folder = SHM if os.access(SHM, os.W_OK) else None
    with tempfile.TemporaryDirectory(dir=folder) as name, opened_world(Path(name)) as world, bugs.present(bug):
        machine.use(world)
        try:
            yield world
        finally:
            machine.use(None)


def until_broken(
    bug: str | None, number: int, seconds: float = float("inf"), batch: int = BATCH, most: int = 1_000_000
) -> tuple[int, str | None]:
    """Try batches of examples until a promise is broken or it was tried enough: (examples, what was broken)."""
    began = time.monotonic()
    with playground(bug) as world:
        while True:
            broken = None
            with contextlib.redirect_stdout(io.StringIO()):
                try:
                    machine.walk(batch, number, shrink=False)
                except Exception as error:
                    broken = f"{type(error).__name__}: {error}"
            number += 1
            if broken is not None or time.monotonic() - began >= seconds or world.examples >= most:
                return world.examples, broken


def walk(options: argparse.Namespace) -> dict[str, Any]:
    """Examples of the true code, batch by batch."""
    began, number = time.monotonic(), options.seed
    failed: dict[int, str] = {}
    with playground() as world:
        while True:
            try:
                machine.walk(BATCH, number)
            except Exception as error:
                notes = getattr(error, "__notes__", ())  # the example
                print(f"seed {number}: {error!r}"[:2000], *notes, sep="\n", file=sys.stderr, flush=True)
                failed[number] = repr(error)[:200]
            number += 1
            if time.monotonic() - began >= options.seconds:
                break
        took_s = time.monotonic() - began
        return {
            "examples": world.examples,
            "steps": machine.STEPS,
            "rules": world.rules,
            "examples_per_s": round(world.examples / took_s, 2),
            "seconds": round(took_s),
            "first_seed": options.seed,
            "seeds": number - options.seed,
            "failed": failed,
        }


def model(options: argparse.Namespace) -> dict[str, Any]:
    """Examples of the protocol's model."""
    began = time.monotonic()
    for number in range(options.examples // MODEL_BATCH):
        protocol_model.walk(MODEL_BATCH, options.seed + number)
    took_s = time.monotonic() - began
    return {"examples": options.examples, "first_seed": options.seed, "seconds": round(took_s), "failed": []}


def seeded_bugs(options: argparse.Namespace) -> dict[str, Any]:
    """Every bug, until it is caught."""
    found: dict[str, Any] = {}
    missed = []
    for bug in options.bug or bugs.BUGS:
        began = time.monotonic()
        examples, broken = until_broken(bug, options.seed, options.seconds, batch=10)
        found[bug] = {"examples": examples, "seconds": round(time.monotonic() - began, 1), "as": (broken or "")[:120]}
        print(
            f"{bug:24} {found[bug]['seconds']:6} s  {examples:5} examples  {broken or 'NOT CAUGHT'}"[:200], flush=True
        )
        if broken is None:
            missed.append(bug)
    return {"first_seed": options.seed, "bugs": found, "failed": missed}


def _commit() -> str:
    told = subprocess.run(["git", "rev-parse", "--short", "HEAD"], capture_output=True, text=True, check=False)
    return told.stdout.strip()


def main() -> int:
    """1 if a promise was broken, or a bug was not found."""
    parser = argparse.ArgumentParser()
    parser.add_argument("what", choices=["walk", "model", "bugs"])
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=60.0)
    parser.add_argument("--examples", type=int, default=MODEL_EXAMPLES, help="of the model")
    parser.add_argument("--bug", action="append", choices=sorted(bugs.BUGS))
    options = parser.parse_args()
    result = {"date": datetime.now(UTC).isoformat(timespec="seconds"), "commit": _commit(), "what": options.what}
    result |= {"walk": walk, "model": model, "bugs": seeded_bugs}[options.what](options)
    print(json.dumps(result))
    with open(EVIDENCE, "a", encoding="utf-8") as evidence:
        evidence.write(json.dumps(result) + "\n")
    return 1 if result["failed"] else 0


if __name__ == "__main__":
    sys.exit(main())
