/** A window over the page: the browser's own, which keeps the focus and closes with Escape. What destroys nothing has the focus. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { useDoing } from "../live/asked";
import { Button, Problem } from "./basics";

export function Dialog({ title, wide = false, onClose, children }: { title: string; wide?: boolean; onClose: () => void; children: ComponentChildren }) {
  const dialog = useRef<HTMLDialogElement>(null);
  useEffect(() => {
    const opener = document.activeElement;
    dialog.current?.showModal();
    return () => {
      if (opener instanceof HTMLElement && opener.isConnected) opener.focus();
    };
  }, []);
  return (
    <dialog
      ref={dialog}
      class={wide ? "dialog dialog-wide" : "dialog"}
      aria-labelledby="dialog-title"
      onClose={onClose}
      onMouseDown={(event) => {
        if (event.target === event.currentTarget) dialog.current?.close();
      }}
    >
      <div class="dialog-inner">
        <div class="dialog-head">
          <h2 id="dialog-title">{title}</h2>
          <Button kind="quiet" icon="close" aria-label="Close" onClick={() => dialog.current?.close()} />
        </div>
        {children}
      </div>
    </dialog>
  );
}

interface Confirming {
  title: string;
  says: ComponentChildren;
  word: string;
  danger?: boolean;
  work: () => Promise<unknown>;
}

/** Ask before something is done that is not undone by a click. */
export function useConfirm(): [ComponentChildren, (what: Confirming) => void] {
  const [what, setWhat] = useState<Confirming | null>(null);
  return [what && <Confirm key={what.title} {...what} onClose={() => setWhat(null)} />, setWhat];
}

function Confirm({ title, says, word, danger, work, onClose }: Confirming & { onClose: () => void }) {
  const doing = useDoing();
  return (
    <Dialog title={title} onClose={onClose}>
      <div class="stack">
        <div>{says}</div>
        {doing.error && <Problem error={doing.error} />}
        <div class="actions actions-end">
          <Button autofocus onClick={onClose}>
            Cancel
          </Button>
          <Button
            kind={danger ? "danger" : "main"}
            busy={doing.busy}
            onClick={() => void doing.run(work).then((ok) => ok && onClose())}
          >
            {word}
          </Button>
        </div>
      </div>
    </Dialog>
  );
}
