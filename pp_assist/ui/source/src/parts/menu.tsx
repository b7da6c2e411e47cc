/** A button that opens a few others. */

import type { ComponentChildren } from "preact";
import { useEffect, useRef, useState } from "preact/hooks";
import { Icon, type IconName } from "./icons";

export interface Choice {
  word: string;
  choose: () => void;
}

export function Menu({ icon, label, busy = false, choices, children }: { icon: IconName; label: string; busy?: boolean; choices: Choice[]; children?: ComponentChildren }) {
  const [open, setOpen] = useState(false);
  const whole = useRef<HTMLDivElement>(null);
  const button = useRef<HTMLButtonElement>(null);

  useEffect(() => {
    if (!open) return undefined;
    whole.current?.querySelector<HTMLElement>("[role=menuitem]")?.focus();
    const away = (event: Event) => {
      if (!whole.current?.contains(event.target as Node)) setOpen(false);
    };
    document.addEventListener("pointerdown", away);
    return () => document.removeEventListener("pointerdown", away);
  }, [open]);

  const move = (event: KeyboardEvent) => {
    const items = [...(whole.current?.querySelectorAll<HTMLElement>("[role=menuitem]") ?? [])];
    const at = items.indexOf(document.activeElement as HTMLElement);
    const next = { ArrowDown: at + 1, ArrowUp: at - 1, Home: 0, End: items.length - 1 }[event.key];
    if (next !== undefined) {
      event.preventDefault();
      items.at(next % items.length)?.focus();
    } else if (event.key === "Escape" || event.key === "Tab") {
      if (event.key === "Escape") event.stopPropagation();
      setOpen(false);
      button.current?.focus();
    }
  };

  return (
    <div class="menu" ref={whole}>
      <button
        ref={button}
        type="button"
        class="button button-plain"
        aria-haspopup="menu"
        aria-expanded={open}
        aria-busy={busy}
        aria-label={label}
        disabled={busy}
        onClick={() => setOpen(!open)}
      >
        <Icon name={icon} />
        {children && <span>{children}</span>}
        <Icon name="down" />
      </button>
      {open && (
        <div class="menu-list" role="menu" aria-label={label} onKeyDown={move}>
          {choices.map(({ word, choose }) => (
            <button
              key={word}
              type="button"
              role="menuitem"
              tabIndex={-1}
              onClick={() => {
                setOpen(false);
                button.current?.focus();
                choose();
              }}
            >
              {word}
            </button>
          ))}
        </div>
      )}
    </div>
  );
}
