"""Many customers at a real server process that is killed, or loses its disk, again and again.

Time is divided into eras: everybody works until the server goes away, it comes back, everybody finishes what was
interrupted and works on. Answers that come in once the server was told to die are not heard.
"""

import asyncio
import random
from collections.abc import Callable

import httpx

from tests.e2e.harness import Server
from tests.oracle.customer import Customer, Lost, Taste, verify
from tests.oracle.oracle import Fact, Oracle

ANSWER_S = 60.0


class Crowd:
    """*count* customers, each a host of its own."""

    def __init__(self, server: Server, oracle: Oracle, count: int, seed: int, taste: Taste | None = None) -> None:
        self._server = server
        self._oracle = oracle
        self._count = count
        self._seed = seed
        self._taste = taste or Taste()
        self._over = False
        self._excused = False
        self.eras = 0

    async def era(
        self, seconds: float, end: Callable[[], None] | None = None, look_at: list[Fact] | None = None
    ) -> None:
        """Finish, work for so long, and then have *end* take the server away; without it everybody comes to an end.

        Raises:
            Broken: the server did not keep a promise.
        """
        self.eras += 1
        self._over = self._excused = False
        async with self._speaking() as http:
            if look_at is not None:
                await verify(http, self._oracle, look_at)
            working = asyncio.gather(*(self._work(http, n) for n in range(self._count)), return_exceptions=True)
            await asyncio.wait((working,), timeout=seconds)
            self._over = True
            if end is not None and not working.done():
                self._excused = True
                end()
            for outcome in await working:
                if isinstance(outcome, BaseException) and not isinstance(outcome, Lost):
                    raise outcome

    async def _work(self, http: httpx.AsyncClient, number: int) -> None:
        rng = random.Random(f"{self._seed}/{self.eras}/{number}")
        customer = Customer(http, self._oracle, f"host-{number}", rng, lambda: self._excused, self._taste)
        await customer.finish()
        while not self._over:
            await customer.act()

    async def verify(self, contents_of: list[Fact] | None = None) -> int:
        """Compare what is there with the oracle; return how many contents were read."""
        async with self._speaking() as http:
            return await verify(http, self._oracle, contents_of)

    def _speaking(self) -> httpx.AsyncClient:
        return httpx.AsyncClient(
            base_url=self._server.url,
            headers={"Authorization": f"Bearer {self._server.key}"},
            timeout=ANSWER_S,
            event_hooks={"response": [self._hear]},
            limits=httpx.Limits(max_connections=self._count + 4, max_keepalive_connections=self._count + 4),
            trust_env=False,
        )

    async def _hear(self, _: httpx.Response) -> None:
        """An answer given while the disk was already on its way out proves nothing (see `Knife.sharpened`)."""
        if self._excused:
            raise Lost
