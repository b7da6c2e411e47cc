import { describe, expect, test } from "vitest";
import { fromQuery, inBody, inQuery, nameIn, ofBytes, parted, pieces, plainly, shortened } from "../src/text/names";

const b64 = (bytes: number[]) => btoa(String.fromCharCode(...bytes));

describe("a name is shown as it is", () => {
  test("plain and international names in one piece", () => {
    for (const text of ["/home/a/one two.txt", "/home/é/日本語.txt", "/a/👩‍👩‍👧.jpg", "/a/❤️.txt", "/می‌خواهم"])
      expect(plainly({ text })).toBe(text);
  });
  test.each([
    ["/a/evil\u202egpj.exe", "/a/evil\\u{202e}gpj.exe"],
    ["/a/line\nbreak", "/a/line\\nbreak"],
    ["/a/tab\there", "/a/tab\\there"],
    ["/a/\u001b[31mred", "/a/\\u{1b}[31mred"],
    ["/a/zero\u200bwidth", "/a/zero\\u{200b}width"],
    ["/a/joiner\u200dx", "/a/joiner\\u{200d}x"],
    ["/a/hard\u00a0space", "/a/hard\\u{a0}space"],
    ["/a/soft\u00adhyphen", "/a/soft\\u{ad}hyphen"],
    ["/a/\u2066isolated\u2069", "/a/\\u{2066}isolated\\u{2069}"],
    ["/a/lone\ud800", "/a/lone\\u{d800}"],
    ["/a/tag\u{e0041}", "/a/tag\\u{e0041}"],
    ["/a/filler\u3164", "/a/filler\\u{3164}"],
  ])("what would not be seen, or would move the rest, is written out: %j", (text, shown) => {
    expect(plainly({ text })).toBe(shown);
    expect(pieces({ text }).some((piece) => piece.escaped)).toBe(true);
  });
  test("spaces at the edges of a component are seen", () => {
    expect(plainly({ text: "/a / b/c " })).toBe("/a␣/␣b/c␣");
    expect(plainly({ text: " " })).toBe("␣");
  });
  test("bytes that are no UTF-8 are seen as what they are", () => {
    const name = { text: "/a/caf\ufffd.txt", b64: b64([0x2f, 0x61, 0x2f, 0x63, 0x61, 0x66, 0xe9, 0x2e, 0x74, 0x78, 0x74]) };
    expect(plainly(name)).toBe("/a/caf\\xe9.txt");
    expect(plainly({ text: "?", b64: b64([0x61, 0x20, 0xe9, 0x20, 0x62, 0x20]) })).toBe("a \\xe9 b␣");
  });
  test.each([[[0xc0, 0x80]], [[0xed, 0xa0, 0x80]], [[0xf5, 0x80, 0x80, 0x80]], [[0xe2, 0x82]], [[0xff]]])("no bytes are lost: %j", (bytes) => {
    const shown = plainly({ text: "?", b64: b64(bytes) });
    expect(shown).toBe(bytes.map((byte) => `\\x${byte.toString(16)}`).join(""));
  });
  test("folders that are read from right to left keep their order", () => {
    const found = pieces({ text: "/שלום/עולם.txt" });
    expect(found.map((piece) => piece.text)).toEqual(["/", "שלום", "/", "עולם.txt"]);
  });
});

describe("a name travels as its bytes", () => {
  const odd = { text: "/\ufffd", b64: b64([0x2f, 0xe9]) };
  test("in a query", () => {
    expect(inQuery({ text: "/a b/é" })).toBe("%2Fa%20b%2F%C3%A9");
    expect(inQuery(odd)).toBe("%2f%e9");
    expect(fromQuery("%2f%e9")).toEqual(odd);
    expect(fromQuery(inQuery({ text: "/a/100%/ü" }))).toEqual({ text: "/a/100%/ü" });
  });
  test("in a body", () => {
    expect(inBody({ text: "/a" })).toEqual({ path: "/a" });
    expect(inBody(odd, "to")).toEqual({ to: "/\ufffd", to_b64: odd.b64 });
  });
  test("out of an answer", () => {
    expect(nameIn({ filepath: "/\ufffd", filepath_b64: odd.b64 }, "filepath")).toEqual(odd);
    expect(nameIn({ filepath: "/a" }, "filepath")).toEqual({ text: "/a" });
  });
  test("in two parts", () => {
    expect(parted({ text: "/a/b.txt" })).toEqual({ folder: { text: "/a/" }, last: { text: "b.txt" } });
    expect(parted(odd)).toEqual({ folder: { text: "/" }, last: { text: "\ufffd", b64: b64([0xe9]) } });
    expect(ofBytes(new Uint8Array([0x61]))).toEqual({ text: "a" });
  });
});

test("what is too long loses its middle, and no half of a sign", () => {
  expect(shortened("abcdefghij", 5)).toBe("ab…ij");
  expect(shortened("😀😀😀😀😀", 3)).toBe("😀…😀");
  expect(shortened("abc", 3)).toBe("abc");
});
