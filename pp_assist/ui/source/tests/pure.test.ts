import { describe, expect, test } from "vitest";
import { refusal } from "../src/api/client";
import type { ConfigField } from "../src/api/shapes";
import { Speeds } from "../src/live/speeds";
import { edited, labelOf, meant, nested, OTHERS, sections, unitOf } from "../src/text/settings";
import { fetched, inWords, ledgerReason, versionRows } from "../src/text/words";
import { treeOf } from "../src/text/tree";

describe("speeds", () => {
  test("are what was done in the last seconds", () => {
    const speeds = new Speeds();
    speeds.note([{ id: 1, done: 0 }], 0);
    expect(speeds.of(1)).toBeNull();
    speeds.note([{ id: 1, done: 1000 }], 1000);
    speeds.note([{ id: 1, done: 4000 }], 2000);
    expect(speeds.of(1)).toBe(2000);
    expect(speeds.secondsFor(1, 8000)).toBe(4);
  });
  test("begin anew with what begins anew, and forget what is gone", () => {
    const speeds = new Speeds();
    speeds.note([{ id: 1, done: 5000 }], 0);
    speeds.note([{ id: 1, done: 100 }], 1000);
    expect(speeds.of(1)).toBeNull();
    speeds.note([], 2000);
    expect(speeds.of(1)).toBeNull();
  });
  test("nothing that stands still has an end", () => {
    const speeds = new Speeds();
    speeds.note([{ id: 1, done: 5 }], 0);
    speeds.note([{ id: 1, done: 5 }], 30_000);
    expect(speeds.of(1)).toBe(0);
    expect(speeds.secondsFor(1, 10)).toBeNull();
  });
});

describe("refusals name the field", () => {
  test("as a list", () => {
    const errors = [{ field: "url", message: "is empty" }];
    expect(refusal(422, { detail: "url: is empty", code: "invalid_request", errors })).toMatchObject({ status: 422, code: "invalid_request", fields: errors });
  });
  test("in front of what is wrong", () => {
    expect(refusal(422, { detail: "uploader.chunk_size_mb: too small; rules.exclude: no", code: "x" }).fields).toEqual([
      { field: "uploader.chunk_size_mb", message: "too small" },
      { field: "rules.exclude", message: "no" },
    ]);
  });
  test("or none", () => {
    expect(refusal(404, { detail: "no such path", code: "not_found" }).fields).toEqual([]);
    expect(refusal(502, null)).toMatchObject({ code: "unknown", message: "the daemon answered 502" });
  });
});

describe("settings", () => {
  const field = (name: string, type: ConfigField["type"], value: ConfigField["value"]): ConfigField => ({
    name, type, value, saved: value, description: "", unit: null, default: value, minimum: null, maximum: null, choices: null, at_once: false, from_environment: false,
  });
  test("text becomes what is meant, and what is no number stays as it is", () => {
    const number = field("uploader.chunk_size_mb", "integer", 4);
    expect(meant(number, " 8 ")).toBe(8);
    expect(meant(number, "eight")).toBe("eight");
    expect(meant(number, "")).toBe("");
    expect(meant(field("rules.exclude", "list", []), "*.o\n\n cache/ ")).toEqual(["*.o", "cache/"]);
    expect(edited(["*.o", "cache/"])).toBe("*.o\ncache/");
  });
  test("changes are nested as the file has them", () => {
    expect(nested({ "uploader.chunk_size_mb": 8, "uploader.parallel_uploads": 2, log_level: "DEBUG" })).toEqual({
      uploader: { chunk_size_mb: 8, parallel_uploads: 2 },
      log_level: "DEBUG",
    });
  });
  test("every one has its place, its label and its unit", () => {
    const fields = [field("api.port", "integer", 8765), field("scanner.scan_interval", "number", 60)];
    expect(sections(fields).map((section) => section.title)).toEqual(["Finding", OTHERS]);
    expect(labelOf("scanner.scan_interval")).toBe("Scan interval");
    expect(labelOf("api.require_token")).toBe("Require token");
    expect(unitOf(field("uploader.bandwidth_kib_per_second", "integer", 0))).toBe("KiB/s");
  });
});

test("what is in the way is said in words", () => {
  expect(inWords("3 of 5 files are stored; nothing can be sent now: server_unreachable.")).toBe("3 of 5 files are stored; nothing can be sent now: the server does not answer.");
  expect(inWords("/a: b_c")).toBe("/a: b_c");
  expect(ledgerReason("to_hash")).toBe("to be read");
  expect(ledgerReason("server_busy")).toBe("(server busy)");
});

test("paths as a tree, folders with one way on joined", () => {
  expect(treeOf(["/a/b/c/1", "/a/b/c/2", "/x"])).toEqual([
    { name: "/a/b/c", below: [{ name: "1", below: [] }, { name: "2", below: [] }] },
    { name: "/x", below: [] },
  ]);
  expect(treeOf(["a/1", "a/2"])).toEqual([{ name: "a", below: [{ name: "1", below: [] }, { name: "2", below: [] }] }]);
});

describe("what was fetched", () => {
  test("is this file, as far as that is known", () => {
    expect(fetched({ outcome: "restored", sha256: "aa" }, "aa")).toEqual({ words: "Fetched to", isEarlier: false });
    expect(fetched({ outcome: "beside", sha256: "aa" }, null).isEarlier).toBe(false);
  });
  test("or an earlier version of it, wherever it was put", () => {
    expect(fetched({ outcome: "restored", sha256: "aa" }, "bb")).toEqual({ words: "An earlier version was fetched to", isEarlier: true });
    for (const outcome of ["restored", "right", "beside"]) expect(fetched({ outcome, sha256: "aa" }, "bb").words).toMatch(/earlier version/);
  });
});

test("versions say what they are and since when, and a deletion is nothing to fetch", () => {
  const of = (status: string, deleted_at: string | null = null, sha256: string | null = "aa", kind = "file") => ({ status, kind, sha256, stored_at: "2026-11-20T10:00:00Z", deleted_at });
  const rows = versionRows([of("deleted", "2026-11-21T10:00:00Z"), of("superseded"), of("active", null, null, "dir"), of("new")]);
  expect(rows.map(({ word, since, canComeBack }) => [word, since?.slice(8, 10), canComeBack])).toEqual([
    ["deleted", "21", false],
    ["earlier", "20", true],
    ["now", "20", false],
    ["new", "20", true],
  ]);
});
