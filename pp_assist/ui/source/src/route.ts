/** Which screen is shown, and of what: it is in the fragment, so that it can be kept, gone back to and sent on. */

import { signal } from "@preact/signals";

export interface Route {
  screen: string;
  /** Values are as they were written: names in them are bytes, and percent-encoded. */
  query: Record<string, string>;
}

export const FIRST = "overview";

export function parseRoute(fragment: string): Route {
  const [path = "", query = ""] = fragment.replace(/^#?\/?/, "").split("?", 2);
  const pairs = query.split("&").filter((each) => each !== "");
  return {
    screen: path === "" ? FIRST : path,
    query: Object.fromEntries(pairs.map((each) => [each.split("=", 1)[0] ?? "", each.slice(each.indexOf("=") + 1)])),
  };
}

export const route = signal(parseRoute(location.hash));

/** Follow the address. */
export function follow(): void {
  window.addEventListener("hashchange", () => {
    route.value = parseRoute(location.hash);
  });
}

/** Return the text that the query has under *key*. */
export function said(key: string): string {
  const raw = route.value.query[key] ?? "";
  try {
    return decodeURIComponent(raw);
  } catch {
    return "";
  }
}

/** Change what the screen is of; empty values go. *values* that are names are encoded already. */
export function change(values: Record<string, string>, encoded = false): void {
  const { screen, query } = route.peek();
  const next = { ...query };
  for (const [key, value] of Object.entries(values)) {
    if (value === "") delete next[key];
    else next[key] = encoded ? value : encodeURIComponent(value);
  }
  const text = Object.entries(next)
    .map(([key, value]) => `${key}=${value}`)
    .join("&");
  history.replaceState(null, "", `#/${screen}${text === "" ? "" : `?${text}`}`);
  route.value = { screen, query: next };
}
