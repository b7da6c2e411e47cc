import { describe, expect, test } from "vitest";
import { age, ago, count, counted, digits, duration, latency, listed, past, percent, rate, size, speed } from "../src/text/format";

const NOW = Date.parse("2026-11-27T20:00:00.000Z");
const before = (seconds: number) => new Date(NOW - seconds * 1000).toISOString();

test("counts", () => {
  expect(count(48210)).toBe("48,210");
  expect(counted(1, "file")).toBe("1 file");
  expect(counted(0, "file")).toBe("0 files");
});

test("how long a list is, is said of that list alone", () => {
  expect(listed(45_000, "file", true)).toBe("45,000 files found"); // not "of" what counts other files
  expect(listed(1, "file", false)).toBe("1 file");
  expect(listed(null, "file", true)).toBe("Counting…");
});

test.each([
  [0, "0 B"],
  [999, "999 B"],
  [1000, "0.98 KiB"],
  [1024, "1.00 KiB"],
  [11358, "11.1 KiB"],
  [1048575, "1.00 MiB"],
  [104857600, "100 MiB"],
  [5 * 1024 ** 4, "5.00 TiB"],
])("size of %d", (bytes, shown) => expect(size(bytes)).toBe(shown));

test("a size that is not known is a dash", () => expect(size(null)).toBe("—"));
test("three digits say enough", () => expect([1.234, 12.34, 123.4, 9.996, 99.96].map(digits)).toEqual(["1.23", "12.3", "123", "10.0", "100"]));
test("rates", () => expect([0, 0.04, 3.25, 1234.5].map(rate)).toEqual(["0", "0", "3.3", "1,235"]));
test("speed", () => expect(speed(2.5 * 1024 * 1024)).toBe("2.50 MiB/s"));

describe("a share is never rounded up to all of it", () => {
  test.each([
    [0, 10, "0.0 %"],
    [1, 3, "33 %"],
    [99999, 100000, "99.9 %"],
    [10, 10, "100 %"],
    [0, 0, "—"],
  ])("%d of %d", (part, whole, shown) => expect(percent(part, whole)).toBe(shown));
});

test.each([
  [0, "0 s"],
  [59.4, "59 s"],
  [60, "1 min"],
  [61, "1 min 1 s"],
  [3600, "1 h"],
  [90061, "1 d 1 h"],
  [-3, "0 s"],
])("%d seconds", (seconds, shown) => expect(duration(seconds)).toBe(shown));

test("latency", () => expect([8.2, 1234, 61000].map(latency)).toEqual(["8 ms", "1.23 s", "1 min 1 s"]));
test("ago", () => {
  expect(ago(null, NOW)).toBe("never");
  expect([0, 12, 90, 7300, 200000].map((seconds) => ago(before(seconds), NOW))).toEqual(["now", "12 s ago", "2 min ago", "2 h ago", "2 d ago"]);
  expect(ago(before(-30), NOW)).toBe("in 30 s");
  expect(past(before(-3), NOW)).toBe("now");
});
test("age of what waits", () => {
  expect(age(before(75), NOW)).toBe("1 min 15 s");
  expect(age(null, NOW)).toBe("0 s");
});
