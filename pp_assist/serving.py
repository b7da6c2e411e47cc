"""What the local API may ask of a daemon, and whom it lets in: the wiring between the two."""

import asyncio
import os
from collections.abc import Callable, Sequence
from importlib.metadata import version
from typing import Any

from pp_assist import config_file, disk, folders
from pp_assist.api.callers import Doors
from pp_assist.api.services import Comparison, Lately, Pace, Saved, Services, Warned
from pp_assist.api.sessions import Sessions
from pp_assist.config_fields import fields
from pp_assist.core.explain import Sight
from pp_assist.core.identity import Identity
from pp_assist.core.model import Root
from pp_assist.core.trust import Trust
from pp_assist.daemon import Daemon, in_thread
from pp_assist.http import check_server_url, check_trust
from pp_assist.looks import Looks
from pp_assist.restore.fetch import target
from pp_assist.scanner.examine import examine
from pp_assist.settings import ApiSettings, ConfigError, Settings
from pp_assist.state import StateDirectory
from pp_assist.store.held import HeldDeletions
from pp_assist.store.hiding import Hidden, hidden_by
from pp_assist.store.report import Report
from pp_assist.supervisor import Supervisor
from pp_assist.uploader.trial import Trial
from pp_assist.uploader.verifying import Verifier

ANYBODY_MAY = "every program of this user may ask and steer the daemon: api.require_token is off"

SENT_PLAIN = "what is compressed does not arrive as it is sent (a proxy, perhaps), so it is sent as it is"


def services_of(
    daemon: Daemon,
    state: StateDirectory,
    config_path: str,
    stages: Supervisor,
    said: Sequence[Warned] = (),
    reload: Callable[[], Settings] | None = None,
    stop: Callable[[], None] = lambda: None,
) -> Services:
    """Return what the API may ask of the daemon; *said* is what a person should know of the time before.

    *reload* reads the settings anew from all their sources; without it, the configuration file is the only one.
    """
    clock, settings = daemon.clock, daemon.settings
    looks = Looks()
    hashed, uploaded = daemon.checksums.stats, daemon.uploader.stats

    async def resolve(path: bytes) -> tuple[bytes, Identity]:
        return await looks.look(disk.resolve, path)

    async def examine_path(root: Root, relative: bytes) -> Sight:
        return await in_thread(daemon.pools.walking, examine, root, daemon.recorder.rules(root), relative)

    def pace_of(active: int, rate: Any) -> Pace:
        return Pace(active, rate.total, rate.per_second(clock.mono_ms()))

    def check_server(url: str, trust: Trust) -> str:
        check_trust(url, trust)
        return check_server_url(url, settings.uploader.allow_http)

    async def try_server(url: str, api_key: str, trust: Trust) -> Trial:
        return await daemon.link.try_server(url, api_key, trust)

    def comparison() -> Comparison | None:
        now = daemon.reconciler.comparing
        return None if now is None else Comparison(now.root, now.read, now.of)

    def warnings() -> list[Warned]:
        rebuilt, trouble = daemon.memory.rebuilt, daemon.reconciler.trouble
        plain = daemon.link.plain_because
        open_to_all = None if settings.api.require_token else ANYBODY_MAY
        now = {
            "no_token_required": open_to_all,
            "database_rebuilt": rebuilt,
            "not_compared": None if trouble is None else str(trouble),
            "not_compressed": None if plain is None else f"{SENT_PLAIN}: {plain}",
        }
        return [*said, *(Warned(code, text) for code, text in now.items() if text)]

    async def excludes_changed() -> None:
        daemon.recorder.exclude(each.pattern for each in await daemon.excludes.all())
        daemon.scanner.request_scan()

    def count_hidden(pattern: str, root_id: int | None) -> Hidden:
        with daemon.db.reading() as conn:
            return hidden_by(conn, pattern, root_id)

    async def hidden(pattern: str, root_id: int | None) -> Hidden:
        return await in_thread(daemon.pools.walking, count_hidden, pattern, root_id)

    saving = asyncio.Lock()

    async def save_config(changes: dict[str, Any]) -> Saved:
        async with saving:  # each change is made to what the one before has left
            try:
                saved = await in_thread(daemon.pools.walking, config_file.save, config_path, state.path, changes)
                wanted = saved if reload is None else await in_thread(daemon.pools.walking, reload)
            except ConfigError as error:
                raise ValueError(str(error)) from error
            return Saved(saved.shown(), *daemon.apply(wanted))

    async def config_fields() -> list[dict[str, Any]]:
        def read() -> list[dict[str, Any]]:
            now = daemon.settings.shown()
            try:
                saved = now if reload is None else reload().shown()
            except ConfigError:  # somebody is writing the file
                saved = now
            return fields(now, saved)

        return await asyncio.to_thread(read)

    return Services(
        clock=clock,
        started_mono_ms=clock.mono_ms(),
        version=version("putplace-assist"),
        hostname=settings.hostname,
        report=Report(daemon.db),
        roots=daemon.roots,
        servers=daemon.servers,
        held=HeldDeletions(daemon.db, daemon.queues.deletion),
        excludes=daemon.excludes,
        excludes_changed=excludes_changed,
        hidden_by=hidden,
        scanner=daemon.scanner,
        ledger=daemon.scanner.ledger.entries,
        line=daemon.line,
        drop_folders=daemon.drop_folders,
        holding=daemon.holding,
        stop=stop,
        journal=daemon.journal,
        bus=daemon.bus,
        sessions=Sessions(state.host_id[:8], clock.mono_ms),
        busy_after_ms=int(settings.scanner.busy_after_seconds * 1000),
        hashing=lambda: pace_of(hashed.active_workers, hashed.processed),
        silent_changes=lambda: hashed.silent_changes,
        uploading=lambda: pace_of(uploaded.active_workers, uploaded.uploaded),
        bytes_sent=lambda: uploaded.bytes_sent,
        lately=lambda: Lately(
            hashed.processed.lately, uploaded.uploaded.lately, uploaded.sent_lately, uploaded.latencies
        ),
        upload_obstacle=lambda: daemon.link.reason,
        comparison=comparison,
        warnings=warnings,
        running=lambda: stages.running,
        resolve=resolve,
        examine=examine_path,
        rule_problems=daemon.recorder.rule_problems.of,
        own_paths=(os.fsencode(os.path.realpath(state.path)),),
        look=looks.look,
        folders=folders,
        fetches=daemon.fetches,
        fetch_target=target,
        check_server=check_server,
        try_server=try_server,
        verify=Verifier(daemon.db, daemon.queues, daemon.link, clock).verify,
        config=lambda: daemon.settings.shown(),  # noqa: PLW0108 - other settings may be in force by then
        config_fields=config_fields,
        config_file=config_path,
        save_config=save_config,
    )


def doors_of(services: Services, state: StateDirectory, settings: ApiSettings, port: Callable[[], int]) -> Doors:
    """Return who is let in to the local API that listens on *port*."""
    origins = frozenset(settings.allowed_origins)
    return Doors(state.token, port, services.sessions.cookie, services.sessions.knows, origins, settings.require_token)
