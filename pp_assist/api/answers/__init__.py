"""What the local API answers, for `openapi.json`: and for nothing else. Tests hold real answers against it.

The routes build plain dictionaries: to check each answer against a model would cost more than to make it.
"""

from typing import Any

from pp_assist.api.answers import common, files, others, places, state
from pp_assist.api.answers.common import Problem

__all__ = ["ANSWERS", "Problem"]

ANSWERS: dict[str, Any] = {
    "GET /": common.Who,
    "GET /health": common.Health,
    "GET /status": state.Status,
    "GET /stats": state.Stats,
    "GET /pace": state.Pace,
    "GET /files": files.Files,
    "GET /explain": files.Explanation,
    "GET /paths": places.Paths,
    "GET /paths/{path_id}": places.Path,
    "POST /paths": places.Path,
    "DELETE /paths/{path_id}": common.Done,
    "GET /folders": places.Folders,
    "POST /scan/trigger": places.Scan,
    "GET /queue": files.Queue,
    "POST /queue/{action}": files.Matched,
    "POST /fetch": files.Fetch,
    "GET /fetch": files.Fetches,
    "GET /versions": files.Versions,
    "GET /fetch/{fetch_id}": files.Fetch,
    "POST /fetch/{fetch_id}/cancel": files.Fetch,
    "GET /excludes": places.Excludes,
    "POST /excludes": places.Exclude,
    "POST /excludes/preview": places.Preview,
    "DELETE /excludes/{exclude_id}": common.Done,
    "GET /deletions": places.HeldDeletions,
    "GET /deletions/{held_id}/tree": places.HeldTree,
    "POST /deletions/{held_id}/approve": common.Counted,
    "POST /deletions/{held_id}/reject": common.Counted,
    "GET /activity": others.Activity,
    "POST /pause": others.Paused,
    "POST /resume": common.Done,
    "POST /stop": common.Done,
    "GET /servers": others.Servers,
    "POST /servers": others.Server,
    "POST /servers/test": others.Trial,
    "POST /servers/{server_id}/test": others.Trial,
    "POST /servers/{server_id}/default": common.Done,
    "DELETE /servers/{server_id}": common.Done,
    "GET /config": others.Config,
    "GET /config/fields": others.Fields,
    "POST /config": others.Saved,
    "POST /session": common.Done,
    "POST /session/ticket": others.Ticket,
    "POST /session/leave": common.Done,
    "POST /verify": others.Verified,
}
"""By method and path; what is not here answers no JSON, or another program's."""
