/** Getting a file back from the server, to a place of the person's choice. */

import { useState } from "preact/hooks";
import { cancelFetch, fetchBack, fetches } from "../api/routes";
import type { FetchJob } from "../api/shapes";
import { useAsked, useDoing } from "../live/asked";
import { count, size } from "../text/format";
import { nameIn, sameName, type Name } from "../text/names";
import { fetched } from "../text/words";
import { Button, Meter, Notice, Problem, sentence } from "./basics";
import { Dialog } from "./dialog";
import { NameText } from "./name";
import { FolderPicker } from "./picker";
import { Versions } from "./versions";

const OFTEN_MS = 700;
const ON = ["fetch_started", "fetch_complete", "fetch_failed"];

/** *sha256*: of what the file is known to be now. */
export function FetchBack({ path, sha256 }: { path: Name; sha256: string | null }) {
  const [asking, setAsking] = useState<{ version?: string } | null>(null);
  const [listing, setListing] = useState(false);
  const [runs, setRuns] = useState(false);
  const jobs = useAsked(
    async (options) => {
      const { fetches: all } = await fetches(options);
      const mine = all.filter((job) => sameName(nameIn(job, "filepath"), path));
      setRuns(mine.some((job) => job.state === "waiting" || job.state === "running"));
      return mine.slice(0, 3);
    },
    [path],
    { on: ON, ...(runs && { everyMs: OFTEN_MS }) },
  );
  return (
    <section aria-label="Fetch it back" class="stack-small">
      <div class="actions">
        <Button icon="fetch" onClick={() => setAsking({})}>
          Fetch it back from the server
        </Button>
        <Button kind="quiet" aria-expanded={listing} onClick={() => setListing(!listing)}>
          Versions
        </Button>
      </div>
      {jobs.error && <Problem error={jobs.error} again={jobs.again} />}
      {jobs.data?.map((job) => <Job key={job.id} job={job} sha256={sha256} again={jobs.again} />)}
      {listing && <Versions path={path} onPick={(version) => setAsking({ version })} />}
      {asking && (
        <Where
          path={path}
          version={asking.version}
          onClose={() => {
            setAsking(null);
            jobs.again();
          }}
        />
      )}
    </section>
  );
}

function Where({ path, version, onClose }: { path: Name; version: string | undefined; onClose: () => void }) {
  const [folder, setFolder] = useState<Name | null>(null);
  const doing = useDoing();
  const fetchTo = (to: Name | null) => void doing.run(() => fetchBack(path, to, version)).then((ok) => ok && onClose());
  return (
    <Dialog title={version === undefined ? "Fetch it back to where?" : "Fetch this version to where?"} onClose={onClose}>
      <div class="stack">
        <FolderPicker at={null} toWatch={false} onPick={setFolder} />
        <p class="hint">What is there already is never written over: where something else has its name, it gets another one beside it.</p>
        {doing.error && <Problem error={doing.error} />}
        <div class="actions actions-end">
          <Button onClick={onClose}>Cancel</Button>
          <Button busy={doing.busy} onClick={() => fetchTo(null)}>
            To its own place
          </Button>
          <Button kind="main" busy={doing.busy} disabled={folder === null} onClick={() => fetchTo(folder)}>
            Into this folder
          </Button>
        </div>
      </div>
    </Dialog>
  );
}

function Job({ job, sha256, again }: { job: FetchJob; sha256: string | null; again: () => void }) {
  const doing = useDoing();
  const to = <code class="wrap"><NameText name={nameIn(job, "to")} most={300} /></code>;
  if (job.state === "done") {
    const { words, isEarlier } = fetched(job, sha256);
    return (
      <Notice tone={isEarlier ? "calm" : "good"} icon={isEarlier ? "fetch" : "check"}>
        {words} {to}.{" "}
        {job.inconsistent && <span>It was read while it changed, and may hold parts of several moments. </span>}
        {job.verified && <span class="hint">{job.verified === "receipt" ? "Checked against the signed receipt." : "Checked against its digest."}</span>}
      </Notice>
    );
  }
  if (job.state === "failed" || job.state === "cancelled")
    return (
      <Notice tone={job.state === "failed" ? "bad" : "calm"} icon="held">
        {job.state === "failed" ? sentence(job.problem?.text ?? "it could not be fetched") : "You stopped fetching it."}
      </Notice>
    );
  const total = job.size_bytes ?? 0;
  return (
    <div class="stack-small">
      <p class="hint">
        {job.state === "waiting" ? "Waits to be fetched to" : "Being fetched to"} {to}
      </p>
      <Meter label="Fetched" done={job.bytes_done} total={total} text={`${size(job.bytes_done)} of ${size(total)}`} />
      <div class="actions">
        <span class="hint number">
          {size(job.bytes_done)} of {job.size_bytes === null ? "?" : size(total)} {total > 0 && `(${count(Math.floor((100 * job.bytes_done) / total))} %)`}
        </span>
        <Button kind="quiet" busy={doing.busy} onClick={() => void doing.run(() => cancelFetch(job.id)).then(again)}>
          Stop
        </Button>
      </div>
      {doing.error && <Problem error={doing.error} />}
    </div>
  );
}
