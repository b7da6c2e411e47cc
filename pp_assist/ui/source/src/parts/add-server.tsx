/** The form for a server, with a try before it counts. */

import { useState } from "preact/hooks";
import { Refused } from "../api/client";
import { addServer, tryServer } from "../api/routes";
import type { Server, Trial } from "../api/shapes";
import { useDoing } from "../live/asked";
import { Button, Problem, sentence } from "./basics";
import { CheckField, TextField } from "./fields";
import { TrialShown } from "./trial";

export function AddServer({ first = false, onAdded, onCancel }: { first?: boolean; onAdded: (server: Server) => void; onCancel?: () => void }) {
  const [form, setForm] = useState({ name: first ? "main" : "", url: "", api_key: "", fingerprint: "", ca_file: "", is_default: false });
  const [trial, setTrial] = useState<Trial | null>(null);
  const trying = useDoing();
  const adding = useDoing();
  const problem = adding.error ?? trying.error;
  const set = (changed: Partial<typeof form>) => {
    setForm({ ...form, ...changed });
    setTrial(null);
  };
  const where = {
    url: form.url.trim(),
    api_key: form.api_key.trim(),
    ...(form.fingerprint.trim() !== "" && { fingerprint: form.fingerprint.trim() }),
    ...(form.ca_file.trim() !== "" && { ca_file: form.ca_file.trim() }),
  };
  const isFull = where.url !== "" && where.api_key !== "";
  const add = async () => onAdded(await addServer({ ...where, name: form.name.trim(), is_default: form.is_default }));
  const wrong = (field: string) => fieldProblem(problem, field);
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void adding.run(async () => {
          const found = trial ?? (await tryServer(where));
          setTrial(found);
          if (found.ok) await add();
        });
      }}
    >
      <TextField label="Address" type="url" mono value={form.url} error={wrong("url")} placeholder="https://files.example.org" required autoFocus onInput={(url) => set({ url })} />
      <TextField label="API key" type="password" mono value={form.api_key} error={wrong("api_key")} required onInput={(api_key) => set({ api_key })} />
      <TextField label="Name" value={form.name} error={wrong("name")} hint="What you call it." required onInput={(name) => set({ name })} />
      <details class="more">
        <summary>Whom to believe</summary>
        <div class="stack">
          <TextField
            label="Fingerprint of its certificate"
            mono
            value={form.fingerprint}
            error={wrong("fingerprint")}
            hint="SHA-256, for a certificate that nobody vouches for. pp_server tls self-signed prints it."
            onInput={(fingerprint) => set({ fingerprint })}
          />
          <TextField label="File with its authorities" mono value={form.ca_file} error={wrong("ca_file")} hint="PEM, an absolute path on this machine." onInput={(ca_file) => set({ ca_file })} />
        </div>
      </details>
      {!first && <CheckField label="Uploads go there from now on" value={form.is_default} onInput={(is_default) => set({ is_default })} />}
      {trial && <TrialShown trial={trial} />}
      {problem && !isOfField(problem) && <Problem error={problem} />}
      <div class="actions actions-end">
        {onCancel && <Button onClick={onCancel}>Cancel</Button>}
        <Button busy={trying.busy} disabled={!isFull || adding.busy} onClick={() => void trying.run(async () => setTrial(await tryServer(where)))}>
          Test
        </Button>
        {trial && !trial.ok ? (
          <Button kind="danger" busy={adding.busy} disabled={form.name.trim() === ""} onClick={() => void adding.run(add)}>
            Add it all the same
          </Button>
        ) : (
          <Button kind="main" type="submit" busy={adding.busy} disabled={!isFull || form.name.trim() === "" || trying.busy}>
            {first ? "Add and go on" : "Add the server"}
          </Button>
        )}
      </div>
    </form>
  );
}

/** Return what *problem* says about *field*. */
export function fieldProblem(problem: Error | null, field: string): string | undefined {
  if (!(problem instanceof Refused)) return undefined;
  const found = problem.fields.find((each) => each.field === field || each.field.startsWith(`${field}.`));
  return found && sentence(found.message.replace(/^Value error, /, ""));
}

function isOfField(problem: Error): boolean {
  return problem instanceof Refused && problem.fields.some((each) => ["url", "api_key", "name", "fingerprint", "ca_file"].includes(each.field));
}
