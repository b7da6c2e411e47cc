"""Bounds on what a connection may do: the parser below has none of its own, and an application comes too late.

Everything a client can be slow at is judged here, at one place, for all routes: the head of a request, its body, the
taking of our answer, and the time between two requests. What is waited for because of us is never held against it.
"""

import asyncio
import socket
from contextlib import suppress
from functools import partial
from typing import Any

from uvicorn.config import Config
from uvicorn.protocols.http.flow_control import FlowControl
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from pp_server.bounds.connections import ConnectionLimits, Connections
from pp_server.bounds.pace import Pace
from pp_server.bounds.refusals import Refusal, malformed, overloaded, stalled

MAX_HEAD_BYTES = 64 * 1024
"""URL and headers of one request, trailers included."""

MAX_REST_BYTES = 64 << 20
"""So much of a body is still taken (and thrown away) after its request was answered, for the client to see it."""

ADMITTED = "admitted"
"""In the state of a request, for an application that lets strangers have no place: to call once it knows who asks."""

UNSENT_BYTES = 128 * 1024
"""Of an answer, in the kernel: more would only hide whether the client takes any of it, and fill memory."""


class _Flow(FlowControl):
    """uvicorn's flow control; it tells when we read and when we do not."""

    def __init__(self, transport: asyncio.Transport, owner: "BoundedHttp") -> None:
        super().__init__(transport)
        self._owner = owner

    def pause_reading(self) -> None:
        super().pause_reading()
        self._owner.reading(False)

    def resume_reading(self) -> None:
        super().resume_reading()
        self._owner.reading(True)


class BoundedHttp(HttpToolsProtocol):
    """uvicorn's protocol; whoever is too much, too large or too slow is ended."""

    def __init__(
        self,
        config: Config,
        server_state: ServerState,
        app_state: dict[str, Any],
        connections: Connections,
        _loop: asyncio.AbstractEventLoop | None = None,
    ) -> None:
        super().__init__(config, server_state, app_state, _loop)
        self._neighbours = connections
        self._limits = connections.limits
        self.address: str | None = None
        self._refused = False
        self._head_bytes = 0
        self._unparsed_bytes = 0
        """Received since the parser last had something to tell."""
        self._in_head = False
        self._deadline: float | None = None
        """For what is expected next, apart from bodies."""
        self._was_answered = False
        """A request was, whose body is not whole yet."""
        self._rest_bytes = 0
        self._body: Pace | None = None
        self._answer: Pace | None = None
        self._unsent_bytes = 0
        self._last_moment: float | None = None
        """The server is being stopped."""

    # connections

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]
        """Begin to wait for a request, or refuse."""
        super().connection_made(transport)
        self.flow = _Flow(transport, self)
        self.address = self.client[0] if self.client else None
        _keep_little_unsent(transport)
        if self._neighbours.admit(self, self.loop):
            self._expect(self._limits.head_seconds)
            self._neighbours.waits(self)
        else:
            self._refused = True
            self._expect(self._limits.tick_seconds)  # closed at once, it might not read why
            self.transport.write(overloaded("The server has no place for another connection").raw())

    def connection_lost(self, exc: Exception | None) -> None:
        """Give the place back."""
        self._neighbours.remove(self)
        self._body = self._answer = None
        super().connection_lost(exc)

    def cut(self) -> None:
        """End at once, without sending what is left."""
        self.transport.abort()

    def end(self, refusal: Refusal) -> None:
        """Answer with *refusal*, if nothing was answered yet, and close."""
        if self.transport.is_closing():
            return
        cycle = self.cycle
        if cycle is None or cycle.response_complete or not cycle.response_started:
            is_ours = cycle is not None and not cycle.response_complete
            self.transport.write(refusal.raw(str(cycle.scope.get("request_id", "")) if is_ours else ""))
            self.transport.close()
        else:
            self.transport.abort()  # an answer is under way: only cutting it tells the client

    def shutdown(self) -> None:
        """The server is being stopped: what runs gets the time for that, less what we need to end it in good order."""
        super().shutdown()
        seconds = (self.config.timeout_graceful_shutdown or 0) - 2 * self._limits.tick_seconds
        self._last_moment = self.loop.time() + max(0.0, seconds)

    def judge(self, now: float) -> None:
        """End if a deadline has passed."""
        if self.transport.is_closing() and self._answer is None:
            self._watch_answer()  # closed connections end once the client has taken what is left, or does not
        if self._answer is not None and self._is_taken_too_slowly(self._answer, now):
            self.transport.abort()
        elif self.transport.is_closing():
            return
        elif self._deadline is not None and now > self._deadline:
            if self.flow.read_paused:
                self._expect(self._limits.head_seconds)  # the rest of it may be there: we have not looked
            else:
                self.transport.close()
        elif self._last_moment is not None and now > self._last_moment:
            self.end(overloaded("The server is being stopped"))
        elif self._body is not None and self._body.is_too_slow(now):
            self.end(stalled(self._limits.min_rate_bytes))

    def _watch_answer(self) -> None:
        self._unsent_bytes = self.transport.get_write_buffer_size()
        self._answer = Pace(self._limits.min_rate_bytes, self._limits.answer_window_seconds)
        self._answer.run(self.loop.time())

    def _is_taken_too_slowly(self, answer: Pace, now: float) -> bool:
        unsent_bytes = self.transport.get_write_buffer_size()
        answer.add(self._unsent_bytes - unsent_bytes, now)
        self._unsent_bytes = unsent_bytes
        return answer.is_too_slow(now)

    # what the transport tells

    def data_received(self, data: bytes) -> None:
        """Parse; what the parser keeps to itself must stay small."""
        if self._refused:
            return
        self._unparsed_bytes += len(data)
        super().data_received(data)
        if self._unparsed_bytes > MAX_HEAD_BYTES and not self.transport.is_closing():
            self.send_400_response("The head of the request is too large.")

    def pause_writing(self) -> None:
        """The client does not take our answer as fast as we have it."""
        super().pause_writing()
        self._watch_answer()

    def resume_writing(self) -> None:
        """It has taken most of what we had."""
        self._answer = None
        super().resume_writing()

    def reading(self, goes_on: bool) -> None:
        """We read from here on, or do not: then a body that does not arrive is not the client's fault."""
        if self._body is not None:
            (self._body.run if goes_on else self._body.hold)(self.loop.time())

    # what the parser tells

    def on_message_begin(self) -> None:
        """A request begins."""
        self._unparsed_bytes = self._head_bytes = 0
        self._in_head = True
        self._expect(self._limits.head_seconds)
        super().on_message_begin()

    def on_url(self, url: bytes) -> None:
        """Take a piece of the URL."""
        self._count(len(url))
        super().on_url(url)

    def on_header(self, name: bytes, value: bytes) -> None:
        """Take one header, or one trailer."""
        self._count(len(name) + len(value))
        super().on_header(name, value)

    def on_headers_complete(self) -> None:
        """The head is whole."""
        self._unparsed_bytes = 0
        self._in_head, self._deadline, self._was_answered = False, None, False
        if self._limits.places_for_strangers:
            self._neighbours.busy(self)
        else:
            self._neighbours.waits(self)
            self.scope["state"][ADMITTED] = partial(self._neighbours.busy, self)
        self._body = Pace(self._limits.min_rate_bytes, self._limits.body_window_seconds)
        super().on_headers_complete()
        if not self.flow.read_paused and not self.expect_100_continue:  # else it runs once somebody wants the body
            self._body.run(self.loop.time())

    def on_body(self, body: bytes) -> None:
        """Take a piece of the body."""
        self._unparsed_bytes = 0
        if self._body is not None:
            self._body.add(len(body), self.loop.time())
        if self._was_answered:
            self._rest_bytes += len(body)
            if self._rest_bytes > MAX_REST_BYTES:
                self.transport.close()
        super().on_body(body)

    def on_message_complete(self) -> None:
        """The request is whole."""
        self._body = None
        super().on_message_complete()
        if self.cycle is not None and self.cycle.response_complete:
            self._wait()

    def on_response_complete(self) -> None:
        """A request is answered."""
        super().on_response_complete()
        if not self.cycle.response_complete or self._in_head:
            return  # the next one is here already
        if self._body is None:
            self._wait()
        else:
            self._was_answered, self._rest_bytes = True, 0
            self._expect(self._limits.head_seconds)
            self._neighbours.waits(self)  # what is left of the request changes nothing: others come first

    def _wait(self) -> None:
        """Nothing is left to do until the next request."""
        self._expect(self._limits.idle_seconds)
        self._neighbours.waits(self)

    def _expect(self, seconds: float) -> None:
        self._deadline = self.loop.time() + seconds

    def _count(self, length: int) -> None:
        self._unparsed_bytes = 0
        self._head_bytes += length
        if self._head_bytes > MAX_HEAD_BYTES:
            raise ValueError("the head of the request is too large")  # the parser stops, and 400 is answered

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over: what it may do is judged by the application from here on."""
        self._neighbours.remove(self)
        super().handle_websocket_upgrade()

    def _unsupported_upgrade_warning(self) -> None:
        """Say nothing: whoever wants to upgrade is answered without, and need not fill our log."""

    def send_400_response(self, msg: str) -> None:
        """Refuse what is no HTTP, or too much of it, in the shape of all our refusals."""
        self.end(malformed(msg))


def bounded(limits: ConnectionLimits) -> type[asyncio.Protocol]:
    """Return the protocol of one port, for uvicorn: its connections share *limits*."""
    connections = Connections(limits)

    class Bounded(BoundedHttp):
        def __init__(
            self,
            config: Config,
            server_state: ServerState,
            app_state: dict[str, Any],
            _loop: asyncio.AbstractEventLoop | None = None,
        ) -> None:
            super().__init__(config, server_state, app_state, connections, _loop)

    return Bounded


def _keep_little_unsent(transport: asyncio.Transport) -> None:
    option = getattr(socket, "TCP_NOTSENT_LOWAT", None)
    connection = transport.get_extra_info("socket")
    if option is None or connection is None or connection.family not in (socket.AF_INET, socket.AF_INET6):
        return
    with suppress(OSError):
        connection.setsockopt(socket.IPPROTO_TCP, option, UNSENT_BYTES)
