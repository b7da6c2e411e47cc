"""Our relation to the default server: is there one, does it work, does it know us?"""

import asyncio
import logging
import random
import secrets
from collections.abc import AsyncIterator, Callable
from contextlib import suppress

from pp_assist.clock import Clock
from pp_assist.core.breaker import Breaker
from pp_assist.core.capabilities import Capabilities
from pp_assist.core.compression import Compression
from pp_assist.core.errors import AssistError, HostShared, KeyChanged, NeedsLogin, ServerNonsense
from pp_assist.core.events import Event, Tell
from pp_assist.core.model import Server
from pp_assist.core.trust import Trust
from pp_assist.core.upload_rate import UploadRate
from pp_assist.http import Http
from pp_assist.steering.bandwidth import Bandwidth
from pp_assist.steering.holding import Holding
from pp_assist.store import generations, receipts, reconciling, versions
from pp_assist.store.db import Database
from pp_assist.store.servers import ServersTable
from pp_assist.uploader.client import Greeting, UploadClient
from pp_assist.uploader.plainly import Plainly
from pp_assist.uploader.settings import MOST_UPLOADS, UploaderSettings
from pp_assist.uploader.trial import Trial, tried
from pp_assist.uploader.way import Host, Way
from pp_server.wire.frames import ENCODING
from pp_server.wire.receipts import ReceiptKey

log = logging.getLogger(__name__)

NO_SERVER_POLL_S = 30.0
GREET_AGAIN_MS = 600_000
"""A server that was replaced by a newer one between two requests is noticed after this time at the latest."""
HOW_TO_ALLOW = "if that is as it should be, remove the server and add it again"

HttpFactory = Callable[[Server, "UploaderSettings", Bandwidth], Http]


def connect(server: Server, settings: UploaderSettings, bandwidth: Bandwidth) -> Http:
    """Return connections to *server*."""
    connections = MOST_UPLOADS * (settings.parallel_chunks + 2) + 4  # batches, deletions, a greeting; only as needed
    return Http(server.url, server.api_key, settings.timeout_seconds, connections, trust=server.trust, pace=bandwidth)


class ServerLink:
    """Hands out the `Way` when there is a server that works, and lets everybody wait while there is none.

    Server-wide trouble is settled here, so that no file has to pay for it. After trouble (and at first) the server is
    *greeted*: asked who it is, so that only its own receipts count; what it can do, so that it is asked for nothing
    else; which key signs its receipts, which must be the one that it showed us first; and for the highest generation it
    knows of this host, so that ours begin above it.
    """

    def __init__(
        self,
        db: Database,
        servers: ServersTable,
        host: Host,
        settings: UploaderSettings,
        clock: Clock,
        holding: Holding,
        bandwidth: Bandwidth,
        tell: Tell,
        http: HttpFactory = connect,
    ) -> None:
        self._db = db
        self._holding = holding
        self._bandwidth = bandwidth
        self._tell = tell
        self._run = secrets.token_hex(8)
        self.host_shared = asyncio.Event()
        """Set when another daemon turns out to be the same host, and to have been so before us."""
        self._servers = servers
        self._host = host
        self._settings = settings
        self._clock = clock
        self._http = http
        self._breaker = Breaker()
        self._one_at_a_time = asyncio.Lock()
        self._version = -1
        self._server: Server | None = None
        self._client: UploadClient | None = None
        self._way: Way | None = None
        self._rate = UploadRate()
        self._plainly = Plainly(clock)
        self._greeted = False
        self._greet_again_at_ms = 0
        self._server_id: str | None = None
        self._noted: tuple[int, str, str | None] | None = None
        self._begun: tuple[tuple[int, str], int] | None = None

    @property
    def reason(self) -> str | None:
        """Why nothing can be sent at this moment, as a stable word; None when all is well."""
        if self._holding.reason is not None:
            return self._holding.reason
        if self._server is None:
            return "no_server"
        return self._breaker.reason

    @property
    def plain_because(self) -> str | None:
        """Why nothing is compressed although it should be; None: that is not so."""
        return self._plainly.reason

    async def follow(self) -> AsyncIterator[None]:
        """Get to know the server at once, and each other one that takes its place; yield each time that is done.

        Without it, an uploader that has nothing to do would not notice that a new server has nothing yet.
        """
        while True:
            changed = self._servers.changed
            await self.ready()
            yield
            await changed.wait()

    @property
    def capabilities(self) -> Capabilities:
        """What the server announced when it was greeted last."""
        return self._way.capabilities if self._way else Capabilities()

    async def ready(self) -> Way:
        """Wait until there is a server that works and nobody wants us to wait, and return the way to it."""
        while True:
            await self._holding.allowed()
            async with self._one_at_a_time:
                await self._follow_default()
                wait_s = self._wait_s()
                if wait_s == 0 and not (self._greeted and self._clock.mono_ms() < self._greet_again_at_ms):
                    await self._greet()
                if self._greeted and self._way is not None:
                    return self._way
                changed = self._servers.changed
            with suppress(TimeoutError):
                async with asyncio.timeout(max(wait_s, 0.05)):
                    await changed.wait()

    async def try_server(self, url: str, api_key: str, trust: Trust) -> Trial:
        """Ask a server, known or not, whether uploads to it would work: see `trial`."""
        server = Server(0, "", url, None, api_key, False, 0, "ok", None, None, trust)
        http = self._http(server, self._settings, self._bandwidth)
        return await tried(UploadClient(http))

    def _wait_s(self) -> float:
        if self._client is None:
            return NO_SERVER_POLL_S
        return self._breaker.wait_ms(self._clock.mono_ms()) / 1000

    async def _follow_default(self) -> None:
        if self._version == self._servers.version:
            return
        version = self._servers.version
        server = await self._servers.default()
        if self._client is not None and server is not None and self._is_same(server):
            self._version = version
            return
        await self.close()
        self._version, self._server = version, server
        self._breaker.succeeded()
        self._rate, self._plainly = UploadRate(), Plainly(self._clock)
        self._greeted = False
        self._noted = None
        if self._server is not None:
            self._client = UploadClient(self._http(self._server, self._settings, self._bandwidth))

    def _is_same(self, server: Server) -> bool:
        """Say whether we are connected to *server* already: what is under way to it goes on."""
        known = self._server
        return known is not None and _way_to(known) == _way_to(server)

    async def _greet(self) -> None:
        client, server = self._client, self._server
        assert client is not None
        assert server is not None
        try:
            greeting = await client.greet()
            server_id, capabilities = greeting.server_id, greeting.capabilities
            key = await self._key(client, server, greeting)
            highest = await self._highest(client) if capabilities.can("hosts") else 0
        except AssistError as error:
            await self.failed(error)
            return
        async with self._db.transaction() as tx:
            if await generations.catch_up(tx, highest):
                log.warning("the server knows of later changes of this host than we do: comparing before deletions")
                await reconciling.doubt(tx)
            if capabilities.can("batch"):
                await versions.taken_now(tx, self._clock.now_ms())
            begins = (
                self._host.is_new and capabilities.can("hosts") and not (highest or await reconciling.ever_told(tx))
            )
            doubts = await reconciling.doubts(tx)
            if server_id not in (None, self._server_id):  # another one than last time: what it lacks, it gets
                await versions.disregard_receipts_of_others(tx, server_id, self._clock.now_ms())
        self._server_id = server_id
        compression = self._settings.compression if capabilities.can(ENCODING) else Compression.NEVER
        known = self._rate, compression, self._plainly, server.id, server_id or ""
        self._way = Way(client, self._host, capabilities, key, *known)
        if begins:
            self._begun = self._way.whose, doubts
        elif self._begun is not None and self._begun[0] != self._way.whose:
            self._begun = None
        self._greeted, self._greet_again_at_ms = True, self._clock.mono_ms() + GREET_AGAIN_MS
        await self.succeeded()

    def begun_with(self, way: Way) -> int | None:
        """Return how many doubts there were of our memory (`reconciling.doubts`) when the server of *way*, which knew
        nothing of this host, was told of the first file by this very run; None where that is not how it began.

        Unless there is a new one, our memory has all that this server has: there is nothing to compare.
        """
        return self._begun[1] if self._begun is not None and self._begun[0] == way.whose else None

    async def _highest(self, client: UploadClient) -> int:
        """Return the last generation the server knows of this host.

        Raises:
            HostShared: another daemon is this host, too.
        """
        host = await client.host(self._host.host_id, self._run)
        if host.shared:
            self.host_shared.set()
            raise HostShared("another daemon is the same host: a state directory was copied")
        return host.highest_gen

    async def _key(self, client: UploadClient, server: Server, greeting: Greeting) -> ReceiptKey | None:
        """Return the key that signs this server's receipts; None where it signs none, and never has.

        Raises:
            KeyChanged: it is not the key we know the server by. That is a person's to decide.
        """
        known = await receipts.trusted_key(self._db, greeting.server_id) if greeting.server_id else None
        if not greeting.capabilities.can("receipts"):
            if known is not None:
                raise KeyChanged("the server used to sign its receipts and no longer does; " + HOW_TO_ALLOW)
            return None
        shown = await client.receipt_key()
        if greeting.server_id is None:
            raise ServerNonsense("the server signs receipts, and does not say who it is")
        if known is None:
            log.info("server %s signs its receipts with key %s: trusted from now on", server.name, shown.key_id)
            async with self._db.transaction() as tx:
                await receipts.trust(tx, greeting.server_id, shown, server.id, self._clock.now_ms())
            await self._db.when_settings_change()
        elif shown != known:
            what = f"the server signs its receipts with key {shown.key_id}; we know it by {known.key_id}"
            raise KeyChanged(f"{what}; {HOW_TO_ALLOW}")
        return shown

    async def succeeded(self) -> None:
        """Note that the server did what it was asked."""
        self._breaker.succeeded()
        await self._note("ok", None, contact=True)

    async def failed(self, error: AssistError) -> None:
        """Note trouble that is the server's."""
        certain = error.server_wide or not self._greeted
        jitter = random.random()  # noqa: S311
        now_ms = self._clock.mono_ms()
        self._breaker.failed(now_ms, error.reason, jitter, certain, error.retry_after_s)
        if self._breaker.is_open:
            self._greeted = False
            state = "needs_login" if isinstance(error, NeedsLogin) else "unreachable"
            await self._note(state, error, contact=state == "needs_login")

    async def _note(self, state: str, error: AssistError | None, contact: bool) -> None:
        """Write down how the server stands and why, and then tell: once per change, not for every file."""
        why = error.reason if error else None
        if self._server is None or self._noted == (self._server.id, state, why):
            return
        self._noted = (self._server.id, state, why)
        reason = str(error) if error else None
        if state != "ok":
            log.warning("server %s is %s: %s", self._server.name, state, reason)
        else:
            log.info("server %s works", self._server.name)
        name = self._server.name
        await self._servers.note(self._server.id, state, reason, self._clock.now_ms() if contact else None)
        self._tell(Event.SERVER, message=reason, name=name, state=state)

    async def close(self) -> None:
        """Close the connections; `ready` makes new ones."""
        self._version = -1
        client, self._client, self._way = self._client, None, None
        if client is not None:
            await client.close()


def _way_to(server: Server) -> tuple[object, ...]:
    """Return all that decides how, and with whom, we speak."""
    return server.id, server.url, server.api_key, server.trust
