/** Which rows of a very long list are to be in the page, and where. Pure. */

/** Browsers know no taller element than some 16 million pixels: above that, a pixel stands for more than one. */
export const TALLEST = 8_000_000;
const BESIDE = 4;

export interface View {
  rows: number;
  rowHeight: number;
  /** How far it is scrolled, and how much of it is seen. */
  top: number;
  height: number;
}

export interface Window {
  /** The rows [first, end) are to be drawn, the first of them *offset* pixels below the list's beginning. */
  first: number;
  end: number;
  offset: number;
  /** How tall the whole list claims to be. */
  total: number;
}

export function windowOf(view: View): Window {
  const whole = view.rows * view.rowHeight;
  const total = Math.min(whole, TALLEST);
  if (view.rows === 0 || view.height <= 0) return { first: 0, end: 0, offset: 0, total };
  const top = clamp(view.top, 0, Math.max(0, total - view.height));
  const seenFrom = whole <= TALLEST ? top : (top / (total - view.height)) * (whole - view.height);
  const first = Math.max(0, Math.floor(seenFrom / view.rowHeight) - BESIDE);
  const end = Math.min(view.rows, Math.ceil((seenFrom + view.height) / view.rowHeight) + BESIDE);
  return { first, end, offset: first * view.rowHeight - (seenFrom - top), total };
}

/** Return how many rows a window has at most. */
export function slotsOf(height: number, rowHeight: number): number {
  return Math.ceil(height / rowHeight) + 1 + 2 * BESIDE;
}

/** Return how far to scroll so that *row* is seen, and not at all where it is. */
export function scrolledTo(row: number, view: View): number {
  const whole = view.rows * view.rowHeight;
  const total = Math.min(whole, TALLEST);
  const [hidden, seen] = [Math.max(1, whole - view.height), Math.max(0, total - view.height)];
  const scale = whole <= TALLEST ? 1 : seen / hidden;
  const seenFrom = view.top / scale;
  const [above, below] = [row * view.rowHeight, (row + 1) * view.rowHeight - view.height];
  if (seenFrom > above) return above * scale;
  return seenFrom < below ? below * scale : view.top;
}

/** Return the numbers of the pages of *pageSize* rows that [first, end) touches. */
export function pagesOf(first: number, end: number, pageSize: number): number[] {
  const found: number[] = [];
  for (let page = Math.floor(first / pageSize); page * pageSize < end; page++) found.push(page);
  return found;
}

function clamp(value: number, least: number, most: number): number {
  return Math.min(Math.max(value, least), most);
}
