/** Every file there is, found again among hundreds of thousands. Searching, sorting and paging are the API's. */

import { useState } from "preact/hooks";
import { files as askFiles, paths as askPaths } from "../api/routes";
import type { FileItem } from "../api/shapes";
import { useAsked } from "../live/asked";
import { nowRoughlyMs } from "../live/connection";
import { Chip, Empty, Screen } from "../parts/basics";
import { FilePanel } from "../parts/file-panel";
import { SelectField } from "../parts/fields";
import { Grid, type Column } from "../parts/grid";
import { PathText } from "../parts/name";
import { Search } from "../parts/search";
import { clock, exactly, listed, past, size } from "../text/format";
import { fromQuery, inQuery, nameIn, plainly, shortened } from "../text/names";
import { FILE_STATUS, spaced } from "../text/words";
import { change, route, said } from "../route";

const STATUSES: [string, string][] = [
  ["", "All"],
  ["stored", "Stored"],
  ["pending", "Pending"],
  ["discovered", "To be read"],
  ["ready_for_upload", "To be sent"],
  ["vanished", "Missing"],
  ["excluded", "Excluded"],
  ["unsupported", "Unsupported"],
];

const ORDERS: [string, string][] = [
  ["", "As found"],
  ["path asc", "By path"],
  ["size desc", "Largest"],
  ["changed desc", "Last changed"],
  ["stored desc", "Last stored"],
];

const REASONS = ["pattern", "too_large", "other_file_system", "system_junk", "own_directory", "server_data", "coming_back", "behind_a_link", "too_young", "changing", "busy", "unreadable", "held_by_person", "cancelled", "refused"];

const EVENTS = ["file_discovered", "file_changed", "file_missing", "file_deleted", "file_moved", "sha256_complete", "upload_complete", "upload_failed", "scan_complete"];

const COLUMNS: Column<FileItem>[] = [
  { head: "Path", class: "cell-path", sort: "path", cell: (file) => <PathText path={nameIn(file, "filepath")} /> },
  { head: "Status", class: "cell-status", cell: (file) => <Standing file={file} /> },
  { head: "Size", class: "cell-number", sort: "size", cell: (file) => size(file.kind === "file" ? file.file_size : null) },
  { head: "Changed", class: "cell-time", sort: "changed", cell: (file) => <time title={exactly(file.mtime)}>{clock(file.mtime, nowRoughlyMs.value)}</time> },
  { head: "Stored", class: "cell-time", sort: "stored", cell: (file) => <time title={exactly(file.uploaded_at)}>{file.uploaded_at === null ? "—" : past(file.uploaded_at, nowRoughlyMs.value)}</time> },
];

function Standing({ file }: { file: FileItem }) {
  const { word, tone } = FILE_STATUS[file.status];
  return (
    <Chip tone={file.last_error ? "warn" : tone}>
      {word}
      {file.reason && <span class="chip-more">{spaced(file.reason)}</span>}
    </Chip>
  );
}

export function Files() {
  const { query } = route.value;
  const [total, setTotal] = useState<number | null>(null);
  const text = said("text");
  const wanted = {
    text,
    status: said("status"),
    reason: said("reason"),
    sort: said("sort"),
    order: said("order"),
    below: query.below === undefined ? undefined : fromQuery(query.below),
  };
  const opened = query.open === undefined ? null : fromQuery(query.open);
  const open = (file: FileItem | null) => change({ open: file === null ? "" : inQuery(nameIn(file, "filepath")) }, true);
  const of = JSON.stringify({ ...wanted, below: query.below });
  const isFiltered = text !== "" || wanted.status !== "" || wanted.reason !== "" || query.below !== undefined;
  return (
    <Screen title="Files" says={listed(total, "file", isFiltered)}>
      <Filters />
      <div class="with-panel" data-open={opened !== null}>
        <Grid
          label="Files"
          layout="layout-files"
          of={of}
          load={async (limit, offset, asking) => {
            const { files, total: all } = await askFiles(wanted, limit, offset, asking);
            return { rows: files, total: all };
          }}
          columns={COLUMNS}
          onOpen={open}
          onTotal={setTotal}
          events={EVENTS}
          sorting={{ by: wanted.sort, order: wanted.order === "desc" ? "desc" : "asc", set: (by, order) => change({ sort: by, order }) }}
          empty={
            isFiltered ? (
              <Empty icon="search" title="No file is like that">
                {text.startsWith("/") && (
                  <p>
                    <button type="button" class="link" onClick={() => change({ open: inQuery({ text }) }, true)}>
                      Why is this path not here?
                    </button>
                  </p>
                )}
                <button type="button" class="link" onClick={() => change({ text: "", status: "", reason: "", below: "" })}>
                  Show all files
                </button>
              </Empty>
            ) : (
              <Empty icon="files" title="No files yet">
                <a href="#/roots">Watch a folder</a>, and they appear here.
              </Empty>
            )
          }
        />
        {opened && <FilePanel key={query.open} path={opened} onClose={() => open(null)} />}
      </div>
    </Screen>
  );
}

function Filters() {
  const paths = useAsked(askPaths, []);
  const { query } = route.value;
  const reason = said("reason");
  const order = `${said("sort")} ${said("order")}`.trim();
  const folders: [string, string][] = (paths.data?.paths ?? []).map((each) => [inQuery(nameIn(each, "path")), shortened(plainly(nameIn(each, "path")), 60)]);
  const below = query.below ?? "";
  if (below !== "" && !folders.some(([word]) => word === below)) folders.push([below, shortened(plainly(fromQuery(below)), 60)]);
  return (
    <Search of="Files" label="Part of the path">
      <SelectField label="Status" hideLabel value={said("status")} choices={STATUSES.map(([word, name]) => [word, word === "" ? "Any status" : name])} onInput={(status) => change({ status })} />
      <SelectField
        label="Reason"
        hideLabel
        value={reason}
        choices={[["", "Any reason"], ...[...REASONS, ...(reason === "" || REASONS.includes(reason) ? [] : [reason])].map((word): [string, string] => [word, spaced(word)])]}
        onInput={(next) => change({ reason: next })}
      />
      <SelectField label="Folder" hideLabel value={below} choices={[["", "All folders"], ...folders]} onInput={(next) => change({ below: next }, true)} />
      <div class="only-narrow">
        <SelectField
          label="Order"
          hideLabel
          value={ORDERS.some(([word]) => word === order) ? order : ""}
          choices={ORDERS}
          onInput={(next) => {
            const [sort = "", way = ""] = next.split(" ");
            change({ sort, order: way });
          }}
        />
      </div>
    </Search>
  );
}
