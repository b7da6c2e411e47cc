import { describe, expect, test } from "vitest";
import { pagesOf, scrolledTo, slotsOf, TALLEST, windowOf } from "../src/parts/window";

describe.each([10, 200_000, 5_000_000])("of %d rows", (rows) => {
  const rowHeight = 42;
  const height = 630;
  const total = Math.min(rows * rowHeight, TALLEST);

  test("few are drawn, and they cover what is seen, wherever it is scrolled", () => {
    for (let step = 0; step <= 100; step++) {
      const top = (Math.max(0, total - height) * step) / 100;
      const { first, end, offset } = windowOf({ rows, rowHeight, top, height });
      expect(end - first).toBeLessThanOrEqual(slotsOf(height, rowHeight));
      expect(offset).toBeLessThanOrEqual(top + 1e-6);
      expect(offset + (end - first) * rowHeight).toBeGreaterThanOrEqual(Math.min(top + height, total) - 1e-6);
    }
  });
  test("the last row is reached at the very end", () => {
    const top = Math.max(0, total - height);
    const { end, first, offset } = windowOf({ rows, rowHeight, top, height });
    expect(end).toBe(rows);
    expect(offset + (end - first) * rowHeight).toBeCloseTo(total, 3);
  });
  test("going to a row brings it into sight", () => {
    for (const row of [0, 1, Math.floor(rows / 2), rows - 1]) {
      const top = scrolledTo(row, { rows, rowHeight, top: 0, height });
      const { first, end } = windowOf({ rows, rowHeight, top, height });
      expect(first).toBeLessThanOrEqual(row);
      expect(end).toBeGreaterThan(row);
    }
  });
});

test("what is in sight is not scrolled to", () => {
  expect(scrolledTo(5, { rows: 1000, rowHeight: 40, top: 100, height: 400 })).toBe(100);
});
test("nothing has no window", () => {
  expect(windowOf({ rows: 0, rowHeight: 40, top: 0, height: 400 })).toEqual({ first: 0, end: 0, offset: 0, total: 0 });
});
test("pages", () => {
  expect(pagesOf(0, 30, 200)).toEqual([0]);
  expect(pagesOf(190, 410, 200)).toEqual([0, 1, 2]);
  expect(pagesOf(200, 400, 200)).toEqual([1]);
});
