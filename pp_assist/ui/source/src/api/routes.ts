/** The routes of the daemon's local API that the page asks, one function each. */

import { get, post, remove, type Asking } from "./client";
import type * as shapes from "./shapes";
import { inBody, inQuery, type Name } from "../text/names";

/** Return *filled* as a query string, without what is empty. */
function query(filled: Record<string, string | number | boolean | undefined>): string {
  const pairs = Object.entries(filled).filter(([, value]) => value !== undefined && value !== "");
  return pairs.length === 0 ? "" : `?${pairs.map(([key, value]) => `${key}=${encodeURIComponent(value ?? "")}`).join("&")}`;
}

export const enter = (ticket: string) => post<{ status: string }>("/session", { ticket });
export const leave = () => post<{ status: string }>("/session/leave");

export const status = (asking?: Asking) => get<shapes.Status>("/status", asking);
export const stats = (asking?: Asking) => get<shapes.Stats>("/stats", asking);
export const pace = (seconds: number, asking?: Asking) => get<shapes.Pace>(`/pace${query({ seconds })}`, asking);

export interface FilesWanted {
  text?: string;
  status?: string;
  reason?: string;
  below?: Name | undefined;
  sort?: string;
  order?: string;
}

export function files(wanted: FilesWanted, limit: number, offset: number, asking?: Asking): Promise<shapes.Files> {
  const { below, ...rest } = wanted;
  const prefix = below === undefined ? "" : `&path_prefix=${inQuery(below)}`;
  return get(`/files${query({ ...rest, limit, offset })}${prefix}`, asking);
}

export const explain = (path: Name, asking?: Asking) => get<shapes.Explained>(`/explain?path=${inQuery(path)}`, asking);

export interface QueueWanted {
  stage?: string;
  state?: string;
  active?: boolean;
}

export const queue = (wanted: QueueWanted, limit: number, offset: number, asking?: Asking) =>
  get<shapes.QueuePage>(`/queue${query({ ...wanted, limit, offset })}`, asking);
export const steer = (action: shapes.Steer, which: { ids: number[] } | { path: Name }) =>
  post<{ matched: number }>(`/queue/${action}`, "ids" in which ? which : inBody(which.path));

export const pause = (seconds: number | null) => post(`/pause`, seconds === null ? {} : { seconds });
export const resume = () => post("/resume");
export const scan = (path?: Name, force = false) =>
  post<{ status: string; paths: string[] }>("/scan/trigger", { ...(path && inBody(path)), force });

export const paths = (asking?: Asking) => get<{ paths: shapes.WatchedPath[]; total: number }>("/paths", asking);
export const addPath = (body: object) => post<shapes.WatchedPath>("/paths", body, { timeoutMs: 60_000 });
export const removePath = (id: number) => remove(`/paths/${id}`, { timeoutMs: 60_000 });
export const folders = (path: Name | null, after: string | null, asking?: Asking) =>
  get<shapes.Folders>(
    `/folders${query({ limit: 500, after: after ?? undefined })}${path === null ? "" : `&path=${inQuery(path)}`}`,
    asking,
  );

export const excludes = (asking?: Asking) => get<{ patterns: shapes.Exclude[]; total: number }>("/excludes", asking);
export const addExclude = (pattern: string) => post<shapes.Exclude>("/excludes", { pattern });
export const removeExclude = (id: number) => remove(`/excludes/${id}`);
export const preview = (pattern: string, path_id: number | null, asking?: Asking) =>
  post<shapes.Preview>("/excludes/preview", { pattern, path_id }, { timeoutMs: 60_000, ...asking });

export const servers = (asking?: Asking) => get<{ servers: shapes.Server[]; total: number }>("/servers", asking);
export const addServer = (body: object) => post<shapes.Server>("/servers", body);
export const tryServer = (body: object) => post<shapes.Trial>("/servers/test", body, { timeoutMs: 60_000 });
export const tryKnownServer = (id: number) => post<shapes.Trial>(`/servers/${id}/test`, {}, { timeoutMs: 60_000 });
export const makeDefault = (id: number) => post(`/servers/${id}/default`);
export const removeServer = (id: number) => remove(`/servers/${id}`);

export const configFields = (asking?: Asking) =>
  get<{ fields: shapes.ConfigField[] }>("/config/fields", asking);
export const config = (asking?: Asking) => get<{ config_file: string; config: object }>("/config", asking);
export const saveConfig = (changes: object) => post<shapes.SavedConfig>("/config", changes);

export const deletions = (asking?: Asking) => get<{ held: shapes.HeldSet[]; total: number }>("/deletions", asking);
export const heldTree = (id: number, path: Name, asking?: Asking) =>
  get<shapes.HeldTree>(`/deletions/${id}/tree?path=${inQuery(path)}`, asking);
export const approve = (id: number, count: number) => post<{ count: number }>(`/deletions/${id}/approve`, { count });
export const reject = (id: number) => post<{ count: number }>(`/deletions/${id}/reject`);

export interface ActivityWanted {
  text?: string;
  event_type?: string;
  before_id?: number | undefined;
}

export const activity = (wanted: ActivityWanted, limit: number, asking?: Asking) =>
  get<shapes.ActivityPage>(`/activity${query({ ...wanted, limit })}`, asking);

export const fetchBack = (path: Name, to: Name | null, version?: string) =>
  post<shapes.FetchJob>("/fetch", { ...inBody(path), ...(to && inBody(to, "to")), ...(version !== undefined && { version }) });
export const versions = (path: Name, asking?: Asking) => get<shapes.Versions>(`/versions?path=${inQuery(path)}`, asking);
export const fetches = (asking?: Asking) => get<{ fetches: shapes.FetchJob[]; total: number }>("/fetch", asking);
export const cancelFetch = (id: number | string) => post<shapes.FetchJob>(`/fetch/${id}/cancel`);
