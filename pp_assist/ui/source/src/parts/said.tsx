/** A short word on what was just done, seen and read out once. */

import { signal } from "@preact/signals";
import { useEffect } from "preact/hooks";

const SEEN_MS = 6_000;
const said = signal<{ text: string; id: number } | null>(null);

export function say(text: string): void {
  said.value = { text, id: (said.peek()?.id ?? 0) + 1 };
}

export function Said() {
  const now = said.value;
  useEffect(() => {
    if (now === null) return undefined;
    const timer = setTimeout(() => {
      if (said.peek()?.id === now.id) said.value = null;
    }, SEEN_MS);
    return () => clearTimeout(timer);
  }, [now?.id]);
  return (
    <div class="said" role="status">
      {now && <span key={now.id}>{now.text}</span>}
    </div>
  );
}
