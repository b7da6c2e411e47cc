/** What somebody sees who is not let in (any more). */

import { Mark } from "../parts/icons";

export function Enter() {
  return (
    <main id="main" class="enter">
      <div class="enter-card">
        <Mark />
        <h1>This page needs a new link</h1>
        <p>
          It is let in by a link that works once, and stays for 12 hours or until the daemon stops. In a terminal on this machine:
        </p>
        <pre class="command" tabIndex={0}>
          <code>pp_assist ui</code>
        </pre>
        <p class="hint">
          <code>pp_assist ui --no-open</code> prints the link instead of opening it.
        </p>
      </div>
    </main>
  );
}
