"""Held deletions over the local API."""

from asking import Api


async def hold(api: Api, count: int) -> None:
    """As the second look does it, without waiting for a server to have files first."""
    db = api.daemon.db
    async with db.transaction() as tx:
        await tx.execute("UPDATE files SET state = 'vanished', offered_gen = gen, kind = 'file'")
        await tx.execute(
            "UPDATE work SET stage = 'deletion', state = 'held', eligible_at_ms = NULL"
            " WHERE file_id IN (SELECT id FROM files ORDER BY id LIMIT ?)",
            (count,),
        )
        await tx.execute("INSERT INTO held_deletions (root_id, reason, created_at_ms) VALUES (1, 'mass', 5)")


async def test_a_person_is_shown_what_is_held_and_decides(api: Api) -> None:
    for n in range(30):
        (api.folder / f"{n:02}").write_text(str(n))
    await api.http.post("/paths", json={"path": str(api.folder)})
    await api.http.post("/scan/trigger", json={"wait": True})
    await hold(api, 25)
    answer = await api.http.get("/deletions")
    (held,) = answer.json()["held"]
    assert (held["path"], held["reason"], held["count"], len(held["sample"])) == (str(api.folder), "mass", 25, 20)
    assert (await api.http.get("/stats")).json()["queues"]["pending_deletion"]["held"] == 25
    wrong = await api.http.post(f"/deletions/{held['id']}/approve", json={"count": 24})
    assert (wrong.status_code, wrong.json()["code"]) == (409, "count_changed")
    assert (await api.http.post(f"/deletions/{held['id']}/approve", json={})).status_code == 422
    done = await api.http.post(f"/deletions/{held['id']}/approve", json={"count": 25})
    assert done.json() == {"status": "approved", "count": 25}
    for action, body in (("approve", {"count": 1}), ("reject", None)):
        assert (await api.http.post(f"/deletions/{held['id']}/{action}", json=body)).status_code == 404
    assert (await api.http.get("/deletions")).json() == {"held": [], "total": 0}
