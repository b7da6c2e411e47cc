import { expect, test } from "vitest";
import { Frames } from "../src/live/frames";

const TEXT = 'event: connected\ndata: {"a":1}\n\n: still here\n\nid: 7\nevent: upload_complete\ndata: {"id":7}\n\nid: 8\ndata: one\ndata: two\n\n';
const FOUND = [
  { id: null, event: "connected", data: '{"a":1}' },
  { id: "7", event: "upload_complete", data: '{"id":7}' },
  { id: "8", event: "message", data: "one\ntwo" },
];

test("frames are the same, whatever pieces the text comes in", () => {
  for (let size = 1; size <= TEXT.length; size++) {
    const frames = new Frames();
    const found = [];
    for (let at = 0; at < TEXT.length; at += size) found.push(...frames.take(TEXT.slice(at, at + size)));
    expect(found).toEqual(FOUND);
  }
});

test("lines may end in any way", () => {
  expect(new Frames().take(TEXT.replaceAll("\n", "\r\n"))).toEqual(FOUND);
});

test("half a frame is none, and a comment neither", () => {
  const frames = new Frames();
  expect(frames.take(": hello\n\ndata: x\n")).toEqual([]);
  expect(frames.take("\n")).toEqual([{ id: null, event: "message", data: "x" }]);
});

test("an id stays until there is another", () => {
  expect(new Frames().take("id: 3\ndata: a\n\ndata: b\n\n").map((frame) => frame.id)).toEqual(["3", "3"]);
});
