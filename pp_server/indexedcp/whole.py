"""Files that are complete, on their way into the store. Blocking; for many threads."""

import os
from dataclasses import replace

from pp_server.indexedcp import book
from pp_server.indexedcp.folder import Folder
from pp_server.indexedcp.history import History
from pp_server.indexedcp.model import Finished
from pp_server.indexedcp.tracking import Tracking


class WholeFiles:
    """Those of one upload folder."""

    def __init__(self, folder: Folder, tracking: Tracking, history: History) -> None:
        self._folder = folder
        self._tracking = tracking
        self._history = history

    def unkept(self) -> list[Finished]:
        """Return the files that are not in the store yet, oldest first."""
        return [over for over in self._history.load() if over.size_bytes is not None and not over.is_kept]

    def path_of(self, over: Finished) -> str:
        """Return where a file lies."""
        return os.path.join(self._folder.path, *over.parts)

    def forget(self, over: Finished) -> None:
        """The file is in the store: remember that, and remove it here."""
        self._tracking.write(book.kept(over.id))
        self._history.add(replace(over, is_kept=True))
        self._folder.remove(over.parts, over.file)

    def is_lost(self, over: Finished) -> bool:
        """Say whether a file is gone before it was in the store, and record it: what comes again begins anew."""
        with self._folder.opened(over.parts, over.file) as fd:
            if fd is not None:
                return False
        self._tracking.write(book.gone(over.id))
        self._history.add(replace(over, size_bytes=None))
        return True
