/** The small parts that every screen is made of. */

import type { ButtonHTMLAttributes, ComponentChildren } from "preact";
import { NotReached, Refused, wordsOf } from "../api/client";
import type { Asked } from "../live/asked";
import type { Tone } from "../text/words";
import { Icon, type IconName } from "./icons";

type ButtonProps = Omit<ButtonHTMLAttributes<HTMLButtonElement>, "type" | "disabled" | "role"> & {
  icon?: IconName;
  kind?: "plain" | "main" | "danger" | "quiet";
  busy?: boolean;
  disabled?: boolean;
  children?: ComponentChildren;
  type?: "button" | "submit";
};

export function Button({ icon, kind = "plain", busy = false, disabled = false, children, type = "button", ...rest }: ButtonProps) {
  return (
    <button {...rest} type={type} class={`button button-${kind}`} aria-busy={busy} disabled={disabled || busy}>
      {icon && <Icon name={icon} />}
      {children !== undefined && <span>{children}</span>}
    </button>
  );
}

export function Chip({ tone, children }: { tone: Tone; children: ComponentChildren }) {
  return (
    <span class={`chip tone-${tone}`}>
      <span class="dot" aria-hidden="true" />
      <span class="chip-text">{children}</span>
    </span>
  );
}

export function Screen({ title, says, actions, children }: { title: string; says?: ComponentChildren; actions?: ComponentChildren; children: ComponentChildren }) {
  return (
    <>
      <div class="screen-head">
        <div>
          <h1 id="screen-title" tabIndex={-1}>
            {title}
          </h1>
          {says && <p class="lead">{says}</p>}
        </div>
        {actions && <div class="actions">{actions}</div>}
      </div>
      {children}
    </>
  );
}

export function Card({ title, aside, children, class: more = "" }: { title?: string; aside?: ComponentChildren; children: ComponentChildren; class?: string }) {
  return (
    <section class={`card ${more}`} aria-label={title}>
      {title && (
        <div class="card-head">
          <h2>{title}</h2>
          {aside && <div class="card-aside">{aside}</div>}
        </div>
      )}
      {children}
    </section>
  );
}

export function Empty({ icon, title, children }: { icon: IconName; title: string; children?: ComponentChildren }) {
  return (
    <div class="empty">
      <Icon name={icon} />
      <p class="empty-title">{title}</p>
      {children && <div class="empty-more">{children}</div>}
    </div>
  );
}

export function Problem({ error, again }: { error: Error; again?: () => void }) {
  const title = titleOf(error);
  return (
    <div class="notice tone-bad" role="alert">
      <Icon name={error instanceof NotReached ? "unplugged" : "held"} />
      <div>
        <strong>{title}.</strong> {sentence(wordsOf(error))}
        {again && (
          <Button kind="quiet" onClick={again}>
            Try again
          </Button>
        )}
      </div>
    </div>
  );
}

/** What kind of problem it is: nothing to be had now, nothing that may be, or nothing that works. */
function titleOf(error: Error): string {
  if (error instanceof NotReached) return "No answer";
  if (!(error instanceof Refused)) return "That did not work";
  if (error.status === 503) return "Not now";
  return error.status < 500 ? "Refused" : "That did not work";
}

export function Notice({ tone, icon = "check", children }: { tone: Tone; icon?: IconName; children: ComponentChildren }) {
  return (
    <div class={`notice tone-${tone}`}>
      <Icon name={icon} />
      <div>{children}</div>
    </div>
  );
}

/** What is shown of *asked*: grey bars until there is an answer, what was wrong, or what *show* makes of it. */
export function Shown<T>({ asked, lines = 3, show }: { asked: Asked<T>; lines?: number; show: (data: T) => ComponentChildren }) {
  return (
    <>
      {asked.error && <Problem error={asked.error} again={asked.again} />}
      {asked.data !== undefined ? show(asked.data) : !asked.error && <Bones lines={lines} />}
    </>
  );
}

export function Bones({ lines }: { lines: number }) {
  return (
    <div class="bones" role="status" aria-label="Loading">
      {Array.from({ length: lines }, (_, at) => (
        <div key={at} class="bone" />
      ))}
    </div>
  );
}

/** Name and value, one beside the other, numbers in line. */
export function Facts({ of }: { of: [string, ComponentChildren][] }) {
  return (
    <dl class="facts">
      {of.map(([name, value]) => (
        <div key={name}>
          <dt>{name}</dt>
          <dd>{value}</dd>
        </div>
      ))}
    </dl>
  );
}

export function Meter({ done, total, label, text }: { done: number; total: number; label: string; text?: string }) {
  const share = total > 0 ? Math.min(1, done / total) : 0;
  return (
    <div
      class="meter"
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={Math.floor(share * 100)}
      aria-valuetext={text}
    >
      <div ref={(bar) => bar?.style.setProperty("--share", String(share))} class="meter-done" />
    </div>
  );
}

export function sentence(text: string): string {
  const first = text.charAt(0).toUpperCase() + text.slice(1);
  return /[.!?…]$/.test(first) ? first : `${first}.`;
}
