/** What is left out in every folder, and what one more line would leave out, before it does. */

import { useEffect, useState } from "preact/hooks";
import { addExclude, excludes as askExcludes, paths as askPaths, preview as askPreview, removeExclude } from "../api/routes";
import type { Exclude } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { nowMs, refresh, status } from "../live/connection";
import { fieldProblem } from "../parts/add-server";
import { Bones, Button, Card, Empty, Problem, Screen, Shown } from "../parts/basics";
import { useConfirm } from "../parts/dialog";
import { TextField } from "../parts/fields";
import { NameText, PathText } from "../parts/name";
import { say } from "../parts/said";
import { Tree } from "../parts/tree";
import { ago, count, counted, exactly, size } from "../text/format";
import { nameIn } from "../text/names";

const TYPED_MS = 350;

export function Rules() {
  const asked = useAsked(askExcludes, [], { on: ["steered"] });
  const [confirm, ask] = useConfirm();
  const again = () => {
    asked.again();
    refresh();
  };
  return (
    <Screen title="Rules" says="What is left out is not stored, and stays on the server where it is there already. Nothing is left out but system junk unless you say so.">
      <div class="stack">
        <Add again={again} />
        <Card title="Left out in every folder" aside={status.value && <a href="#/files?status=excluded">{counted(status.value.files_excluded, "file")} left out now</a>}>
          <Shown
            asked={asked}
            show={({ patterns }) =>
              patterns.length === 0 ? (
                <Empty icon="rules" title="No rule yet">
                  Folders can have their own, too, and <code>.ppignore</code> files in them.
                </Empty>
              ) : (
                <ul class="rows">
                  {patterns.map((each) => (
                    <Pattern
                      key={each.id}
                      exclude={each}
                      onRemove={() =>
                        ask({
                          title: "Remove this rule?",
                          says: <p>What only it leaves out is found by a scan at once, and stored.</p>,
                          word: "Remove the rule",
                          work: async () => {
                            await removeExclude(each.id);
                            say("The rule is gone; everything is scanned anew.");
                            again();
                          },
                        })
                      }
                    />
                  ))}
                </ul>
              )
            }
          />
        </Card>
        <OfFolders />
      </div>
      {confirm}
    </Screen>
  );
}

function Pattern({ exclude, onRemove }: { exclude: Exclude; onRemove: () => void }) {
  return (
    <li class="row">
      <code class="pattern">
        <NameText name={{ text: exclude.pattern }} most={200} />
      </code>
      <time class="hint" title={exactly(exclude.created_at)}>
        {ago(exclude.created_at, nowMs.value)}
      </time>
      <Button kind="quiet" icon="trash" aria-label={`Remove ${exclude.pattern}`} onClick={onRemove} />
    </li>
  );
}

function Add({ again }: { again: () => void }) {
  const [typed, setTyped] = useState("");
  const [settled, setSettled] = useState("");
  const doing = useDoing();
  useEffect(() => {
    const timer = setTimeout(() => setSettled(typed.trim()), TYPED_MS);
    return () => clearTimeout(timer);
  }, [typed]);
  const asked = useAsked((asking) => askPreview(settled, null, asking), [settled], { off: settled === "" });
  const isOf = settled !== "" && settled === typed.trim();
  const wrong = fieldProblem(doing.error, "pattern") ?? (isOf ? fieldProblem(asked.error ?? null, "pattern") : undefined);
  const found = asked.data?.pattern === settled ? asked.data : undefined;
  return (
    <Card title="One more rule">
      <form
        class="stack"
        onSubmit={(event) => {
          event.preventDefault();
          void doing.run(async () => {
            await addExclude(typed.trim());
            setTyped("");
            say("The rule counts from now on; everything is scanned anew.");
            again();
          });
        }}
      >
        <TextField
          label="Pattern, as in a .gitignore"
          mono
          value={typed}
          error={wrong}
          placeholder="node_modules/"
          hint={
            <>
              <code>*.iso</code> names anywhere, <code>cache/</code> folders only, <code>/build</code> right in a watched folder, <code>!keep.iso</code> takes in again.
            </>
          }
          onInput={(next) => {
            setTyped(next);
            doing.clear();
          }}
        >
          <Button kind="main" type="submit" busy={doing.busy} disabled={typed.trim() === "" || (isOf && asked.error !== undefined)}>
            Add the rule
          </Button>
        </TextField>
        {doing.error && !wrong && <Problem error={doing.error} />}
        <div class="preview" aria-live="polite" aria-busy={isOf && asked.loading}>
          {settled === "" ? (
            <p class="hint">What it would leave out is shown here while you type.</p>
          ) : wrong ? null : found === undefined ? (
            asked.error ? <Problem error={asked.error} /> : <Bones lines={2} />
          ) : found.files === 0 ? (
            <p class="hint">Nothing that is stored, or to be, is like that.</p>
          ) : (
            <>
              <p class="preview-head">
                It would leave out <strong class="number">{counted(found.files, "file")}</strong>, <strong class="number">{size(found.size_bytes)}</strong>
              </p>
              <Tree paths={found.sample} more={found.files - found.sample.length} />
            </>
          )}
        </div>
      </form>
    </Card>
  );
}

function OfFolders() {
  const asked = useAsked(askPaths, []);
  const some = asked.data?.paths.filter((path) => path.exclude.length > 0) ?? [];
  if (some.length === 0) return null;
  return (
    <Card title="Left out in one folder" aside={count(some.reduce((sum, path) => sum + path.exclude.length, 0))}>
      <ul class="rows">
        {some.map((path) => (
          <li key={path.id} class="row row-wrap">
            <span class="mono row-path">
              <PathText path={nameIn(path, "path")} />
            </span>
            <span>
              {path.exclude.map((each) => (
                <code key={each} class="pattern">
                  <NameText name={{ text: each }} most={120} />
                </code>
              ))}
            </span>
          </li>
        ))}
      </ul>
    </Card>
  );
}
