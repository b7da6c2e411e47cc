/** Choosing a folder of this machine, as the daemon sees it. */

import { useEffect, useRef, useState } from "preact/hooks";
import { folders as askFolders } from "../api/routes";
import type { Folder, Folders } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { count } from "../text/format";
import { inQuery, nameIn, type Name } from "../text/names";
import { Button, Problem, Shown } from "./basics";
import { Icon } from "./icons";
import { NameText } from "./name";

interface PickerProps {
  /** Where it is at the beginning; null: at the places to begin with. */
  at: Name | null;
  onPick: (folder: Name | null, problem: string | null) => void;
  /** Whether a folder is chosen to be watched: not all can be. */
  toWatch: boolean;
}

export function FolderPicker({ at: begin, onPick, toWatch }: PickerProps) {
  const [at, setAt] = useState<Name | null>(begin);
  const list = useRef<HTMLDivElement>(null);
  const moved = useRef(false);
  const asked = useAsked((asking) => askFolders(at, null, asking), [at]);

  useEffect(() => {
    if (asked.data === undefined || asked.loading) return;
    const here = asked.data.path === null ? null : nameIn(asked.data, "path");
    onPick(here, toWatch && here !== null && asked.data.can_add === false ? (asked.data.why_not?.text ?? "it cannot be watched") : null);
    if (moved.current) list.current?.querySelector<HTMLElement>("button")?.focus();
  }, [asked.data, asked.loading]);

  const go = (to: Name | null) => {
    moved.current = true;
    setAt(to);
  };
  return (
    <div class="picker">
      <Shown
        asked={asked}
        lines={4}
        show={(here) => (
          <>
            <div class="picker-here">
              <Button
                kind="quiet"
                icon="back"
                aria-label="One folder up"
                disabled={here.path === null}
                onClick={() => go(here.parent === null ? null : nameIn(here.parent, "path"))}
              />
              <span class="mono picker-path">{here.path === null ? "This machine" : <NameText name={nameIn(here, "path")} most={120} />}</span>
            </div>
            <div class="picker-list" ref={list} role="group" aria-label="Folders" tabIndex={0}>
              <Within key={here.path === null ? "" : inQuery(nameIn(here, "path"))} here={here} toWatch={toWatch} go={go} />
            </div>
          </>
        )}
      />
    </div>
  );
}

/** What is in one folder. More of it comes only here: an answer that comes when somebody is elsewhere is for nobody. */
function Within({ here, toWatch, go }: { here: Folders; toWatch: boolean; go: (to: Name) => void }) {
  const [more, setMore] = useState<{ folders: Folder[]; next: string | null } | null>(null);
  const doing = useDoing();
  useEffect(() => setMore(null), [here]);
  const shown = [...here.folders, ...(more?.folders ?? [])];
  const next = more === null ? here.next : more.next;
  const showMore = async (after: string) => {
    const page = await askFolders(here.path === null ? null : nameIn(here, "path"), after);
    setMore({ folders: [...(more?.folders ?? []), ...page.folders], next: page.next });
  };
  return (
    <>
      {shown.map((each) => (
        <button key={inQuery(nameIn(each, "path"))} type="button" class="picker-folder" onClick={() => go(nameIn(each, "path"))}>
          <Icon name={each.kind === "mount" ? "servers" : each.kind === "home" ? "overview" : "roots"} />
          <span class="picker-name">
            <NameText name={nameIn(each, "name")} most={120} />
            {each.kind !== "folder" && (
              <span class="hint mono">
                <NameText name={nameIn(each, "path")} most={120} />
              </span>
            )}
            {toWatch && each.why_not && each.kind === "folder" && <span class="hint">{each.why_not.text}</span>}
          </span>
          <Icon name="next" />
        </button>
      ))}
      {shown.length === 0 && <p class="hint picker-none">No folders in here.</p>}
      {doing.error && <Problem error={doing.error} />}
      {next !== null && (
        <Button kind="quiet" busy={doing.busy} onClick={() => void doing.run(() => showMore(next))}>
          {`Show more of ${count(here.total)}`}
        </Button>
      )}
    </>
  );
}
