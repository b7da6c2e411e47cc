"""Longer proofs: `python -m tests.e2e.prove NAME --seed S --seconds BUDGET`. Each prints numbers, and adds one line of
JSON to tests/evidence/NAME.jsonl. Whatever is not as promised ends the proof with an error and the programs' logs.
"""

import argparse
import contextlib
import json
import os
import platform
import random
import signal
import subprocess
import sys
import sysconfig
import tempfile
import time
from collections import Counter
from collections.abc import Callable, Iterator
from dataclasses import asdict
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

from tests.e2e import bounds, churn, daemon_kills, listeners, no_deletions, storms
from tests.e2e.faultproxy import FaultProxy
from tests.e2e.harness import MIB, World, assert_server_equals_tree, regular_files, settled, world
from tests.e2e.mischief import WEATHER, Tenant, kill, kill_while_working, storm, victims, wait_for_progress
from tests.indexedcp.proving import upload_and_kill
from tests.oracle.watch import KILL_EVERY_S, watch_crowd
from tests.power import stracing
from tests.power.client_cutting import cut_clients
from tests.power.client_real import cut_real_client
from tests.power.cutting import cut_many
from tests.power.loopdisk import why_not
from tests.power.real import cut_real
from tests.scale import scale
from tests.sftp.dropped import dropped
from tests.sftp.proving import api_process, arrive_and_kill, fetch_large
from tests.sftp.sftp_servers import OpenSsh, Other, SftpServer, running

EVIDENCE = Path(__file__).parent.parent / "evidence"
RSS_LIMIT = 200 * MIB
SCALE_RSS_MIB = 300
LAG_MS = 100.0
LONGEST_STALL_S = 300.0
CHUNK_BYTES = 4 * MIB
CHUNKS_OF_ONE_FILE = 2
QUICK = {"PP_ASSIST_SCANNER__QUIET_SECONDS": "0.3", "PP_ASSIST_SCANNER__DELETE_GRACE_SECONDS": "0.3"}

Results = dict[str, Any]


class Budget:
    """The time a proof may take."""

    def __init__(self, seconds: float) -> None:
        self._began = time.monotonic()
        self._seconds = seconds

    @property
    def used(self) -> float:
        """Seconds since the beginning."""
        return round(time.monotonic() - self._began, 1)

    @property
    def left(self) -> float:
        """Seconds until the end; never quite none, so that a last look is taken."""
        return max(1.0, self._seconds - self.used)

    def spent(self, share: float) -> bool:
        """Say whether that share of the budget is used up."""
        return self.used > share * self._seconds


def say(text: str) -> None:
    """Tell whoever waits."""
    print(text, flush=True)


# -- kills


def prove_kills(options: argparse.Namespace, budget: Budget) -> Results:
    """Thousands of small files, written, edited, renamed and deleted, while either program is killed at random."""
    rng = random.Random(options.seed)
    with world(**QUICK) as made:
        made.begin()
        tenant = Tenant(made, options.seed)
        killed: Counter[str] = Counter()
        for number in range(options.rounds):
            if budget.spent(0.7):
                say(f"out of time after {number} rounds")
                break
            names = kill_while_working(made, tenant, rng, options.files // options.rounds, longest_s=2.0)
            killed["both" if "and" in names else names] += 1
            say(f"{budget.used:6.1f} s  round {number + 1}: killed {names}")
        count = made.finish(budget.left)
        seconds = budget.used
        made.daemon.restart()
        made.daemon.finish(made.tree, timeout_s=budget.left)
        return {
            "rounds": sum(killed.values()),
            "killed": dict(killed),
            "files_live": count,
            "seconds_until_equal": seconds,
            "sent_after_restart": made.daemon.bytes_sent,
            **_figures(made),
        }


def prove_daemon_kills(options: argparse.Namespace, budget: Budget) -> Results:
    """The daemon alone is killed by the hundred, at random and at hand-offs, while the tree never stops changing."""
    with tempfile.TemporaryDirectory(prefix="pp-e2e-") as folder:
        found = daemon_kills.kill_again_and_again(Path(folder), options.seed, options.kills, budget.left, say)
    assert found.sent_after_restart == 0, "sent again after a stop in good order"
    kills = sum(found.kills.values())
    most = kills * daemon_kills.CONNECTIONS * daemon_kills.CHUNK_BYTES
    assert found.wasted_bytes <= most, "more than one chunk per connection and kill was sent again"
    return {**asdict(found), "wasted_per_kill_bytes": found.wasted_bytes // kills, "seconds": budget.used}


# -- ledger


def prove_ledger(options: argparse.Namespace, budget: Budget) -> Results:
    """Everything changes at random, with faults; the ledger is asked all the time, and held against a count of ours."""
    with tempfile.TemporaryDirectory(prefix="pp-e2e-") as folder:
        found = churn.churn(Path(folder), options.seed, 0.9 * budget.left, say)
    return {**asdict(found), "seconds": budget.used}


# -- resume


def prove_resume(options: argparse.Namespace, budget: Budget) -> Results:
    """One large file, while either program is killed again and again: it goes on where it was, in little memory."""
    rng = random.Random(options.seed)
    size = options.mib * MIB + 12_345
    with FaultProxy() as proxy, world() as made:
        made.server.start()
        proxy.target = made.server.port
        _write_large(made.path("large"), size, rng)
        made.begin(proxy.url)
        step = size // (options.kills + 1)
        killed: Counter[str] = Counter()
        while sum(killed.values()) < options.kills and not budget.spent(0.8):
            if not wait_for_progress(made, rng.randrange(step // 3, step * 4 // 3), min(60, budget.left)):
                break
            killed[kill(victims(made, rng))] += 1
            say(f"{budget.used:6.1f} s  kill {sum(killed.values())}: {proxy.bytes_up / MIB:.0f} MiB on the wire")
        made.finish(budget.left)
        kills = sum(killed.values())
        counted, wire = _sent_again(made, size), proxy.bytes_up - size
        figures = _figures(made)
        results = {
            "size_bytes": size,
            "kills": kills,
            "killed": dict(killed),
            "seconds": budget.used,
            "whole_chunks_sent_again_bytes": counted,
            "more_on_the_wire_bytes": wire,
            "more_per_kill_mib": round(wire / MIB / max(1, kills), 2),
            **figures,
        }
        say(json.dumps(results))
        assert kills == options.kills, f"only {kills} kills"
        assert wire <= (kills * CHUNKS_OF_ONE_FILE + 1) * CHUNK_BYTES, "more than a chunk per connection and kill"
        for program in ("daemon", "server"):
            assert figures[f"{program}_peak_rss_mib"] * MIB < RSS_LIMIT, f"the {program} needs too much memory"
        return results


def _write_large(path: bytes, size: int, rng: random.Random) -> None:
    """Random bytes at random places, holes between: every chunk is another one, and the disk is not filled."""
    with open(path, "wb") as file:
        for offset in range(0, size, MIB):
            file.seek(offset + rng.randrange(MIB // 2))
            file.write(rng.randbytes(4096))
        file.truncate(size)


def _sent_again(made: World, size: int) -> int:
    stats = made.server.stats()
    return stats["bytes_received"] + stats["bytes_duplicate"] - size


# -- tree


def prove_tree(options: argparse.Namespace, budget: Budget) -> Results:
    """A real tree: every file listed, downloaded and compared; a second start sends nothing."""
    tree = os.path.realpath(options.tree or sysconfig.get_path("stdlib"))
    with world() as made:
        made.tree = os.fsencode(tree)
        files = list(regular_files(made.tree))
        total = sum(result.st_size for _, result in files)
        say(f"{len(files)} files, {total / MIB:.0f} MiB in {tree}")
        made.begin()
        settled(lambda: made.daemon.unfinished(made.tree), budget.left)
        stored_s = budget.used
        sent = made.daemon.bytes_sent
        say(f"{budget.used:6.1f} s  all have a receipt")
        count = assert_server_equals_tree(made.server, made.tree)
        say(f"{budget.used:6.1f} s  {count} files equal bit by bit")
        assert made.daemon.stop() == 0
        made.daemon.start()
        again_s = made.daemon.finish(made.tree, timeout_s=budget.left)
        assert made.daemon.bytes_sent == 0, f"{made.daemon.bytes_sent} bytes sent again"
        say(f"{budget.used:6.1f} s  a second start sent 0 bytes")
        unsupported = made.daemon.ask("GET", "/status")["files_unsupported"]
        return {
            "tree": os.path.basename(tree),
            "files": count,
            "bytes": total,
            "bytes_sent": sent,
            "unsupported": unsupported,
            "seconds_until_stored": stored_s,
            "files_per_second": round(count / stored_s),
            "second_start_sent": made.daemon.bytes_sent,
            "second_start_seconds": round(again_s, 1),
            "seconds": budget.used,
            **_figures(made),
        }


# -- outage


def prove_outage(options: argparse.Namespace, budget: Budget) -> Results:
    """A server that is away for a minute, and every other bad weather: nothing is lost, it goes on by itself."""
    impatient = {"PP_ASSIST_UPLOADER__TIMEOUT_SECONDS": "2"}
    with FaultProxy() as proxy, world(**QUICK, **impatient) as made:
        made.server.start()
        proxy.target = made.server.port
        made.begin(proxy.url)
        tenant = Tenant(made, options.seed)
        tenant.work(50)
        made.soon_equal(30)
        away = _away(made, tenant, options.outage)
        say(f"{budget.used:6.1f} s  server away for {options.outage} s: equal again after {away:.1f} s")
        storms = {}
        for name in WEATHER:
            if budget.spent(0.9):
                say("out of time")
                break
            found = storm(made, proxy, name, lambda: tenant.work(20), faults=4)
            storms[name] = {"faults": found.faults, "recovered_s": found.recovered_s}
            say(f"{budget.used:6.1f} s  {name}: {found.faults} faults, equal again after {found.recovered_s} s")
        assert made.daemon.pending() == {}
        return {"away_s": options.outage, "away_recovered_s": round(away, 1), "storms": storms, **_figures(made)}


def _away(made: World, tenant: Tenant, seconds: float) -> float:
    assert made.server.stop() == 0
    began = time.monotonic()
    while time.monotonic() < began + seconds:
        tenant.work(10)
        time.sleep(seconds / 10)
        if time.monotonic() > began + seconds / 2 and made.daemon.starts == 1:
            made.daemon.restart()
    made.server.start()
    return made.soon_equal(60)


# -- power


def prove_power(options: argparse.Namespace, budget: Budget) -> Results:
    """The power is cut at random moments, by the hundred: everything acknowledged is there afterwards. Root only."""
    if reason := why_not():
        raise SystemExit(f"not here: {reason}")
    share = 0.8 * budget.left
    many = cut_many(options.seed, options.cuts, share, say=say)
    real = cut_real(options.seed, max(1, options.cuts // 40), budget.left)
    say(f"{budget.used:6.1f} s  {real.cuts} cuts under a real process")
    return {"in_process": asdict(many), "real_process": asdict(real), "seconds": budget.used}


def prove_power_client(options: argparse.Namespace, budget: Budget) -> Results:
    """The same under the daemon's state and the tree it watches: what survives is stored, once. Root only."""
    if reason := why_not():
        raise SystemExit(f"not here: {reason}")
    real_cuts = max(1, options.cuts // 10)
    many = cut_clients(options.seed, options.cuts - real_cuts, 0.75 * budget.left, say=say)
    real = cut_real_client(options.seed, real_cuts, budget.left)
    say(f"{budget.used:6.1f} s  {real.cuts} cuts under a real process")
    return {"in_process": asdict(many), "real_process": asdict(real), "seconds": budget.used}


# -- strace


def prove_strace(options: argparse.Namespace, budget: Budget) -> Results:
    """The server dies at, or is refused, every single call that makes things durable. Needs strace and root."""
    if reason := stracing.why_not():
        raise SystemExit(f"not here: {reason}")
    with tempfile.TemporaryDirectory(prefix="pp-strace-") as folder:
        found = stracing.strike_everywhere(Path(folder), options.seed, budget.left, say=say)
    return {**asdict(found), "seconds": budget.used}


# -- oracle


def prove_oracle(options: argparse.Namespace, budget: Budget) -> Results:
    """Dozens of customers, a server that is killed now and then, and at the end everything is read back."""
    with tempfile.TemporaryDirectory(prefix="pp-oracle-") as folder:
        kills = max(1, int(0.5 * budget.left / KILL_EVERY_S))
        found = watch_crowd(Path(folder), options.seed, options.clients, kills, say=say)
    return {**asdict(found), "seconds": budget.used}


# -- bounds


def prove_bounds(options: argparse.Namespace, budget: Budget) -> Results:
    """An honest client among 1,400 that mean no good, and more bodies at a time than there is memory for."""
    with world() as made:
        made.server.start()
        results = bounds.measure(made.server, min(20.0, budget.left / 6), 1000, 200, 200, parallel=200)
        say(json.dumps(results))
        assert results["ratio"] > 0.5, "the crowd takes more than half of it"
        assert results["rss_peak_mib"] < results["rss_before_mib"] + 256 + 128, "more memory than the budget allows"
        return {"seconds": budget.used, **results, "log_lines": len(made.server.log_lines())}


# -- no deletions


def prove_no_deletions(options: argparse.Namespace, budget: Budget) -> Results:
    """Files out of sight by the hundred (unmounted, moved, locked, unreadable), and not one deletion told of them."""
    with tempfile.TemporaryDirectory(prefix="pp-e2e-") as folder:
        found = no_deletions.try_again_and_again(Path(folder), options.seed, options.trials, 0.9 * budget.left, say)
    return {"seconds": budget.used, **{name: asdict(each) for name, each in found.items()}}


# -- storms


def prove_storms(options: argparse.Namespace, budget: Budget) -> Results:
    """Bursts of 50,000 files that come and go, folders made and removed by several, renames, trees moved in and out."""
    with tempfile.TemporaryDirectory(prefix="pp-e2e-") as folder, scale.in_memory(Path(folder) / "memory") as memory:
        found = storms.weather(memory, options.burst, budget.left, say)
    said = {name: sorted(storm.said) for name, storm in found.items()}
    return {"seconds": budget.used, **{name: asdict(storm) | {"said": said[name]} for name, storm in found.items()}}


# -- listeners


def prove_listeners(options: argparse.Namespace, budget: Budget) -> Results:
    """Sixteen listen, one of them never reads: nothing is missed by the others, whether cut or not, nor told twice."""
    with tempfile.TemporaryDirectory(prefix="pp-e2e-") as folder:
        found = listeners.listen(Path(folder), options.events, options.rate, LONGEST_STALL_S, say=say)
    assert found.stalled_cut_after_s is not None, "who never reads is kept for ever"
    assert found.rss_peak_mib < found.rss_before_mib + 64, "memory grows with what is not read"
    return {"seconds": budget.used, **asdict(found)}


# -- scale


def prove_scale(options: argparse.Namespace, budget: Budget) -> Results:
    """A tree of FILES, one folder of 100,000, a burst of 50,000, losing many: memory, and how long others wait."""
    results = scale.measure(options.files, 100_000, 50_000, budget.left, say)
    say(json.dumps({key: value for key, value in results.items() if key != "phases"}))
    assert results["peak_rss_mib"] < SCALE_RSS_MIB, "more memory than it may need"
    assert results["worst_loop_computing_p99_ms"] < LAG_MS, "the loop computes too long at a time"
    if results["load_average"] <= (os.cpu_count() or 1):  # else it is others who keep it waiting
        assert results["worst_loop_lag_p99_ms"] < LAG_MS, "whoever asks waits too long"
    return {"seconds": budget.used, **results}


# -- sftp


def prove_sftp(options: argparse.Namespace, budget: Budget) -> Results:
    """PDFs arrive by SFTP while daemon, SFTP server and API are killed; then a file of 1 GiB, and the daemon killed."""
    results: Results = {}
    kinds: tuple[type[SftpServer], ...] = (OpenSsh, Other)
    for number, kind in enumerate(kinds):
        with tempfile.TemporaryDirectory(prefix="pp-sftp-") as folder:
            place = Path(folder)
            with running(kind(place / "sftp")) as server, dropped(server) as drops, api_process(place) as api:
                seconds = budget.left / (len(kinds) + 1 - number)
                found = arrive_and_kill(drops, api, options.seed, options.files, options.rounds, seconds, say)
                results[kind.__name__] = asdict(found)
    temporary = tempfile.TemporaryDirectory(prefix="pp-sftp-")
    with temporary as folder, running(OpenSsh(Path(folder) / "sftp")) as server, dropped(server) as drops:
        results["large"] = fetch_large(drops, 1024, budget.left)
    return {"seconds": budget.used, **results}


# -- indexedcp


def prove_indexedcp(options: argparse.Namespace, budget: Budget) -> Results:
    """An upload by IndexedCP while client and server are killed: right, and a chunk per kill is sent again at most."""
    with tempfile.TemporaryDirectory(prefix="pp-indexedcp-") as folder, contextlib.chdir(folder):
        found = upload_and_kill(Path(folder), options.mib, MIB, options.kills, options.seed, budget.left)
    return {"mib": options.mib, **asdict(found), "seconds": budget.used}


# -- all of them


def _figures(made: World) -> Results:
    """What is worth knowing after any proof. Tracebacks in the logs are failures: killed programs cannot write any."""
    for program in (made.daemon, made.server):
        program.note_rss()
    lines = [line for program in (made.daemon, made.server) for line in program.log_lines()]
    bad = [line for line in lines if "Traceback" in line or " ERROR " in line]
    assert not bad, "\n".join(bad[:10])
    return {
        "daemon_peak_rss_mib": round(made.daemon.peak_rss_bytes / MIB),
        "server_peak_rss_mib": round(made.server.peak_rss_bytes / MIB),
        "log_lines": len(lines),
        "stats": made.server.stats(),
    }


PROOFS: dict[str, Callable[[argparse.Namespace, Budget], Results]] = {
    "kills": prove_kills,
    "daemon-kills": prove_daemon_kills,
    "ledger": prove_ledger,
    "resume": prove_resume,
    "tree": prove_tree,
    "outage": prove_outage,
    "bounds": prove_bounds,
    "power": prove_power,
    "power-client": prove_power_client,
    "strace": prove_strace,
    "oracle": prove_oracle,
    "scale": prove_scale,
    "no-deletions": prove_no_deletions,
    "storms": prove_storms,
    "listeners": prove_listeners,
    "sftp": prove_sftp,
    "indexedcp": prove_indexedcp,
}


def revision() -> str:
    """Return the commit that is proven, with a + if more than that is in the tree."""
    command = ["git", "describe", "--always", "--dirty=+", "--abbrev=12", "--exclude=*"]
    with contextlib.suppress(OSError):
        return subprocess.run(command, capture_output=True, text=True, check=False, cwd=EVIDENCE.parent).stdout.strip()
    return "unknown"


@contextlib.contextmanager
def evidence(name: str, options: argparse.Namespace) -> Iterator[Results]:
    """Yield what to fill with results, and write it down, whether the proof held or not."""
    results: Results = {}
    entry = {
        "date": datetime.now(UTC).isoformat(timespec="seconds"),
        "revision": revision(),
        "python": platform.python_version(),
        "cpus": os.cpu_count(),
        "parameters": {key: value for key, value in vars(options).items() if key not in ("name", "tree")},
    }
    held = False
    try:
        yield results
        held = True
    finally:
        EVIDENCE.mkdir(exist_ok=True)
        with open(EVIDENCE / f"{name}.jsonl", "a") as file:
            file.write(json.dumps({**entry, "held": held, "results": results}) + "\n")


def main() -> int:
    """Run one proof."""
    parser = argparse.ArgumentParser(prog="python -m tests.e2e.prove", description=__doc__)
    parser.add_argument("name", choices=PROOFS)
    parser.add_argument("--seed", type=int, default=1)
    parser.add_argument("--seconds", type=float, default=600, help="time budget")
    parser.add_argument("--files", type=int, default=2000, help="kills: files written; scale: files in the tree")
    parser.add_argument("--rounds", type=int, default=30, help="kills: how often somebody is killed")
    parser.add_argument("--mib", type=int, default=3072, help="resume: size of the file")
    parser.add_argument("--kills", type=int, default=20, help="resume, daemon-kills: how often somebody is killed")
    parser.add_argument("--tree", default="", help="tree: what to upload (default: Python's standard library)")
    parser.add_argument("--cuts", type=int, default=1000, help="power: how often it is cut")
    parser.add_argument("--clients", type=int, default=50, help="oracle: customers at the same time")
    parser.add_argument("--trials", type=int, default=600, help="no-deletions: how often files get out of sight")
    parser.add_argument("--burst", type=int, default=50_000, help="storms: files that come and go")
    parser.add_argument("--events", type=int, default=50_000, help="listeners: events that are told")
    parser.add_argument("--rate", type=float, default=1000, help="listeners: events a second")
    parser.add_argument("--outage", type=float, default=60, help="outage: seconds the server is away")
    options = parser.parse_args()
    signal.signal(signal.SIGTERM, lambda *_: sys.exit(143))  # so that everything is stopped and removed
    with evidence(options.name, options) as results:
        results |= PROOFS[options.name](options, Budget(options.seconds))
        say(json.dumps(results, indent=2))
    return 0


if __name__ == "__main__":
    sys.exit(main())
