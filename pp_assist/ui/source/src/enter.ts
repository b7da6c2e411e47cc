/** The ticket that `pp_assist ui` opens the page with. It is good once, for a minute. */

import { route } from "./route";

const TICKET = /^#ticket=([\w-]+)$/;

export function isTicket(): boolean {
  return TICKET.test(location.hash);
}

/** Return the ticket in the address, and take it out of there: it stays in no history. */
export function takeTicket(): string | null {
  const found = TICKET.exec(location.hash);
  if (found === null) return null;
  history.replaceState(null, "", "#/");
  route.value = { screen: "overview", query: {} };
  return found[1] ?? null;
}
