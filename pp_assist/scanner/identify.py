"""Before a scan: by which numbers is the root known? They may be others once its disk was mounted anew."""

import logging
from dataclasses import replace

from pp_assist.core.identity import Identity, Standing, standing
from pp_assist.core.model import Root
from pp_assist.disk import root_identity
from pp_assist.scanner.record import Recorder
from pp_assist.store.renumber import identified, renumber
from pp_server.wire.names import display

log = logging.getLogger(__name__)


async def identify(recorder: Recorder, root: Root) -> Root:
    """Return *root*, known by the numbers its folder has now; as it was, where that is another folder, or none."""
    found = await recorder.in_thread(identity_or_none, root.path)
    if found is None:
        return root
    match standing(root.identity, found):
        case Standing.RENUMBERED:
            log.info("%s is on device %d now, which was %d", display(root.path), found.device, root.device)
            await renumber(recorder.db, root.id, root.device, found)
        case Standing.SAME if root.file_system is None and found.file_system is not None:
            await identified(recorder.db, root.id, found)
        case _:
            return root
    return replace(root, device=found.device, file_system=found.file_system)


def identity_or_none(path: bytes) -> Identity | None:
    """Return by which numbers the folder at *path* is known, None where it cannot be opened. Blocking."""
    try:
        return root_identity(path)
    except OSError:
        return None
