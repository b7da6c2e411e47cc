/** Events that come by themselves, beside a list of them that was asked for. Pure. */

import type { Happened } from "../api/shapes";

/** Return those of *heard* that are newer than the list, newest first: they may have come while it was on its way. */
export function unlisted(heard: readonly Happened[], listed: readonly Happened[]): Happened[] {
  const newest = listed[0]?.id ?? 0;
  return heard.filter((each) => each.id > newest);
}

/** Say whether the daemon would list *each* of this kind, with this in its path or message. */
export function isLike(each: Happened, kind: string, text: string): boolean {
  const words = text.toLowerCase().split(/\s+/).filter((word) => word !== "");
  const where = `${each.filepath ?? ""} ${each.message ?? ""}`.toLowerCase();
  return (kind === "" || each.event_type === kind) && words.every((word) => where.includes(word));
}
