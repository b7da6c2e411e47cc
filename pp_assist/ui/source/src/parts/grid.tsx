/** A table of any length, of which only the rows in sight are in the page. Arrows move, Enter opens, space marks. */

import type { ComponentChildren } from "preact";
import { useCallback, useEffect, useId, useLayoutEffect, useRef, useState } from "preact/hooks";
import { Problem } from "./basics";
import { Icon } from "./icons";
import { usePages, type Load } from "./pages";
import { scrolledTo, slotsOf, windowOf } from "./window";

const ROW = 42;
const ROW_NARROW = 62;
const HEAD = 34;
const NARROW = "(max-width: 760px)";

export interface Column<T> {
  head: string;
  class: string;
  cell: (row: T) => ComponentChildren;
  /** By which word the API sorts by it. */
  sort?: string;
}

export interface Sorting {
  by: string;
  order: "asc" | "desc";
  set: (by: string, order: "asc" | "desc") => void;
}

interface GridProps<T> {
  label: string;
  load: Load<T>;
  /** What the rows are: anything else means other rows. */
  of: string;
  columns: Column<T>[];
  layout: string;
  onOpen?: (row: T) => void;
  marks?: { has: (row: T) => boolean; toggle: (row: T) => void };
  sorting?: Sorting;
  events: readonly string[];
  empty: ComponentChildren;
  onTotal?: (total: number | null) => void;
  again?: number;
}

export function Grid<T>(props: GridProps<T>) {
  const { label, columns, layout, marks, sorting } = props;
  const id = useId();
  const pages = usePages(props.load, props.of, props.events);
  const box = useRef<HTMLDivElement>(null);
  const [place, setPlace] = useState({ top: 0, height: 0 });
  const [at, setAt] = useState(0);
  const rowHeight = useMedia(NARROW) ? ROW_NARROW : ROW;
  const view = { rows: pages.total ?? 0, rowHeight, ...place };
  const { first, end, offset, total } = windowOf(view);

  useLayoutEffect(() => {
    const element = box.current;
    if (element === null) return undefined;
    const measure = () => setPlace({ top: element.scrollTop, height: element.clientHeight - HEAD });
    const observer = new ResizeObserver(measure);
    observer.observe(element);
    element.addEventListener("scroll", measure, { passive: true });
    return () => {
      observer.disconnect();
      element.removeEventListener("scroll", measure);
    };
  }, []);
  useEffect(() => {
    box.current?.scrollTo(0, 0);
    setAt(0);
  }, [props.of]);
  useEffect(() => pages.see(first, end), [first, end, props.of]);
  useEffect(() => props.onTotal?.(pages.total), [pages.total]);
  useEffect(() => {
    if (props.again) pages.again();
  }, [props.again]);

  const go = (row: number) => {
    const next = Math.max(0, Math.min(view.rows - 1, row));
    setAt(next);
    if (box.current) box.current.scrollTop = scrolledTo(next, view);
  };
  const move = (event: KeyboardEvent) => {
    const page = Math.max(1, Math.floor(place.height / rowHeight) - 1);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, PageDown: at + page, PageUp: at - page, Home: 0, End: view.rows - 1 }[event.key];
    const row = pages.row(at);
    if ((event.target as HTMLElement).closest("button")) return;
    if (next !== undefined) go(next);
    else if (event.key === "Enter" && row !== undefined) props.onOpen?.(row);
    else if (event.key === " " && row !== undefined && marks) marks.toggle(row);
    else return;
    event.preventDefault();
  };

  const latest = useRef(props.onOpen);
  latest.current = props.onOpen;
  const clicked = useCallback((row: T, n: number) => {
    setAt(n);
    latest.current?.(row);
  }, []);
  const slots = slotsOf(place.height, rowHeight); // a row takes the place in the page of one that has gone out of sight
  const rows: number[] = Array.from({ length: end - first }, (_, n) => first + n);
  const isEmpty = pages.total === 0;
  return (
    <div class="grid">
      {pages.error && <Problem error={pages.error} again={pages.again} />}
      <div
        ref={box}
        class={`grid-scroll ${layout}`}
        role="grid"
        aria-label={label}
        aria-rowcount={pages.total === null ? -1 : pages.total + 1}
        aria-multiselectable={marks ? true : undefined}
        aria-activedescendant={pages.row(at) === undefined ? undefined : `${id}-${at}`}
        aria-busy={pages.total === null}
        data-empty={isEmpty}
        tabIndex={0}
        onKeyDown={move}
      >
        <div role="rowgroup">
          <div class="grid-row grid-head" role="row" aria-rowindex={1}>
            {columns.map((column) => (
              <Head key={column.head} column={column} sorting={sorting} />
            ))}
          </div>
        </div>
        {isEmpty ? (
          <div role="rowgroup">
            <div role="row">
              <div role="gridcell" class="grid-empty">
                {props.empty}
              </div>
            </div>
          </div>
        ) : (
          <div class="grid-body" role="presentation" style={{ height: `${pages.total === null ? 6 * rowHeight : total}px` }}>
            <div class="grid-window" role="rowgroup" style={{ transform: `translateY(${offset}px)` }}>
              {pages.total === null && [0, 1, 2, 3, 4, 5].map((n) => <Bone key={n} columns={columns.length} height={rowHeight} />)}
              {rows.map((n) => {
                const row = pages.row(n);
                if (row === undefined) return <Bone key={n % slots} columns={columns.length} height={rowHeight} at={n} />;
                return (
                  <Row
                    key={n % slots}
                    id={`${id}-${n}`}
                    row={row}
                    n={n}
                    columns={columns}
                    height={rowHeight}
                    isAt={n === at}
                    isMarked={marks?.has(row) ?? false}
                    onClick={clicked}
                  />
                );
              })}
            </div>
          </div>
        )}
      </div>
    </div>
  );
}

interface RowProps<T> {
  id: string;
  row: T;
  n: number;
  columns: Column<T>[];
  height: number;
  isAt: boolean;
  isMarked: boolean;
  onClick: (row: T, n: number) => void;
}

/** One row. With signals a part is drawn anew where one of its props is another, or the time that it shows; here that is enough. */
function Row<T>({ id, row, n, columns, height, isAt, isMarked, onClick }: RowProps<T>) {
  return (
    <div id={id} class="grid-row" role="row" aria-rowindex={n + 2} aria-selected={isMarked} data-at={isAt} style={{ height: `${height}px` }} onClick={() => onClick(row, n)}>
      {columns.map((column) => (
        <div key={column.head} role="gridcell" class={`cell ${column.class}`}>
          {column.cell(row)}
        </div>
      ))}
    </div>
  );
}

function Head<T>({ column, sorting }: { column: Column<T>; sorting?: Sorting | undefined }) {
  const { sort, head } = column;
  if (sort === undefined || sorting === undefined)
    return (
      <div role="columnheader" class={`cell ${column.class}`}>
        {head}
      </div>
    );
  const is = sorting.by === sort ? sorting.order : null;
  return (
    <div role="columnheader" class={`cell ${column.class}`} aria-sort={is === null ? "none" : is === "asc" ? "ascending" : "descending"}>
      <button type="button" class="sort" data-is={is} onClick={() => sorting.set(sort, is === "asc" ? "desc" : "asc")}>
        {head}
        {is && <Icon name={is === "asc" ? "up" : "down"} />}
      </button>
    </div>
  );
}

function Bone({ columns, height, at }: { columns: number; height: number; at?: number }) {
  return (
    <div class="grid-row" role="row" aria-rowindex={at === undefined ? undefined : at + 2} style={{ height: `${height}px` }}>
      {Array.from({ length: columns }, (_, n) => (
        <div key={n} role="gridcell" class="cell">
          {n === 0 && <span class="bone" />}
        </div>
      ))}
    </div>
  );
}

export function useMedia(query: string): boolean {
  const [holds, setHolds] = useState(() => matchMedia(query).matches);
  useEffect(() => {
    const list = matchMedia(query);
    const changed = () => setHolds(list.matches);
    list.addEventListener("change", changed);
    return () => list.removeEventListener("change", changed);
  }, [query]);
  return holds;
}
