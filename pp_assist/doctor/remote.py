"""The server that is configured: is it there, is it the right one, does it know us?"""

import time

from pp_assist.core.errors import AssistError, NeedsLogin, NotAllowed, ServerUnreachable, Untrusted
from pp_assist.doctor.check import Check, failed, ok, skipped
from pp_assist.doctor.local import KnownServer
from pp_assist.http import Http
from pp_assist.uploader.client import UploadClient, accepted

TIMEOUT_S = 15.0
MOST_SKEW_S = 60.0
NAMES = ("server_reachable", "server_protocol", "clock", "api_key")


async def server_checks(server: KnownServer) -> list[Check]:
    """Look at the server, step by step; what comes after a failure is skipped."""
    http = Http(server.url, server.api_key, TIMEOUT_S, 2, trust=server.trust)
    try:
        return await _checks(http, server)
    finally:
        await http.close()


async def _checks(http: Http, server: KnownServer) -> list[Check]:
    reachable, protocol, _, key = NAMES
    began_s = time.monotonic()
    try:
        answer = await http.request("GET", "/api/version")
    except Untrusted as error:
        advice = "ask whoever runs it for its fingerprint; pp_assist server rm, then add, with --fingerprint"
        return [failed(reachable, f"{server.url}: {error}", advice), *_skipped(NAMES[1:], "the server is not believed")]
    except ServerUnreachable as error:
        advice = "is it running, is its address right (pp_assist server list), does a firewall stand between?"
        return [failed(reachable, f"{server.url} does not answer: {error}", advice), *_skipped(NAMES[1:], "no answer")]
    took_ms = (time.monotonic() - began_s) * 1000
    way = "encrypted" if server.url.startswith("https") else "not encrypted"
    found = [ok(reachable, f"{server.url} answers after {took_ms:.0f} ms, {way}")]
    try:
        greeting = await UploadClient(http).greet()
        found.append(ok(protocol, f"speaks our protocol, {len(greeting.capabilities.features)} features"))
    except AssistError as error:
        advice = "something else answers there (a proxy, a login page), or a much older or newer server: check the URL"
        return [*found, failed(protocol, str(error), advice), *_skipped(NAMES[2:], "it is no server of ours")]
    found.append(_clock(answer.date_s, time.time()))
    try:
        accepted(await http.request("GET", "/api/files?limit=1"))
        found.append(ok(key, "the server knows our key, and it may read"))
    except NotAllowed as error:
        found.append(
            failed(key, str(error), "make a key with the scopes upload, read and delete: pp_server key create")
        )
    except NeedsLogin as error:
        advice = "the key is wrong, or was revoked: pp_assist server rm, then add, with a new one"
        found.append(failed(key, str(error), advice))
    except AssistError as error:
        found.append(failed(key, str(error), "ask whoever runs the server to look into its log"))
    return found


def _clock(server_s: float | None, now_s: float) -> Check:
    """Do both clocks say the same? Nothing is lost where not, but times and certificates are judged by them."""
    name = NAMES[2]
    if server_s is None:
        return skipped(name, "the server does not say what time it is")
    skew_s = now_s - server_s
    if abs(skew_s) > MOST_SKEW_S:
        which = "ahead of" if skew_s > 0 else "behind"
        advice = "have both follow network time (timedatectl set-ntp true)"
        return failed(name, f"this machine's clock is {abs(skew_s):.0f} s {which} the server's", advice)
    return ok(name, f"within {max(1.0, abs(skew_s)):.0f} s of the server's")


def _skipped(names: tuple[str, ...], why: str) -> list[Check]:
    return [skipped(name, why) for name in names]
