/** The form for a folder that is to be watched: on this machine, or on an SFTP server. */

import { useState } from "preact/hooks";
import { addPath } from "../api/routes";
import type { WatchedPath } from "../api/shapes";
import { useDoing } from "../live/asked";
import { inBody, plainly, type Name } from "../text/names";
import { fieldProblem } from "./add-server";
import { Button, Notice, Problem, sentence } from "./basics";
import { CheckField, Choices, TextField } from "./fields";
import { NameText } from "./name";
import { FolderPicker } from "./picker";

interface Adding {
  onAdded: (path: WatchedPath) => void;
  /** Where it can be left: not in the first steps. */
  onCancel?: () => void;
}

export function AddFolder(adding: Adding) {
  const [kind, setKind] = useState("local");
  return (
    <div class="stack">
      <div class="tabs" role="group" aria-label="Where the folder is">
        {[
          ["local", "On this machine"],
          ["sftp", "On an SFTP server"],
        ].map(([word = "", text]) => (
          <button key={word} type="button" class="tab" aria-pressed={kind === word} onClick={() => setKind(word)}>
            {text}
          </button>
        ))}
      </div>
      {kind === "local" ? <Local {...adding} /> : <DropFolder {...adding} />}
    </div>
  );
}

function Local({ onAdded, onCancel }: Adding) {
  const [chosen, setChosen] = useState<{ folder: Name | null; problem: string | null }>({ folder: null, problem: null });
  const [policy, setPolicy] = useState("mirror");
  const [recursive, setRecursive] = useState(true);
  const [exclude, setExclude] = useState("");
  const doing = useDoing();
  const { folder, problem } = chosen;
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        if (folder !== null) void doing.run(async () => onAdded(await addPath({ ...inBody(folder), policy, recursive, exclude: linesOf(exclude) })));
      }}
    >
      <FolderPicker at={null} toWatch onPick={(picked, why) => setChosen({ folder: picked, problem: why })} />
      <details class="more">
        <summary>What is told of deletions, and what is left out</summary>
        <div class="stack">
          <Choices
            label="Deletions"
            value={policy}
            onInput={setPolicy}
            choices={[
              { word: "mirror", text: "Mirror", says: "The server is told what is deleted here. It keeps content and older versions all the same." },
              { word: "archive", text: "Archive", says: "The server is never told of a deletion." },
            ]}
          />
          <CheckField label="Folders in it, too" value={recursive} onInput={setRecursive} />
          <TextField label="Left out" mono lines={3} value={exclude} error={fieldProblem(doing.error, "exclude")} hint="One pattern a line, as in a .gitignore." onInput={setExclude} />
        </div>
      </details>
      {problem && (
        <Notice tone="warn" icon="held">
          {sentence(problem)}
        </Notice>
      )}
      {doing.error && !fieldProblem(doing.error, "exclude") && <Problem error={doing.error} />}
      <div class="actions actions-end">
        {onCancel && <Button onClick={onCancel}>Cancel</Button>}
        <Button kind="main" type="submit" busy={doing.busy} disabled={folder === null || problem !== null}>
          {folder === null ? "Choose a folder" : "Watch this folder"}
        </Button>
      </div>
      <p class="unseen" role="status">
        {folder && `Chosen: ${plainly(folder)}`}
      </p>
    </form>
  );
}

function DropFolder({ onAdded, onCancel }: Adding) {
  const [form, setForm] = useState({ path: "", password: "", key_file: "", host_key: "", after: "leave", patterns: "" });
  const doing = useDoing();
  const set = (changed: Partial<typeof form>) => setForm({ ...form, ...changed });
  const wrong = (field: string) => fieldProblem(doing.error, field) ?? fieldProblem(doing.error, `sftp.${field}`);
  const sftp = {
    ...(form.password !== "" && { password: form.password }),
    ...(form.key_file.trim() !== "" && { key_file: form.key_file.trim() }),
    ...(form.host_key.trim() !== "" && { host_key: form.host_key.trim() }),
    after: form.after,
    patterns: linesOf(form.patterns),
  };
  return (
    <form
      class="stack"
      onSubmit={(event) => {
        event.preventDefault();
        void doing.run(async () => onAdded(await addPath({ path: form.path.trim(), sftp })));
      }}
    >
      <TextField label="Address" mono required value={form.path} error={wrong("path")} placeholder="sftp://user@host/folder" onInput={(path) => set({ path })} />
      <TextField label="Password" type="password" value={form.password} onInput={(password) => set({ password })} />
      <TextField label="Or a key file" mono value={form.key_file} error={wrong("key_file")} hint="An absolute path on this machine." onInput={(key_file) => set({ key_file })} />
      <TextField label="Host key" mono value={form.host_key} error={wrong("host_key")} hint="SHA256:…; without it, ~/.ssh/known_hosts is believed." onInput={(host_key) => set({ host_key })} />
      <Choices
        label="Once a file is stored"
        value={form.after}
        onInput={(after) => set({ after })}
        choices={[
          { word: "leave", text: "Leave it", says: "Nothing there is changed." },
          { word: "move", text: "Move it", says: "To in_progress, below the folder." },
          { word: "remove", text: "Remove it", says: "From the SFTP server; this server keeps it." },
        ]}
      />
      <TextField label="Only names like" mono lines={2} value={form.patterns} hint="One a line, such as *.pdf. Empty: all." onInput={(patterns) => set({ patterns })} />
      {doing.error && <Problem error={doing.error} />}
      <div class="actions actions-end">
        {onCancel && <Button onClick={onCancel}>Cancel</Button>}
        <Button kind="main" type="submit" busy={doing.busy} disabled={form.path.trim() === ""}>
          Watch this folder
        </Button>
      </div>
    </form>
  );
}

/** Return the first name of a watched path that is shown in a sentence. */
export function FolderName({ of }: { of: Name }) {
  return (
    <span class="mono">
      <NameText name={of} most={120} />
    </span>
  );
}

function linesOf(text: string): string[] {
  return text.split("\n").filter((line) => line.trim() !== "");
}
