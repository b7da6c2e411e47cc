import { afterEach, beforeEach, describe, expect, test, vi } from "vitest";
import { wishes } from "../src/live/anew";

const SOON_MS = 500;

describe("what may have changed is asked anew", () => {
  const page = { isPending: false, isSeen: true };
  const ask = vi.fn();
  const asking = () => wishes(ask, { soonMs: SOON_MS, isPending: () => page.isPending, isSeen: () => page.isSeen });
  beforeEach(() => {
    vi.useFakeTimers();
    ask.mockReset();
    Object.assign(page, { isPending: false, isSeen: true });
  });
  afterEach(() => {
    vi.useRealTimers();
  });

  test("once for all that happens at about the same time", () => {
    const { wish } = asking();
    wish();
    wish();
    vi.advanceTimersByTime(SOON_MS - 1);
    expect(ask).not.toHaveBeenCalled();
    vi.advanceTimersByTime(1);
    expect(ask).toHaveBeenCalledTimes(1);
    vi.advanceTimersByTime(10 * SOON_MS);
    expect(ask).toHaveBeenCalledTimes(1);
  });
  test("after an answer that is awaited, however long that takes", () => {
    const { wish, tick } = asking();
    page.isPending = true;
    wish();
    tick();
    vi.advanceTimersByTime(20 * SOON_MS);
    tick();
    expect(ask).not.toHaveBeenCalled();
    page.isPending = false;
    vi.advanceTimersByTime(SOON_MS);
    expect(ask).toHaveBeenCalledTimes(1);
  });
  test("once as soon as somebody looks again, if something happened meanwhile", () => {
    const { wish, tick, looked } = asking();
    page.isSeen = false;
    looked();
    wish();
    tick();
    vi.advanceTimersByTime(3 * SOON_MS);
    expect(ask).not.toHaveBeenCalled();
    page.isSeen = true;
    looked();
    looked();
    vi.advanceTimersByTime(3 * SOON_MS);
    expect(ask).toHaveBeenCalledTimes(1);
  });
  test("not for nothing, and not after it has ended", () => {
    const { wish, looked, stop } = asking();
    looked();
    wish();
    stop();
    vi.advanceTimersByTime(10 * SOON_MS);
    expect(ask).not.toHaveBeenCalled();
  });
});
