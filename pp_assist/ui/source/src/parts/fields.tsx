/** Fields of forms: each with its label, what it means, and what is wrong with it. */

import type { ComponentChildren, InputHTMLAttributes } from "preact";
import { useId } from "preact/hooks";

interface Common {
  label: string;
  hint?: ComponentChildren;
  error?: string | undefined;
}

interface TextProps extends Common {
  value: string;
  onInput: (value: string) => void;
  type?: "text" | "password" | "url" | "search" | "number";
  unit?: string | undefined;
  lines?: number;
  required?: boolean;
  autoFocus?: boolean;
  mono?: boolean;
  placeholder?: string;
  min?: number | undefined;
  max?: number | undefined;
  step?: string;
  children?: ComponentChildren;
}

export function TextField({ label, hint, error, value, onInput, type = "text", unit, lines, mono, children, autoFocus, ...rest }: TextProps) {
  const id = useId();
  const common = {
    id,
    value,
    class: mono ? "input mono" : "input",
    spellcheck: false,
    autocomplete: type === "password" ? "new-password" : "off",
    "aria-invalid": error !== undefined,
    "aria-describedby": `${id}-more`,
    onInput: (event: Event) => onInput((event.target as HTMLInputElement).value),
    ref: (element: HTMLElement | null) => {
      if (autoFocus && element && !element.dataset.focused) {
        element.dataset.focused = "yes";
        element.focus();
      }
    },
  };
  return (
    <div class="field">
      <label for={id}>{label}</label>
      <div class="field-row">
        {lines ? <textarea {...common} rows={lines} {...rest} /> : <input {...({ ...common, ...rest, type } as InputHTMLAttributes<HTMLInputElement>)} />}
        {unit && <span class="unit">{unit}</span>}
        {children}
      </div>
      <More id={id} hint={hint} error={error} />
    </div>
  );
}

export function SelectField({ label, hint, error, value, onInput, choices, hideLabel = false }: Common & { value: string; onInput: (value: string) => void; choices: [string, string][]; hideLabel?: boolean }) {
  const id = useId();
  return (
    <div class="field">
      <label for={id} class={hideLabel ? "unseen" : ""}>
        {label}
      </label>
      <select id={id} class="input" value={value} aria-describedby={`${id}-more`} onInput={(event) => onInput((event.target as HTMLSelectElement).value)}>
        {choices.map(([word, text]) => (
          <option key={word} value={word} selected={word === value}>
            {text}
          </option>
        ))}
      </select>
      <More id={id} hint={hint} error={error} />
    </div>
  );
}

export function CheckField({ label, hint, error, value, onInput }: Common & { value: boolean; onInput: (value: boolean) => void }) {
  const id = useId();
  return (
    <div class="field field-check">
      <input id={id} type="checkbox" checked={value} aria-describedby={`${id}-more`} onInput={(event) => onInput((event.target as HTMLInputElement).checked)} />
      <div>
        <label for={id}>{label}</label>
        <More id={id} hint={hint} error={error} />
      </div>
    </div>
  );
}

export function Choices({ label, value, onInput, choices }: { label: string; value: string; onInput: (value: string) => void; choices: { word: string; text: string; says: string }[] }) {
  const id = useId();
  return (
    <fieldset class="field choices">
      <legend>{label}</legend>
      {choices.map(({ word, text, says }) => (
        <label key={word} class="choice">
          <input type="radio" name={id} value={word} checked={value === word} onInput={() => onInput(word)} />
          <span>
            <strong>{text}</strong>
            <span class="hint">{says}</span>
          </span>
        </label>
      ))}
    </fieldset>
  );
}

function More({ id, hint, error }: { id: string; hint?: ComponentChildren; error?: string | undefined }) {
  return (
    <div id={`${id}-more`} class="field-more">
      {error && (
        <p class="field-error" role="alert">
          {error}
        </p>
      )}
      {hint && <p class="hint">{hint}</p>}
    </div>
  );
}
