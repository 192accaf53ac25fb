// Uploads, by Uppy: its dashboard chooses the files, its S3 plugin sends them to the requests that the service signs.

import AwsS3 from "@uppy/aws-s3";
import Uppy, { type Body, type Meta, type UppyFile } from "@uppy/core";
import { api, here } from "./api";
import { allKept, forget, forgetAll, keep } from "./keep";
import { isMedia } from "./media";
import { change, sendings } from "./sending";
import type { MediaFile, Options, Upload } from "./types";

export const MAX_FILES = 1000;
const AT_ONCE = 4;

type FileMeta = Meta & { job?: string; n?: number; relativePath?: string | null };
export type Uploader = Uppy<FileMeta, Body>;
type Chosen = UppyFile<FileMeta, Body>;

const uploaders = new Map<string, Uploader>();

/** Choosing files for a job that is not created yet. */
export function draft(): Uploader {
  const uppy: Uploader = new Uppy<FileMeta, Body>({
    restrictions: { maxNumberOfFiles: MAX_FILES },
    onBeforeFileAdded: (file) => !relativePath(file) || isMedia(file.name ?? ""),
  });
  return uppy;
}

const relativePath = (file: { meta: object }): string =>
  ((file.meta as FileMeta).relativePath ?? "").replace(/^\/+/, "");

const pathOf = (file: Chosen): string => relativePath(file) || file.name || "";

/** Creates the job of the chosen files and begins to send them; the job's id. `created` is called in between. */
export async function start(uppy: Uploader, options: Partial<Options>, created: () => void): Promise<string> {
  const chosen = uppy.getFiles();
  const declared = chosen.map((file) => ({ path: pathOf(file), size: file.size ?? 0 }));
  const job = await api.create(declared, options);
  created();
  chosen.forEach((file, i) => uppy.setFileMeta(file.id, { job: job.id, n: job.files[i]!.n }));
  send(job.id, uppy, new Map(job.files.map((file) => [file.n, file.upload!])));
  return job.id;
}

/** Sends files of a job that have not arrived, chosen again or kept from before a reload. */
function resume(job: string, files: { n: number; path: string; file: File }[]): void {
  const uppy = draft();
  for (const { n, path, file } of files) {
    uppy.addFile({ name: file.name, type: file.type, data: file, meta: { job, n, relativePath: path } });
  }
  send(job, uppy, new Map());
}

/** Sends those of `files` that the job waits for, by path or name and size; how many they are. */
export function sendMissing(job: string, missing: MediaFile[], files: File[]): number {
  const found = missing.flatMap((wanted) => {
    const same = files.filter((file) => file.size === wanted.size);
    const file =
      same.find((file) => file.webkitRelativePath.endsWith(wanted.path)) ??
      same.find((file) => file.name === wanted.path.split("/").pop());
    return file ? [{ n: wanted.n, path: wanted.path, file }] : [];
  });
  if (found.length) resume(job, found);
  return found.length;
}

/** After a reload: goes on with what was kept and the service still waits for. */
export async function goOn(): Promise<void> {
  const byJob = Map.groupBy(await allKept(), (kept) => kept.job);
  for (const [job, kept] of byJob) {
    if (uploaders.has(job)) continue;
    const waiting = await missing(job).catch(() => null);
    if (!waiting) continue;
    const wanted = kept.filter(({ n }) => waiting.has(n));
    kept.filter(({ n }) => !waiting.has(n)).forEach(({ n }) => void forget(job, n));
    if (wanted.length) resume(job, wanted);
  }
}

/** The numbers of the files that the job waits for. */
async function missing(job: string): Promise<Set<number>> {
  const first = await api.job(job);
  const files = [...first.files];
  for (let next = first.next; next; ) {
    const page = await api.files(job, next);
    files.push(...page.files);
    next = page.next;
  }
  return new Set(files.filter((file) => file.state === "awaiting_upload").map((file) => file.n));
}

export function pause(job: string): void {
  uploaders.get(job)?.pauseAll();
  change(job, (sending) => ({ ...sending, paused: true }));
}

export function unpause(job: string): void {
  uploaders.get(job)?.resumeAll();
  change(job, (sending) => ({ ...sending, paused: false }));
}

export function retry(job: string): void {
  change(job, (sending) => ({ ...sending, failed: new Set() }));
  void uploaders.get(job)?.retryAll();
}

/** Ends the uploads of a job, or of all jobs, and forgets their files. */
export function drop(job?: string): void {
  for (const [id, uppy] of uploaders) {
    if (job && id !== job) continue;
    uppy.destroy();
    uploaders.delete(id);
    change(id, () => null);
  }
  if (!job) void forgetAll();
}

function send(job: string, uppy: Uploader, signed: Map<number, Upload>): void {
  uploaders.get(job)?.destroy();
  uploaders.set(job, uppy);
  const n = (file: { meta: object }): number => (file.meta as FileMeta).n!;
  uppy.use(AwsS3, {
    shouldUseMultipart: false,
    limit: AT_ONCE,
    retryDelays: [500, 2000, 5000, 15_000, 30_000],
    uploadPartBytes: put,
    getUploadParameters: async (file: { meta: object }) => {
      const upload = signed.get(n(file)) ?? (await api.upload(job, n(file)));
      signed.delete(n(file));
      return { method: "PUT" as const, url: here(upload.url), headers: sendable(upload.headers) };
    },
  });
  const shares = new Map(uppy.getFiles().map((file) => [n(file), 0]));
  change(job, () => ({ shares, failed: new Set(), paused: false }));
  for (const file of uppy.getFiles()) {
    if (file.data instanceof File) void keep({ job, n: n(file), path: pathOf(file), file: file.data });
  }
  uppy.on("upload-progress", (file, progress) => {
    if (!file || !sendings.value.has(job)) return;
    const share = progress.bytesTotal ? progress.bytesUploaded / progress.bytesTotal : 0;
    change(job, (sending) => ({ ...sending, shares: new Map(sending.shares).set(n(file), share) }));
  });
  uppy.on("upload-success", (file) => {
    if (!file) return;
    void forget(job, n(file));
    change(job, (sending) => {
      const left = new Map(sending.shares);
      left.delete(n(file));
      return left.size ? { ...sending, shares: left } : null;
    });
  });
  uppy.on("upload-error", (file) => {
    if (file) change(job, (sending) => ({ ...sending, failed: new Set(sending.failed).add(n(file)) }));
  });
  uppy.on("complete", (result) => {
    if (result.failed?.length) return;
    uppy.destroy();
    uploaders.delete(job);
  });
  void uppy.upload();
}

/** The headers that the browser does not set by itself. */
function sendable(headers: Record<string, string>): Record<string, string> {
  return Object.fromEntries(Object.entries(headers).filter(([name]) => name.toLowerCase() !== "content-length"));
}

interface Put {
  signature: { url: string; headers?: Record<string, string> };
  body: FormData | Blob;
  size?: number;
  onProgress: (event: { loaded: number; lengthComputable: boolean }) => void;
  onComplete?: (etag: string) => void;
  signal?: AbortSignal;
}

// Told when the file arrived before, as after an answer that was lost.
const ARRIVED_BEFORE = 412;

/** Sends one body. XMLHttpRequest, since it alone tells how much has gone out. */
function put({ signature, body, size, onProgress, onComplete, signal }: Put): Promise<{ ETag: string }> {
  return new Promise((resolve, reject) => {
    const request = new XMLHttpRequest();
    const abort = (): void => request.abort();
    const fail = (message: string): void => {
      reject(Object.assign(new Error(message), { source: { status: request.status } }));
    };
    signal?.addEventListener("abort", abort);
    request.open("PUT", signature.url);
    for (const [name, value] of Object.entries(signature.headers ?? {})) request.setRequestHeader(name, value);
    request.upload.onprogress = onProgress;
    request.onload = () => {
      if (request.status >= 300 && request.status !== ARRIVED_BEFORE) return fail(String(request.status));
      onProgress({ loaded: size ?? 0, lengthComputable: true });
      const etag = request.getResponseHeader("ETag") ?? "";
      onComplete?.(etag);
      resolve({ ETag: etag });
    };
    request.onerror = () => fail("network");
    request.onabort = () => reject(new DOMException("aborted", "AbortError"));
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    request.send(body);
  });
}
