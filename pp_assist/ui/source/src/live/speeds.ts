/** How fast something goes on, from how far it was at some moments. Pure. */

const LOOK_BACK_MS = 45_000;

interface Moment {
  atMs: number;
  done: number;
}

export class Speeds {
  #seen = new Map<number | string, Moment[]>();

  /** Note how far each has come at this moment, and forget those that are no longer there. */
  note(now: Iterable<{ id: number | string; done: number }>, atMs: number): void {
    const next = new Map<number | string, Moment[]>();
    for (const { id, done } of now) {
      const before = this.#seen.get(id) ?? [];
      const newest = before.at(-1);
      const isSame = newest !== undefined && done >= newest.done; // less: it began again
      const kept = isSame ? before.filter((each, n) => atMs - each.atMs <= LOOK_BACK_MS || n === before.length - 1) : [];
      next.set(id, [...kept, { atMs, done }]);
    }
    this.#seen = next;
  }

  /** Return how much a second; null: not known yet. */
  of(id: number | string): number | null {
    const moments = this.#seen.get(id);
    const [first, last] = [moments?.[0], moments?.at(-1)];
    if (first === undefined || last === undefined || last.atMs - first.atMs < 500) return null;
    const isStill = last.done === first.done;
    return isStill && last.atMs - first.atMs < LOOK_BACK_MS / 2 ? null : (1000 * (last.done - first.done)) / (last.atMs - first.atMs);
  }

  /** Return in how many seconds *left* is done; null: that cannot be said. */
  secondsFor(id: number | string, left: number): number | null {
    const speed = this.of(id);
    return speed === null || speed <= 0 ? null : left / speed;
  }
}
