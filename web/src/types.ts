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
}

export interface Upload {
  method: string;
  url: string;
  headers: Record<string, string>;
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
  cost?: number | null;
}

export type JobWithFiles = Job & { files: MediaFile[]; next: string | null };

export interface Health {
  version: string;
  models: string[];
}

const FINAL: JobState[] = ["succeeded", "partial", "failed", "cancelled"];
export const isFinal = (job: Job): boolean => FINAL.includes(job.state);

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
}

export interface Version {
  id: string;
  created_at: string | null;
}

/** A segment of the base version, changed where fields are given. */
export interface EditedSegment {
  id: number;
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
