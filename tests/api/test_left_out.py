"""What the API says about files that are left out."""

import pytest
from asking import Api

from pp_assist.cli import _path_lines


async def test_a_path_has_patterns_and_its_files_name_the_line(api: Api) -> None:
    for name in ("a.o", "b.tmp", "c.txt"):
        (api.folder / name).write_text("x")
    (api.folder / ".ppignore").write_text("\n*.tmp\na[\n")
    added = (await api.http.post("/paths", json={"path": str(api.folder), "exclude": ["*.o"]})).json()
    assert (added["exclude"], added["rule_problems"]) == (["*.o"], [])
    await api.http.post("/scan/trigger", json={"wait": True})
    source = str(api.folder / ".ppignore")
    shown = {file["filepath"]: file for file in (await api.http.get("/files")).json()["files"]}
    rules = {path.rpartition("/")[2]: (file["status"], file["reason"], file["rule"]) for path, file in shown.items()}
    assert rules["a.o"] == ("excluded", "pattern", {"pattern": "*.o", "source": "root", "line": 1})
    assert rules["b.tmp"] == ("excluded", "pattern", {"pattern": "*.tmp", "source": source, "line": 2})
    assert rules["c.txt"][2] is None
    assert rules["c.txt"][0] != "excluded"
    (path,) = (await api.http.get("/paths")).json()["paths"]
    assert [(p["source"], p["line"], p["pattern"]) for p in path["rule_problems"]] == [(source, 3, "a[")]
    assert path["file_count"] == 2


@pytest.mark.parametrize("bad", ["a[", "", "# no", "a\0"])
async def test_a_bad_pattern_is_refused_with_its_field(api: Api, bad: str) -> None:
    answer = await api.http.post("/paths", json={"path": str(api.folder), "exclude": ["*.o", bad]})
    assert answer.status_code == 422
    assert [error["field"] for error in answer.json()["errors"]] == ["exclude.1"]
    assert (await api.http.get("/paths")).json()["total"] == 0


def test_the_command_shows_what_means_nothing() -> None:
    path = {"id": 1, "status": "healthy", "file_count": 2, "path": "/x", "reason": None}
    problems = [
        {"source": "/x/.ppignore", "line": 3, "pattern": "a[\x1b", "text": "not closed"},
        {"source": "/x/y/.ppignore", "line": None, "pattern": "", "text": "cannot read it"},
    ]
    shown = _path_lines(path | {"rule_problems": problems})
    assert [line.strip() for line in shown[1:]] == [
        "/x/.ppignore, line 3: a[\\x1b: not closed",
        "/x/y/.ppignore: cannot read it",
    ]
