"""The same counts as /status and /stats, for Prometheus and whatever else reads its text format."""

from collections.abc import Iterator, Sequence
from typing import TYPE_CHECKING

from fastapi import APIRouter
from starlette.responses import Response

from pp_assist.api.services import Services
from pp_assist.api.standing import condition, how_it_stands
from pp_assist.core.model import FileState, Root, Stage, WorkState
from pp_assist.core.summary import State
from pp_assist.store.counting import Counts
from pp_server.wire.names import display

if TYPE_CHECKING:
    from prometheus_client import Metric

PREFIX = "putplace_assist_"


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/metrics")
    async def metrics() -> Response:
        from prometheus_client import CONTENT_TYPE_LATEST, CollectorRegistry, generate_latest  # only who asks needs it

        found = await _collected(services)

        class Found:
            def collect(self) -> Iterator["Metric"]:
                yield from found

        registry = CollectorRegistry(auto_describe=False)
        registry.register(Found())
        return Response(generate_latest(registry), media_type=CONTENT_TYPE_LATEST)

    return routes


async def _collected(services: Services) -> list["Metric"]:
    from prometheus_client.core import CounterMetricFamily, GaugeMetricFamily

    counts = await services.report.counts()
    roots = [root for root in await services.roots.all() if root.enabled]
    held = await services.held.all()
    facts, hashing, uploading = services.scanner.stats, services.hashing(), services.uploading()
    now_ms, obstacle = services.clock.now_ms(), services.upload_obstacle()

    def gauge(name: str, text: str, value: float) -> "Metric":
        return GaugeMetricFamily(PREFIX + name, text, value)

    def counter(name: str, text: str, value: float) -> "Metric":
        return CounterMetricFamily(PREFIX + name, text, value)

    files = GaugeMetricFamily(PREFIX + "files", "Files by where they stand.", labels=["status"])
    for state in FileState:
        files.add_metric([state], counts.files[state])
    queue = GaugeMetricFamily(PREFIX + "queue", "Rows of work by stage and state.", labels=["stage", "state"])
    oldest = GaugeMetricFamily(PREFIX + "queue_oldest_seconds", "Age of the oldest row of a stage.", labels=["stage"])
    for stage in Stage:
        for work_state in WorkState:
            queue.add_metric([stage, work_state], counts.work[stage, work_state])
        since_ms = counts.oldest(stage)
        oldest.add_metric([stage], 0 if since_ms is None else max(0, now_ms - since_ms) / 1000)
    paths = GaugeMetricFamily(PREFIX + "paths", "Watched folders by how they stand.", labels=["status"])
    standing = [condition(root, services)[0] for root in roots]
    for status in ("healthy", "behind", "polling", "unhealthy"):
        paths.add_metric([status], standing.count(status))
    running = GaugeMetricFamily(PREFIX + "component_up", "Whether a component works.", labels=["component"])
    for component, works in services.running().items():
        running.add_metric([component], works)
    stuck = GaugeMetricFamily(PREFIX + "upload_obstacle", "1 while nothing can be sent, and why.", labels=["reason"])
    if obstacle is not None:
        stuck.add_metric([obstacle], 1)
    build = GaugeMetricFamily(PREFIX + "build_info", "The version that runs.", labels=["version"])
    build.add_metric([services.version], 1)
    return [
        build, *await _as_a_whole(services, counts), *_ledger(services, roots),
        files, queue, oldest, paths, running, stuck,
        gauge("paused", "1 while a person holds everything back.", services.holding.pause is not None),
        gauge("uptime_seconds", "Time since the start.", (services.clock.mono_ms() - services.started_mono_ms) / 1000),
        gauge("held_deletions", "Deletions that wait for a person.", sum(each.count for each in held)),
        gauge("paths_to_compare", "Watched folders still to be compared.", await services.report.roots_to_compare()),
        counter("scans", "Scans that ended.", facts.scans_finished),
        counter("scanned_files", "Names that scans looked at.", facts.files_scanned),
        counter("announced_changes", "Changes that the system told of.", facts.announced_changes),
        counter("missed_changes", "Changes that only a scan found.", facts.missed_changes),
        counter("hashed_files", "Files hashed.", hashing.total),
        counter("silent_changes", "Files that changed with nothing saying so.", services.silent_changes()),
        counter("uploaded_files", "Files that the server confirmed.", uploading.total),
        counter("sent_bytes", "Bytes of contents sent.", services.bytes_sent()),
    ]  # fmt: skip


async def _as_a_whole(services: Services, counts: Counts) -> list["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    found = await how_it_stands(services, counts)
    state = GaugeMetricFamily(PREFIX + "state", "1 for how it stands as a whole.", labels=["state"])
    for each in State:
        state.add_metric([each], each is found.state)
    return [state]


def _ledger(services: Services, roots: Sequence[Root]) -> list["Metric"]:
    from prometheus_client.core import GaugeMetricFamily

    text = "Names of a watched folder by where they stand."
    names = GaugeMetricFamily(PREFIX + "ledger_names", text, labels=["path", "standing"])
    text = "Names that the last scan of a watched folder could not account for."
    differ = GaugeMetricFamily(PREFIX + "ledger_difference", text, labels=["path"])
    entries = services.ledger()
    for root in roots:
        if (entry := entries.get(root.id)) is None:
            continue
        for word in ("stored", "pending", "excluded", "unsupported", "missing"):
            names.add_metric([display(root.shown), word], getattr(entry.counted, word))
        if entry.tally is not None and entry.tally.difference is not None:
            differ.add_metric([display(root.shown)], entry.tally.difference)
    return [names, differ]
