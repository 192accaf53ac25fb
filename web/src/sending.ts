// Uploads that this tab is at, for every view to show. `uploads.ts`, which does the work, is loaded when it is needed.

import { signal } from "@preact/signals";

/** The uploads of one job. `shares` of files by number, 0 to 1, of those not done; `failed` are those that broke off. */
export interface Sending {
  sizes: ReadonlyMap<number, number>;
  shares: ReadonlyMap<number, number>;
  failed: ReadonlySet<number>;
  paused: boolean;
}

export const sendings = signal<ReadonlyMap<string, Sending>>(new Map());

/** How many bytes of them have not gone out. */
export function bytesLeft({ sizes, shares }: Sending): number {
  let left = 0;
  for (const [n, share] of shares) left += sizes.get(n)! * (1 - share);
  return left;
}

export function change(job: string, how: (sending: Sending) => Sending | null): void {
  const all = new Map(sendings.value);
  const next = how(all.get(job) ?? { sizes: new Map(), shares: new Map(), failed: new Set(), paused: false });
  if (next) all.set(job, next);
  else all.delete(job);
  sendings.value = all;
}

addEventListener("beforeunload", (event) => {
  if ([...sendings.value.values()].some((sending) => sending.shares.size > 0)) event.preventDefault();
});
