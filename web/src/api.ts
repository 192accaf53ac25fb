// The service's API, and nothing else: no other module sends the token.

import { signOut, token } from "./session";
import { t } from "./texts";
import type {
  EditedSegment,
  FileState,
  Format,
  Health,
  Hit,
  Job,
  JobWithFiles,
  MediaFile,
  Options,
  Parts,
  Upload,
  Version,
} from "./types";

const BASE = new URL(".", location.href);

/** What the service refused, or that it could not be reached (status 0), in words for people. */
export class Problem extends Error {
  constructor(
    readonly status: number,
    message: string,
    readonly errors: { field: string; message: string }[] = [],
  ) {
    super(message);
  }
}

export async function request(method: string, path: string, body?: unknown, bearer = token.value): Promise<Response> {
  const headers: Record<string, string> = { Accept: "application/json" };
  if (bearer) headers["Authorization"] = `Bearer ${bearer}`;
  if (body !== undefined) headers["Content-Type"] = "application/json";
  let response: Response;
  try {
    response = await fetch(new URL(path.replace(/^\//, ""), BASE), {
      method,
      headers,
      body: body === undefined ? undefined : JSON.stringify(body),
      cache: "no-store",
      credentials: "omit",
      redirect: "error",
    });
  } catch {
    throw new Problem(0, t.errors.unreachable);
  }
  if (response.ok) return response;
  const problem = await response.json().catch(() => null);
  throw new Problem(response.status, problem?.detail ?? t.errors.status(response.status), problem?.errors);
}

async function call<T>(method: string, path: string, body?: unknown): Promise<T> {
  try {
    const response = await request(method, path, body);
    return response.status === 204 ? (undefined as T) : ((await response.json()) as T);
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403) && token.value) {
      signOut(t.signIn.ended);
    }
    throw error;
  }
}

/** Whether the service takes a token. */
export async function accepts(bearer: string): Promise<boolean> {
  try {
    await request("GET", "jobs?limit=1", undefined, bearer);
    return true;
  } catch (error) {
    if (error instanceof Problem && (error.status === 401 || error.status === 403)) return false;
    throw error;
  }
}

/** Some of a new job's files, which are all when it is sealed. */
interface Page {
  files: { path: string; size: number }[];
  sealed: boolean;
}

const file = (job: string, n: number): string => `jobs/${job}/files/${n}`;

export const api = {
  health: () => call<Health>("GET", "health"),
  jobs: (label: string | null, cursor: string | null = null) =>
    call<{ jobs: Job[]; next: string | null }>(
      "GET",
      `jobs?${new URLSearchParams({ limit: "25", ...(label && { label }), ...(cursor && { cursor }) })}`,
    ),
  job: (id: string) => call<JobWithFiles>("GET", `jobs/${id}`),
  files: (id: string, which: { cursor: string } | { state: FileState }) =>
    call<{ files: MediaFile[]; next: string | null }>("GET", `jobs/${id}/files?${new URLSearchParams(which)}`),
  create: (page: Page, options: Partial<Options>, labels: Record<string, string>) =>
    call<JobWithFiles>("POST", "jobs", { ...page, options, labels }),
  add: (id: string, page: Page) => call<JobWithFiles>("POST", `jobs/${id}/files`, page),
  cancel: (id: string) => call<Job>("POST", `jobs/${id}/cancel`),
  retry: (id: string) => call<Job>("POST", `jobs/${id}/retry`),
  remove: (id: string) => call<void>("DELETE", `jobs/${id}`),
  upload: (job: string, n: number) => call<Upload>("POST", `${file(job, n)}/upload`),
  parts: (job: string, n: number, parts: { number: number; crc32: string }[]) =>
    call<Parts>("POST", `${file(job, n)}/parts`, { parts }),
  complete: (job: string, n: number, parts: { number: number; etag: string }[]) =>
    call<MediaFile>("POST", `${file(job, n)}/complete`, { parts }),
  search: (query: string, cursor: string | null) =>
    call<{ hits: Hit[]; next: string | null }>(
      "GET",
      `search?${new URLSearchParams({ q: query, ...(cursor && { cursor }) })}`,
    ),
  transcriptUrl: (job: string, n: number, format: Format) =>
    call<{ url: string }>("GET", `${file(job, n)}/transcript?format=${format}`).then(near),
  versions: (job: string, n: number) =>
    call<{ versions: Version[] }>("GET", `${file(job, n)}/versions`).then(({ versions }) => versions),
  versionUrl: (job: string, n: number, version: string) =>
    call<{ url: string }>("GET", `${file(job, n)}/versions/${version}`).then(near),
  edit: (job: string, n: number, edit: { replaces: string; base?: string; segments?: EditedSegment[] }) =>
    call<{ versions: Version[] }>("PUT", `${file(job, n)}/transcript`, edit),
  mediaUrl: (job: string, n: number) => call<{ url: string }>("GET", `${file(job, n)}/media`).then(near),
};

/** All files of a job, of which one page was fetched with it. */
export async function everyFile(job: JobWithFiles): Promise<MediaFile[]> {
  const files = [...job.files];
  for (let next = job.next; next; ) {
    const page = await api.files(job.id, { cursor: next });
    files.push(...page.files);
    next = page.next;
  }
  return files;
}

/** A signed URL as this page should ask for it: on this very host, by the scheme that the page came by. */
function near({ url }: { url: string }): string {
  return here(url);
}

export function here(url: string): string {
  const target = new URL(url);
  return target.host === location.host ? `${location.origin}${target.pathname}${target.search}` : url;
}

/** The text of a transcript, from the signed URL that the service gives for it. */
export async function fetched(url: string): Promise<Response> {
  const response = await fetch(url, { credentials: "omit", referrerPolicy: "no-referrer" }).catch(() => null);
  if (!response) throw new Problem(0, t.errors.unreachable);
  if (!response.ok) throw new Problem(response.status, t.errors.status(response.status));
  return response;
}
