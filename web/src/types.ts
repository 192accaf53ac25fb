// What the API answers with.

export type JobState = "awaiting_upload" | "queued" | "running" | "succeeded" | "partial" | "failed" | "cancelled";
export type FileState = "awaiting_upload" | "uploaded" | "preparing" | "transcribing" | "succeeded" | "failed" | "cancelled";
export type Format = "txt" | "srt" | "vtt" | "json" | "tsv";
export const FORMATS: Format[] = ["txt", "srt", "vtt", "json", "tsv"];

export interface Options {
  language: string;
  task: "transcribe" | "translate";
  model: string;
  formats: Format[];
  prompt: string;
  word_timestamps: boolean;
  diarize: boolean;
  channels: "mix" | "split";
}

export interface Upload {
  method: string;
  url: string;
  headers: Record<string, string>;
}

/** How a large file is sent: in so many parts, all but the last of one size. */
export interface Multipart {
  part_size: number;
  parts: number;
}

export interface StoredPart {
  number: number;
  etag: string;
  crc32: string | null;
}

export interface Parts {
  stored: StoredPart[];
  uploads: (Upload & { number: number })[];
}

/** A passage that holds what was searched for; `marks` are from and to which character of the snippet. */
export interface Hit {
  job: string;
  title: string;
  file: number;
  path: string;
  start: number;
  snippet: string;
  marks: [number, number][];
  before: boolean;
  after: boolean;
}

export interface MediaFile {
  n: number;
  path: string;
  size: number;
  state: FileState;
  error: { code: string; message: string } | null;
  warnings: string[];
  language: string | null;
  audio_seconds: number;
  percent: number;
  output: string;
  transcripts: Partial<Record<Format, string>>;
  upload?: Upload;
  multipart?: Multipart;
}

export interface Job {
  id: string;
  title?: string;
  state: JobState;
  created_at: string;
  started_at: string | null;
  finished_at: string | null;
  error: string | null;
  options: Options;
  size: number;
  files_total: number;
  files_by_state: Partial<Record<FileState, number>>;
  audio_seconds: number;
  percent: number;
  seconds_left: number | null;
  dollars: number;
  labels: Record<string, string>;
}

export type JobWithFiles = Job & { files: MediaFile[]; next: string | null };

export interface Health {
  version: string;
  models: string[];
  default_model: string;
  diarizes: boolean;
}

const FINAL: JobState[] = ["succeeded", "partial", "failed", "cancelled"];
export const isFinal = (job: Job): boolean => FINAL.includes(job.state);

/** The errors of files of which nothing better can come: those of chalicelib/control.py. */
const HOPELESS = new Set(["bad_path", "empty", "no_audio"]);
export const isHopeless = (file: MediaFile): boolean => HOPELESS.has(file.error?.code ?? "");

export interface Word {
  start: number;
  end: number;
  text: string;
  probability: number;
}

export interface Segment {
  start: number;
  end: number;
  text: string;
  words?: Word[];
  speaker?: string | null;
}

export interface Version {
  id: string;
  created_at: string | null;
}

/** Segment `id` of the base version, or those up to `through` together, changed where fields are given. */
export interface EditedSegment {
  id: number;
  through?: number;
  speaker?: string | null;
  text?: string;
  start?: number;
  end?: number;
}

export interface Transcript {
  language: string;
  model: string;
  duration: number;
  segments: Segment[];
}
