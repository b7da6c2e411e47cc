"""Administration: what `pp_server key`, `stats` and `session` do, here or inside the running server."""

from collections.abc import Iterable
from typing import Any

from pydantic import BaseModel, ConfigDict, ValidationError

from pp_server.auth import Keys
from pp_server.core.errors import AdminError
from pp_server.core.model import DEFAULT_SCOPES, KeyRecord, Scope
from pp_server.metadata.base import MetadataStore
from pp_server.upkeep import Upkeep
from pp_server.uploads.service import Uploads
from pp_server.wire.times import iso, iso_or_none


class CreateKey(BaseModel):
    """`key create`"""

    model_config = ConfigDict(extra="forbid")

    name: str
    owner: str | None = None
    scopes: list[Scope] = list(DEFAULT_SCOPES)
    host: str | None = None


class Admin:
    """One method per command; each returns what ``--json`` prints."""

    def __init__(self, keys: Keys, uploads: Uploads, metadata: MetadataStore, upkeep: Upkeep) -> None:
        self._keys = keys
        self._uploads = uploads
        self._metadata = metadata
        self._upkeep = upkeep

    async def run(self, command: str, arguments: dict[str, Any]) -> dict[str, Any]:
        """Run one command by its name.

        Raises:
            AdminError: there is no such command, or it cannot be done.
        """
        match command:
            case "key.create":
                return await self._create_key(arguments)
            case "key.list":
                return {"keys": [_shown(record) for record in await self._keys.list()]}
            case "key.revoke":
                return await self._revoke_key(str(arguments.get("id")))
            case "stats":
                return dict(await self._metadata.stats())
            case "check":
                return await self._upkeep.check()
            case "compact":
                return dict(await self._upkeep.compact())
            case "session.expire":
                return await self._expire_session(str(arguments.get("id")))
        raise AdminError(f"unknown command {command}")

    async def _create_key(self, arguments: dict[str, Any]) -> dict[str, Any]:
        try:
            wanted = CreateKey.model_validate(arguments)
        except ValidationError as error:
            raise AdminError(str(error.errors()[0]["msg"])) from None
        if not wanted.name.strip() or (wanted.owner is not None and not wanted.owner.strip()):
            raise AdminError("a name is needed")
        record, api_key = await self._keys.create(wanted.name, wanted.owner, wanted.scopes, wanted.host)
        shown = {field: _shown(record)[field] for field in ("id", "name", "owner", "scopes", "created_at")}
        return {**shown, "api_key": api_key}

    async def _revoke_key(self, key_id: str) -> dict[str, Any]:
        record = await self._keys.revoke(key_id)
        if record is None:
            raise AdminError(f"there is no key {key_id}")
        return _shown(record)

    async def _expire_session(self, upload_id: str) -> dict[str, Any]:
        if not await self._uploads.expire(upload_id):
            raise AdminError(f"there is no open upload {upload_id}")
        return {"upload_id": upload_id, "status": "expired"}


def _shown(record: KeyRecord) -> dict[str, Any]:
    return {
        "id": record.id,
        "name": record.name,
        "owner": record.owner,
        "scopes": _in_order(record.scopes),
        "host_id": record.host_id,
        "created_at": iso(record.created_ms),
        "last_used_at": iso_or_none(record.last_used_ms),
        "revoked_at": iso_or_none(record.revoked_ms),
    }


def _in_order(scopes: Iterable[Scope]) -> list[str]:
    return [scope.value for scope in Scope if scope in scopes]
