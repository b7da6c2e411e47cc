/** Says so where what is shown is no longer how it is, or where everybody may ask. */

import { connection, nowMs, refresh, status } from "../live/connection";
import { streaming } from "../live/stream";
import { clock, duration } from "../text/format";
import { Button, sentence } from "./basics";
import { Icon } from "./icons";

export function Banner() {
  const { state, answeredAtMs, retryAtMs, why } = connection.value;
  if (state === "lost") {
    const since = answeredAtMs === null ? null : clock(new Date(answeredAtMs).toISOString(), nowMs.value);
    const left = retryAtMs === null ? 0 : Math.max(0, (retryAtMs - nowMs.value) / 1000);
    return (
      <section class="banner tone-bad" aria-label="Connection">
        <Icon name="unplugged" />
        <div class="banner-text">
          <div role="alert">
            <strong>{since === null ? "Not connected." : `Not connected since ${since}.`}</strong>{" "}
            {since === null ? sentence(why ?? "the daemon does not answer") : "What you see is from then."}
          </div>
          <span class="banner-retry">{left < 1 ? "Trying again…" : `Trying again in ${duration(left)}.`}</span>
        </div>
        <Button onClick={refresh}>Try now</Button>
      </section>
    );
  }
  const warnings = status.value?.warnings ?? [];
  if (warnings.length === 0 && streaming.value !== "refused") return null;
  return (
    <section aria-label="Warnings">
      {streaming.value === "refused" && (
        <div class="banner tone-warn">
          <Icon name="held" />
          <div class="banner-text">Too many pages listen already: numbers are asked for every few seconds, and Activity shows nothing new by itself.</div>
        </div>
      )}
      {warnings.map((warning) => (
        <div key={warning.code} class="banner tone-warn">
          <Icon name="held" />
          <div class="banner-text">{sentence(warning.text)}</div>
        </div>
      ))}
    </section>
  );
}
