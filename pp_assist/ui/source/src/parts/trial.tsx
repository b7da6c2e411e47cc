/** How a question to a server went. */

import type { Trial } from "../api/shapes";
import { latency } from "../text/format";
import { Notice, sentence } from "./basics";

export function TrialShown({ trial }: { trial: Trial }) {
  return (
    <div role="status">
      <Notice tone={trial.ok ? "good" : "bad"} icon={trial.ok ? "check" : "held"}>
        {trial.ok ? "Uploads to it work" : sentence(trial.text)} <span class="hint">{latency(trial.took_ms)}</span>
      </Notice>
    </div>
  );
}
