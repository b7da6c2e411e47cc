/** What can be set, with its unit, and what the API says of what cannot be. */

import { useState } from "preact/hooks";
import { config as askConfig, configFields, saveConfig } from "../api/routes";
import type { ConfigField, Value } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { refresh, status } from "../live/connection";
import { fieldProblem } from "../parts/add-server";
import { Button, Card, Facts, Problem, Screen, Shown } from "../parts/basics";
import { CheckField, SelectField, TextField } from "../parts/fields";
import { say } from "../parts/said";
import { count, duration } from "../text/format";
import { edited, labelOf, meant, nested, OTHERS, sections, unitOf } from "../text/settings";

export function Settings() {
  const asked = useAsked(configFields, []);
  const file = useAsked(askConfig, []);
  return (
    <Screen
      title="Settings"
      says={
        file.data && (
          <>
            They are written to <code class="wrap">{file.data.config_file}</code>; what is said in the environment wins over it.
          </>
        )
      }
    >
      <Shown asked={asked} lines={8} show={({ fields }) => <Form key={JSON.stringify(fields.map((field) => field.saved))} fields={fields} again={asked.again} />} />
    </Screen>
  );
}

function Form({ fields, again }: { fields: ConfigField[]; again: () => void }) {
  const [changes, setChanges] = useState<Record<string, string | boolean>>({});
  const doing = useDoing();
  const changed = fields.filter((field) => field.name in changes && changes[field.name] !== edited(field.saved));
  const wrong = changed.some((field) => fieldProblem(doing.error, field.name));
  const set = (name: string, value: string | boolean) => {
    setChanges({ ...changes, [name]: value });
  };
  const save = () =>
    void doing.run(async () => {
      const values: Record<string, Value> = {};
      for (const field of changed) values[field.name] = meant(field, changes[field.name] ?? "");
      const answer = await saveConfig(nested(values));
      const later = answer.at_next_start.map(labelOf).join(", ");
      say(later === "" ? "Saved; all of it is in force." : `Saved. At the daemon’s next start: ${later}.`);
      refresh();
      again();
    });
  return (
    <form
      class="settings"
      noValidate
      onSubmit={(event) => {
        event.preventDefault();
        save();
      }}
    >
      <div class="stack">
        {sections(fields).map(({ title, fields: some }) => {
          const inputs = some.map((field) => (
            <Setting key={field.name} field={field} value={changes[field.name] ?? edited(field.saved)} error={fieldProblem(doing.error, field.name)} onInput={(value) => set(field.name, value)} />
          ));
          return title === OTHERS ? (
            <details key={title} class="card more">
              <summary>{title}</summary>
              <div class="settings-fields">{inputs}</div>
            </details>
          ) : (
            <Card key={title} title={title}>
              <div class="settings-fields">{inputs}</div>
            </Card>
          );
        })}
        {status.value && (
          <Card title="This daemon">
            <Facts
              of={[
                ["Version", status.value.version],
                ["Machine", status.value.hostname],
                ["Runs for", duration(status.value.uptime_seconds)],
                ["Token asked for", status.value.token_required ? "yes" : "no: every program of this user may call"],
              ]}
            />
          </Card>
        )}
      </div>
      {doing.error && !wrong && <Problem error={doing.error} />}
      {changed.length > 0 && (
        <div class="save-bar">
          <span role="status">{changed.length === 1 ? "1 setting changed" : `${count(changed.length)} settings changed`}</span>
          <Button
            onClick={() => {
              setChanges({});
              doing.clear();
            }}
          >
            Undo
          </Button>
          <Button kind="main" type="submit" busy={doing.busy}>
            Save
          </Button>
        </div>
      )}
    </form>
  );
}

function Setting({ field, value, error, onInput }: { field: ConfigField; value: string | boolean; error: string | undefined; onInput: (value: string | boolean) => void }) {
  const label = labelOf(field.name);
  const waits = JSON.stringify(field.value) !== JSON.stringify(field.saved);
  const when = field.from_environment ? "set in the environment, which wins" : field.at_once ? "at once" : "at the next start";
  const hint = (
    <>
      {field.description} {range(field)}
      <span class="setting-name">
        <code>{field.name}</code> <span class="setting-when">{when}</span>
        {waits && <strong class="setting-waits">{inForce(field)} until then</strong>}
      </span>
    </>
  );
  if (typeof value === "boolean") return <CheckField label={label} hint={hint} error={error} value={value} onInput={onInput} />;
  if (field.choices !== null) return <SelectField label={label} hint={hint} error={error} value={value} choices={field.choices.map((word) => [word, word])} onInput={onInput} />;
  const isNumber = field.type === "integer" || field.type === "number";
  return (
    <TextField
      label={label}
      hint={hint}
      error={error}
      value={value}
      mono={!isNumber}
      unit={isNumber ? unitOf(field) : undefined}
      {...(field.type === "list" && { lines: Math.min(6, Math.max(2, value.split("\n").length)) })}
      onInput={onInput}
    />
  );
}

function inForce(field: ConfigField): string {
  const value = edited(field.value);
  return typeof value === "boolean" ? (value ? "on" : "off") : value === "" ? "nothing" : `${value} ${unitOf(field) ?? ""}`.trim();
}

function range({ minimum, maximum, default: usual, type }: ConfigField): string {
  const parts = [];
  if (minimum !== null && maximum !== null && maximum < 1e5) parts.push(`${count(minimum)} to ${count(maximum)}`);
  else if (minimum !== null && minimum > 0) parts.push(`at least ${count(minimum)}`);
  if (usual !== null && (type === "integer" || type === "number")) parts.push(`${count(Number(usual))} unless set`);
  return parts.length === 0 ? "" : `(${parts.join("; ")})`;
}
