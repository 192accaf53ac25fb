// What the files that people choose are called in a job, and which of those chosen again it waits for.

import { baseName } from "./format";
import type { MediaFile } from "./types";

const NUMBER = / \(\d+\)(?=(\.[^./]*)?$)/;
const SUFFIX = /(\.[^./]*)?$/;

/** The path, or with a number before its suffix if another file has it. */
export function free(path: string, taken: Set<string>): string {
  let candidate = path;
  for (let n = 2; taken.has(candidate); n++) candidate = path.replace(SUFFIX, ` (${n})$&`);
  return candidate;
}

/** How a chosen path tells that it is that of the job, the surest way first. */
const SIGNS: ((chosen: string, path: string) => boolean)[] = [
  (chosen, path) => chosen === path,
  // The command line calls files by their paths inside the folder.
  (chosen, path) => unnumbered(chosen.slice(chosen.indexOf("/") + 1)) === unnumbered(path),
  (chosen, path) => endsWith(unnumbered(chosen), unnumbered(path)) || endsWith(unnumbered(path), unnumbered(chosen)),
];

/**
 * The chosen files that the job waits for, and whether others may be as well, but can't be told apart.
 *
 * `all` are all files of the job: one that has arrived can be meant as well as one that has not.
 */
export function match(all: MediaFile[], chosen: File[]): { found: Map<MediaFile, File>; unclear: boolean } {
  const alike = Map.groupBy(chosen, (file) => likeness(file.name, file.size));
  const found = new Map<MediaFile, File>();
  let unclear = false;
  for (const [key, wanted] of Map.groupBy(all, (file) => likeness(baseName(file.path), file.size))) {
    const pairs = paired(wanted, alike.get(key) ?? []);
    const missing = wanted.filter((file) => file.state === "awaiting_upload");
    for (const file of missing) if (pairs.has(file)) found.set(file, pairs.get(file)!);
    unclear ||= (alike.get(key)?.length ?? 0) > pairs.size && missing.some((file) => !pairs.has(file));
  }
  return { found, unclear };
}

/** Pairs of those that have the same name and size: without a doubt, or by their paths. */
function paired(wanted: MediaFile[], chosen: File[]): Map<MediaFile, File> {
  if (wanted.length === 1 && chosen.length === 1) return new Map([[wanted[0]!, chosen[0]!]]);
  const pairs = new Map<MediaFile, File>();
  for (const sign of SIGNS) {
    const used = new Set(pairs.values());
    const left = chosen.filter((file) => file.webkitRelativePath && !used.has(file));
    const open = wanted.filter((file) => !pairs.has(file));
    const agreeing = open.flatMap((want) =>
      left.filter((file) => sign(file.webkitRelativePath, want.path)).map((file) => ({ want, file })),
    );
    for (const { want, file } of agreeing) {
      if (agreeing.filter((other) => other.want === want || other.file === file).length === 1) pairs.set(want, file);
    }
  }
  return pairs;
}

const likeness = (name: string, size: number): string => `${size} ${unnumbered(name)}`;

/** Without the number that a second file of one name was given. */
const unnumbered = (path: string): string => path.replace(NUMBER, "");

const endsWith = (path: string, end: string): boolean => `/${path}`.endsWith(`/${end}`);
