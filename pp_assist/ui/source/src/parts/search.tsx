/** Searching a screen: what is typed is in the address a moment later, and what is in the address is in the box. */

import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef, useState } from "preact/hooks";
import { change, said } from "../route";
import { Icon } from "./icons";

const TYPED_MS = 250;

/** The box, and beside it whatever else narrows down what is shown. *of*: the screen; *label*: what a text is looked for in. */
export function Search({ of, label, children }: { of: string; label: string; children: ComponentChildren }) {
  return (
    <form class="filters" role="search" aria-label={of} onSubmit={(event) => event.preventDefault()}>
      <Box label={label} />
      {children}
    </form>
  );
}

function Box({ label }: { label: string }) {
  const id = useId();
  const text = said("text");
  const [typed, setTyped] = useState(text);
  const given = useRef(text);
  useEffect(() => {
    if (text !== given.current) setTyped(text); // somebody else's: a link, the way back
    given.current = text;
  }, [text]);
  useEffect(() => {
    if (typed === given.current) return undefined;
    const timer = setTimeout(() => {
      given.current = typed;
      change({ text: typed });
    }, TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  return (
    <div class="field search">
      <label for={id} class="unseen">
        {label}
      </label>
      <Icon name="search" />
      <input
        id={id}
        type="search"
        class="input"
        value={typed}
        spellcheck={false}
        autocomplete="off"
        placeholder={label}
        onInput={(event) => setTyped(event.currentTarget.value)}
      />
    </div>
  );
}
