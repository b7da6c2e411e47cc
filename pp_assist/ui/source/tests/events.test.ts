import { describe, expect, test } from "vitest";
import type { Happened } from "../src/api/shapes";
import { isLike, unlisted } from "../src/live/events";

function happened(id: number, more: Partial<Happened> = {}): Happened {
  return { id, event_type: "upload_complete", filepath: "/home/a/Letter.txt", path_id: 1, count: 1, message: null, details: {}, created_at: "", ...more } as Happened;
}

describe("what is heard beside a list", () => {
  test("what came while the list was on its way stays, what is in it goes", () => {
    expect(unlisted([happened(9), happened(8), happened(7)], [happened(8), happened(5)]).map((each) => each.id)).toEqual([9]);
    expect(unlisted([happened(9)], []).map((each) => each.id)).toEqual([9]);
  });
  test("it is what would be listed", () => {
    expect(isLike(happened(1), "", " letter HOME ")).toBe(true);
    expect(isLike(happened(1), "", "letter other")).toBe(false);
    expect(isLike(happened(1), "file_deleted", "")).toBe(false);
    expect(isLike(happened(1, { filepath: null, message: "paused" }), "", "pause")).toBe(true);
  });
});
