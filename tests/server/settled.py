"""Whether a server at rest holds anything that belongs to nobody."""

from serving import Server


async def left_over(server: Server) -> list[str]:
    """Name staged files of uploads that are not open, and content that was put aside."""
    services = server.app.state.services
    open_ids = await services.uploads._context.metadata.open_upload_ids()
    found = [path.name for path in server.staged() if path.stem not in open_ids]
    return found + [path.name for path in (server.data_dir / "quarantine").iterdir()]
