/** Settings as they are changed here: which come first, what they are called, and how text becomes a value. Pure. */

import type { ConfigField, Value } from "../api/shapes";

export interface Section {
  title: string;
  names: string[];
}

/** What people change, in this order; whatever else there is comes behind it. */
export const SECTIONS: Section[] = [
  { title: "Finding", names: ["scanner.scan_interval", "scanner.use_filesystem_events", "scanner.quiet_seconds", "scanner.busy_policy", "scanner.busy_after_seconds"] },
  { title: "Reading", names: ["checksum_calculator.parallel_workers", "checksum_calculator.rehash_days"] },
  { title: "Sending", names: ["uploader.chunk_size_mb", "uploader.parallel_uploads", "uploader.parallel_chunks", "uploader.timeout_seconds", "uploader.compression"] },
  { title: "Bandwidth", names: ["uploader.bandwidth_kib_per_second", "uploader.bandwidth_timetable", "wait.battery_below_percent", "wait.metered"] },
  { title: "Leaving out", names: ["rules.exclude", "rules.max_size_mb", "rules.min_age_seconds"] },
  { title: "Stopping", names: ["daemon.shutdown_timeout"] },
];
export const OTHERS = "Everything else";

const LABELS: Record<string, string> = {
  "scanner.scan_interval": "Scan interval",
  "scanner.use_filesystem_events": "Use file-system events",
  "scanner.quiet_seconds": "At rest after",
  "scanner.busy_policy": "Files that never rest",
  "scanner.busy_after_seconds": "Busy after",
  "checksum_calculator.parallel_workers": "Workers",
  "checksum_calculator.rehash_days": "Read again after",
  "uploader.chunk_size_mb": "Chunk size",
  "uploader.parallel_uploads": "Parallel uploads",
  "uploader.parallel_chunks": "Parallel chunks of a file",
  "uploader.timeout_seconds": "Timeout",
  "uploader.bandwidth_kib_per_second": "Bandwidth limit",
  "uploader.bandwidth_timetable": "Timetable",
  "wait.battery_below_percent": "Wait on batteries below",
  "wait.metered": "Wait on lines paid by the byte",
  "rules.exclude": "Patterns",
  "rules.max_size_mb": "Leave out larger files than",
  "rules.min_age_seconds": "Wait until left alone for",
  "daemon.shutdown_timeout": "Shutdown timeout",
};

const UNITS: [RegExp, string][] = [
  [/(_seconds|scan_interval|_timeout)$/, "s"],
  [/_mb$/, "MiB"],
  [/_kib_per_second$/, "KiB/s"],
  [/_percent$/, "%"],
  [/_days$/, "days"],
];

export function labelOf(name: string): string {
  const last = name.split(".").at(-1) ?? name;
  return LABELS[name] ?? (last.charAt(0).toUpperCase() + last.slice(1)).replaceAll("_", " ");
}

export function unitOf(field: ConfigField): string | undefined {
  return UNITS.find(([ends]) => ends.test(field.name))?.[1] ?? field.unit ?? undefined;
}

/** Return the sections with their fields, of those that there are. */
export function sections(fields: ConfigField[]): { title: string; fields: ConfigField[] }[] {
  const named = new Set(SECTIONS.flatMap((section) => section.names));
  const found = SECTIONS.map(({ title, names }) => ({
    title,
    fields: names.flatMap((name) => fields.find((field) => field.name === name) ?? []),
  }));
  found.push({ title: OTHERS, fields: fields.filter((field) => !named.has(field.name)) });
  return found.filter((section) => section.fields.length > 0);
}

/** Return *value* as it is edited. */
export function edited(value: Value | null): string | boolean {
  if (typeof value === "boolean") return value;
  return Array.isArray(value) ? value.join("\n") : String(value ?? "");
}

/** Return what *text* means for *field*. What is no number is left as it is: the API says what is wrong with it. */
export function meant(field: ConfigField, text: string | boolean): Value {
  if (typeof text === "boolean") return text;
  if (field.type === "list") return text.split("\n").map((line) => line.trim()).filter((line) => line !== "");
  if (field.type === "integer" || field.type === "number") {
    const number = Number(text.trim().replace(",", "."));
    return text.trim() === "" || Number.isNaN(number) ? text : number;
  }
  return text;
}

/** Return *changes* (by their dotted names) as the API takes them. */
export function nested(changes: Record<string, Value>): object {
  const found: Record<string, unknown> = {};
  for (const [name, value] of Object.entries(changes)) {
    const [section = "", key] = name.split(".");
    if (key === undefined) found[section] = value;
    else found[section] = { ...(found[section] as object | undefined), [key]: value };
  }
  return found;
}
