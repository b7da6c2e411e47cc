/** The few signs the page uses, drawn on a grid of 16. They say nothing that no word beside them says. */

const DRAWN = {
  overview: "M2.5 9.5v3a1 1 0 0 0 1 1h9a1 1 0 0 0 1-1v-3M6 3.5h4v4H6z",
  transfers: "M5 13V3.5M2.5 6 5 3.5 7.5 6M11 3v9.5M8.5 10l2.5 2.5 2.5-2.5",
  files: "M4 2.5h5l3 3v8H4zM9 2.5v3h3",
  roots: "M2 4.5a1 1 0 0 1 1-1h3.2l1.5 1.7H13a1 1 0 0 1 1 1V12a1 1 0 0 1-1 1H3a1 1 0 0 1-1-1z",
  rules: "M2.5 4h11M4.5 8h7M6.5 12h3",
  servers: "M3 3h10v4H3zM3 9h10v4H3zM5.5 5h.01M5.5 11h.01",
  settings: "M2.5 5h6M11.5 5h2M2.5 11h2M7.5 11h6M10 3.5v3M6 9.5v3",
  held: "M8 2.2 14 13H2zM8 6.5v3M8 11.2v.1",
  activity: "M2 8.5h2.5L6.5 4l3 8 2-3.5H14",
  scan: "M13 8a5 5 0 1 1-1.6-3.7M13 2.5V5h-2.5",
  pause: "M5.5 3.5v9M10.5 3.5v9",
  play: "M5 3.2v9.6L12.5 8z",
  menu: "M2.5 4.5h11M2.5 8h11M2.5 11.5h11",
  close: "M4 4l8 8M12 4l-8 8",
  check: "M3 8.5l3.2 3.2L13 4.8",
  search: "M7 11.5a4.5 4.5 0 1 0 0-9 4.5 4.5 0 0 0 0 9zM10.3 10.3 13.5 13.5",
  plus: "M8 3v10M3 8h10",
  up: "M8 12.5v-9M4.5 7 8 3.5 11.5 7",
  down: "M4 6.5 8 10.5l4-4",
  back: "M10 3.5 5.5 8l4.5 4.5",
  next: "M6 3.5 10.5 8 6 12.5",
  fetch: "M8 2.5v7.5M4.8 7 8 10.2 11.2 7M3 13.5h10",
  copy: "M5.5 5.5h7v8h-7zM3.5 10.5v-8h7",
  sun: "M8 11a3 3 0 1 0 0-6 3 3 0 0 0 0 6zM8 1.5v1.2M8 13.3v1.2M1.5 8h1.2M13.3 8h1.2M3.4 3.4l.9.9M11.7 11.7l.9.9M12.6 3.4l-.9.9M4.3 11.7l-.9.9",
  moon: "M13 9.5A5.5 5.5 0 0 1 6.5 3a5.5 5.5 0 1 0 6.5 6.5z",
  auto: "M8 2.5a5.5 5.5 0 1 0 0 11zM8 2.5a5.5 5.5 0 0 1 0 11",
  trash: "M3 4.5h10M6.5 4.5v-2h3v2M4.5 4.5l.6 9h5.8l.6-9",
  unplugged: "M2.5 13.5 5 11M11 5l2.5-2.5M6 6l4 4M5 7.5a2.5 2.5 0 0 0 3.5 3.5M7.5 5A2.5 2.5 0 0 1 11 8.5",
} as const;

export type IconName = keyof typeof DRAWN;

export function Icon({ name }: { name: IconName }) {
  return (
    <svg class="icon" viewBox="0 0 16 16" width="16" height="16" aria-hidden="true" focusable="false">
      <path d={DRAWN[name]} />
    </svg>
  );
}

export function Mark() {
  return (
    <svg class="mark" viewBox="0 0 32 32" width="28" height="28" aria-hidden="true" focusable="false">
      <rect class="mark-ground" width="32" height="32" rx="8" />
      <path class="mark-place" d="M8 15v6a3 3 0 0 0 3 3h10a3 3 0 0 0 3-3v-6" />
      <rect class="mark-put" x="12" y="7" width="8" height="8" rx="2" />
    </svg>
  );
}
