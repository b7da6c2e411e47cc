"""Servers and configuration."""

from typing import Any

from fastapi import APIRouter

from pp_assist.api.problems import Refusal
from pp_assist.api.schemas import AddServer, Config, RowId, TryServer
from pp_assist.api.services import Services, Trial
from pp_assist.core.events import Event
from pp_assist.core.model import Server
from pp_assist.core.trust import Trust
from pp_assist.store.servers import DuplicateServer
from pp_server.wire.times import iso, iso_or_none


def router(services: Services) -> APIRouter:
    """Return the routes."""
    routes = APIRouter()

    @routes.get("/servers")
    async def list_servers() -> dict[str, Any]:
        servers = [_server(server) for server in await services.servers.all()]
        return {"servers": servers, "total": len(servers)}

    @routes.post("/servers/test")
    async def try_server(body: TryServer) -> dict[str, Any]:
        return _trial(await services.try_server(*_checked(body, services)))

    @routes.post("/servers/{server_id}/test")
    async def try_known_server(server_id: RowId) -> dict[str, Any]:
        for server in await services.servers.all():
            if server.id == server_id:
                return _trial(await services.try_server(server.url, server.api_key, server.trust))
        raise Refusal(404, "not_found", "no such server")

    @routes.post("/servers/{server_id}/default")
    async def make_default(server_id: RowId) -> dict[str, Any]:
        if not await services.servers.make_default(server_id):
            raise Refusal(404, "not_found", "no such server")
        return {"status": "default_set"}

    @routes.post("/servers")
    async def add_server(body: AddServer) -> dict[str, Any]:
        url, key, trust = _checked(body, services)
        try:
            server = await services.servers.add(
                body.name, url, key, services.clock.now_ms(), body.username, body.is_default, trust
            )
        except DuplicateServer as error:
            raise Refusal(409, "server_exists", f"there is already a server named {body.name}") from error
        return _server(server)

    @routes.delete("/servers/{server_id}")
    async def delete_server(server_id: RowId) -> dict[str, Any]:
        if not await services.servers.remove(server_id):
            raise Refusal(404, "not_found", "no such server")
        return {"status": "deleted"}

    @routes.get("/config")
    async def get_config() -> dict[str, Any]:
        config = services.config()
        return {"config_file": services.config_file, "config": config, **config}

    @routes.get("/config/fields")
    async def config_fields() -> dict[str, Any]:
        fields = await services.config_fields()
        return {"fields": fields, "total": len(fields)}

    @routes.post("/config")
    async def post_config(body: Config) -> dict[str, Any]:
        try:
            saved = await services.save_config(body)
        except ValueError as error:
            raise Refusal(422, "invalid_request", str(error)) from error
        except OSError as error:
            raise Refusal(500, "config_not_written", f"the file cannot be written: {error.strerror}") from error
        services.bus.tell(Event.STEERED, message="settings changed", applied=sorted(saved.applied))
        waiting = ", ".join(sorted(saved.at_next_start))
        return {
            "status": "saved",
            "config_file": services.config_file,
            "message": f"saved; at the next start: {waiting}" if waiting else "saved; all of it is in force",
            "config": saved.config,
            "applied": sorted(saved.applied),
            "at_next_start": sorted(saved.at_next_start),
        }

    return routes


def _checked(body: TryServer, services: Services) -> tuple[str, str, Trust]:
    """Return URL, key and whom to trust, as they can be meant."""
    trust = Trust(body.fingerprint, body.ca_file)
    try:
        return services.check_server(body.url, trust), _header_safe(body.api_key.get_secret_value()), trust
    except ValueError as error:
        raise Refusal(422, "invalid_request", str(error)) from error


def _trial(found: Trial) -> dict[str, Any]:
    return {
        "ok": found.code == "ok",
        "code": found.code,
        "text": found.text,
        "took_ms": found.took_ms,
        "server_id": found.server_id,
    }


def _header_safe(api_key: str) -> str:
    """Return *api_key*, if it can be sent at all."""
    if not api_key.isascii() or not api_key.isprintable() or api_key != api_key.strip():
        raise ValueError("api_key: must be printable ASCII without spaces around it")
    return api_key


def _server(server: Server) -> dict[str, Any]:
    return {
        "id": server.id,
        "name": server.name,
        "url": server.url,
        "username": server.username,
        "is_default": server.is_default,
        "created_at": iso(server.created_at_ms),
        "state": server.state,
        "reason": server.reason,
        "last_contact_at": iso_or_none(server.last_contact_at_ms),
        "fingerprint": server.trust.fingerprint,
        "ca_file": server.trust.ca_file,
    }
