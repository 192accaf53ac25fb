// Downloads of transcripts: one by the browser itself, many as an archive that the page makes.

import { downloadZip } from "client-zip";
import { api, fetched } from "./api";
import type { Format, MediaFile } from "./types";

const AHEAD = 6;

export async function downloadOne(job: string, n: number, format: Format): Promise<void> {
  open(await api.transcriptUrl(job, n, format));
}

/** Saves an archive `<name>.zip` with the transcripts of all files in these formats, in the tree of the job. */
export async function downloadMany(
  job: string,
  name: string,
  files: MediaFile[],
  formats: Format[],
  progress: (done: number, of: number) => void,
): Promise<void> {
  const wanted = files.flatMap((file) => formats.filter((f) => f in file.transcripts).map((f) => ({ file, format: f })));
  let done = 0;
  progress(0, wanted.length);
  async function* entries(): AsyncGenerator<{ name: string; input: Response }> {
    const fetching = (item: (typeof wanted)[number]) => fetchTranscript(job, item.file.n, item.format);
    const ahead = wanted.slice(0, AHEAD).map(fetching);
    for (const [i, { file, format }] of wanted.entries()) {
      const input = await ahead.shift()!;
      const following = wanted[i + AHEAD];
      if (following) ahead.push(fetching(following));
      yield { name: `${file.output}.${format}`, input };
      done += 1;
      progress(done, wanted.length);
    }
  }
  const archive = await downloadZip(entries()).blob();
  const url = URL.createObjectURL(archive);
  open(url, `${name}.zip`);
  setTimeout(() => URL.revokeObjectURL(url), 60_000);
}

async function fetchTranscript(job: string, n: number, format: Format): Promise<Response> {
  return fetched(await api.transcriptUrl(job, n, format));
}

function open(url: string, name = ""): void {
  const link = document.createElement("a");
  link.href = url;
  link.download = name;
  link.rel = "noreferrer";
  document.body.append(link);
  link.click();
  link.remove();
}
