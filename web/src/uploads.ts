// Uploads, by Uppy: its dashboard chooses the files, its S3 plugin sends them to the requests that the service signs.

import AwsS3 from "@uppy/aws-s3";
import Uppy, { type Body, type Meta, type UppyFile } from "@uppy/core";
import CRC32 from "crc-32";
import { api, everyFile, here, Problem } from "./api";
import { free } from "./choosing";
import { allKept, forget, forgetAll, keep } from "./keep";
import { isMedia } from "./media";
import { change, sendings } from "./sending";
import type { MediaFile, Options, Upload } from "./types";

export const MAX_FILES = 5000;
// So many files go with one request.
const PAGE = 1000;
const AT_ONCE = 4;
// How long one waits for a network or a service that is away, attempt by attempt; then people are asked.
const PATIENCE_MS = [500, 2000, 5000, 15_000, 30_000, 60_000];
// Damaged parts, and those whose URL had expired, are signed and sent again after so long.
const AGAIN_MS = [0, 1000, 5000];
// Begins the address of a part that need not be sent.
const ARRIVED = "arrived:";
// Told when the file arrived before, as after an answer that was lost.
const ARRIVED_BEFORE = 412;

/** `partSize` of a file that is sent in parts. */
type FileMeta = Meta & { job?: string; n?: number; partSize?: number; relativePath?: string | null };
export type Uploader = Uppy<FileMeta, Body>;
type Chosen = UppyFile<FileMeta, Body>;

const uploaders = new Map<string, Uploader>();

/** Choosing files for a job that is not created yet. */
export function draft(): Uploader {
  return new Uppy<FileMeta, Body>({
    restrictions: { maxNumberOfFiles: MAX_FILES },
    onBeforeFileAdded: (file) => !relativePath(file) || isMedia(file.name ?? ""),
  });
}

const relativePath = (file: { meta: object }): string =>
  ((file.meta as FileMeta).relativePath ?? "").replace(/^\/+/, "");

const pathOf = (file: Chosen): string => relativePath(file) || file.name || "";

/** Creates the job of the chosen files and begins to send them; the job's id. `created` is called in between. */
export async function start(
  uppy: Uploader,
  options: Partial<Options>,
  labels: Record<string, string>,
  created: () => void,
): Promise<string> {
  const { compare } = new Intl.Collator(undefined, { numeric: true });
  const chosen = uppy.getFiles().sort((a, b) => compare(pathOf(a), pathOf(b)));
  const taken = new Set<string>();
  const declared = chosen.map((file) => {
    const path = free(pathOf(file), taken);
    taken.add(path);
    return { path, size: file.size ?? 0 };
  });
  const page = (from: number) => ({
    files: declared.slice(from, from + PAGE),
    sealed: from + PAGE >= declared.length,
  });
  const job = await api.create(page(0), options, labels);
  const files = [...job.files];
  try {
    while (files.length < declared.length) files.push(...(await api.add(job.id, page(files.length))).files);
  } catch (error) {
    void api.remove(job.id).catch(() => undefined);
    throw error;
  }
  created();
  chosen.forEach((file, i) => uppy.setFileMeta(file.id, metaOf(job.id, files[i]!)));
  send(job.id, uppy, new Map(files.flatMap((file) => (file.upload ? [[file.n, file.upload]] : []))));
  return job.id;
}

const metaOf = (job: string, file: MediaFile): FileMeta => ({ job, n: file.n, partSize: file.multipart?.part_size });

/** Sends files of a job that have not arrived, chosen again or kept from before a reload. */
export function resume(job: string, files: Iterable<[MediaFile, File]>): void {
  const uppy: Uploader = new Uppy<FileMeta, Body>();
  for (const [wanted, file] of files) {
    const meta = { ...metaOf(job, wanted), relativePath: wanted.path };
    uppy.addFile({ name: file.name, type: file.type, data: file, meta });
  }
  send(job, uppy, new Map());
}

/** After a reload: goes on with what was kept and the service still waits for. */
export async function goOn(): Promise<void> {
  const byJob = Map.groupBy(await allKept(), (kept) => kept.job);
  for (const [job, kept] of byJob) {
    if (uploaders.has(job)) continue;
    const waiting = await missing(job).catch(() => null);
    if (!waiting) continue;
    kept.filter(({ n }) => !waiting.has(n)).forEach(({ n }) => void forget(job, n));
    const files = kept.flatMap(({ n, file }): [MediaFile, File][] => (waiting.has(n) ? [[waiting.get(n)!, file]] : []));
    if (files.length) resume(job, files);
  }
}

/** The files that the job waits for, by number. */
async function missing(job: string): Promise<Map<number, MediaFile>> {
  const files = await everyFile(await api.job(job));
  return new Map(files.flatMap((file) => (file.state === "awaiting_upload" ? [[file.n, file]] : [])));
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

addEventListener("online", () => {
  for (const [job, { failed }] of sendings.value) if (failed.size) retry(job);
});

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
  const partSize = (file?: { meta: object }): number | undefined => (file?.meta as FileMeta | undefined)?.partSize;
  const etags = new Map<string, Map<number, string>>();
  uppy.use(AwsS3, {
    shouldUseMultipart: (file) => partSize(file) !== undefined,
    getChunkSize: (data) => partSize(uppy.getFiles().find((file) => (file.data as unknown) === data)) ?? data.size,
    limit: AT_ONCE,
    retryDelays: AGAIN_MS,
    uploadPartBytes: (sent: Put) => persistently(() => put(sent)),
    getUploadParameters: async (file: { meta: object }) => {
      const upload = signed.get(n(file)) ?? (await persistently(() => api.upload(job, n(file))));
      signed.delete(n(file));
      return signature(upload);
    },
    createMultipartUpload: async (file) => ({ uploadId: job, key: file.id }),
    // Asked for when a pause ends. What is there of an earlier run comes up as each part is signed.
    listParts: async (file) =>
      [...(etags.get(file.id) ?? [])].map(([PartNumber, ETag]) => ({ PartNumber, ETag })),
    signPart: async (file, { partNumber, body }) => {
      const crc32 = checksum(await body.arrayBuffer());
      const { stored, uploads } = await persistently(() => api.parts(job, n(file), [{ number: partNumber, crc32 }]));
      const there = stored.find((part) => part.crc32 === null || part.crc32 === crc32);
      return there ? { method: "PUT", url: `${ARRIVED}${there.etag}` } : signature(uploads[0]!);
    },
    completeMultipartUpload: async (file, { parts }) => {
      const sent = parts.map(({ PartNumber, ETag }) => ({ number: PartNumber!, etag: ETag! }));
      await persistently(() => api.complete(job, n(file), sent));
      return {};
    },
    // They stay, for another attempt or another day; the service deletes what nobody completes.
    abortMultipartUpload: async () => undefined,
  });
  uppy.on("s3-multipart:part-uploaded", (file, { PartNumber, ETag }) => {
    etags.set(file.id, (etags.get(file.id) ?? new Map()).set(PartNumber, ETag));
  });
  const sizes = new Map(uppy.getFiles().map((file) => [n(file), file.size ?? 0]));
  const shares = new Map([...sizes.keys()].map((file) => [file, 0]));
  change(job, () => ({ sizes, shares, failed: new Set(), paused: false }));
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

function signature({ url, headers }: Upload): { method: "PUT"; url: string; headers: Record<string, string> } {
  // The browser sets the length by itself, and lets nobody else.
  const others = Object.entries(headers).filter(([name]) => name.toLowerCase() !== "content-length");
  return { method: "PUT", url: here(url), headers: Object.fromEntries(others) };
}

/** Base64 of the CRC-32, big-endian. */
function checksum(data: ArrayBuffer): string {
  const bytes = new Uint8Array(4);
  new DataView(bytes.buffer).setInt32(0, CRC32.buf(new Uint8Array(data)));
  return btoa(String.fromCharCode(...bytes));
}

/** Tries again while the network or the service is away: sooner if the network comes back. */
async function persistently<T>(attempt: () => Promise<T>): Promise<T> {
  for (const pause of PATIENCE_MS) {
    try {
      return await attempt();
    } catch (error) {
      const status = error instanceof Problem ? error.status : error instanceof Broken ? error.source.status : null;
      if (status === null || (status > 0 && status < 500)) throw error;
    }
    await new Promise((resolve) => {
      const timer = setTimeout(resolve, pause);
      addEventListener("online", () => (clearTimeout(timer), resolve(null)), { once: true });
    });
  }
  return attempt();
}

interface Put {
  signature: { url: string; headers?: Record<string, string> };
  body: FormData | Blob;
  size?: number;
  onProgress: (event: { loaded: number; lengthComputable: boolean }) => void;
  onComplete?: (etag: string) => void;
  signal?: AbortSignal;
}

/** An upload that broke off, as Uppy's plugin tells it: status 0 if there was no answer. */
class Broken extends Error {
  constructor(readonly source: { status: number }) {
    // By these words the plugin knows that another signature is needed.
    super(source.status === 403 ? "Request has expired" : String(source.status || "network"));
  }
}

/** Sends one body. XMLHttpRequest, since it alone tells how much has gone out. */
function put({ signature, body, size, onProgress, onComplete, signal }: Put): Promise<{ ETag: string }> {
  return new Promise((resolve, reject) => {
    const done = (etag: string): void => {
      onProgress({ loaded: size ?? 0, lengthComputable: true });
      onComplete?.(etag);
      resolve({ ETag: etag });
    };
    const aborted = (): void => reject(new DOMException("aborted", "AbortError"));
    if (signal?.aborted) return aborted();
    if (signature.url.startsWith(ARRIVED)) return done(signature.url.slice(ARRIVED.length));
    const request = new XMLHttpRequest();
    const abort = (): void => request.abort();
    signal?.addEventListener("abort", abort);
    request.open("PUT", signature.url);
    for (const [name, value] of Object.entries(signature.headers ?? {})) request.setRequestHeader(name, value);
    request.upload.onprogress = onProgress;
    request.onload = () => {
      if (request.status >= 300 && request.status !== ARRIVED_BEFORE) return reject(new Broken(request));
      done(request.getResponseHeader("ETag") ?? "");
    };
    request.onerror = () => reject(new Broken({ status: 0 }));
    request.onabort = aborted;
    request.onloadend = () => signal?.removeEventListener("abort", abort);
    request.send(body);
  });
}
