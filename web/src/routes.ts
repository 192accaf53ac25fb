// Where one is, in the address after the `#`: so the service serves one page, wherever that lies.

import { signal } from "@preact/signals";

export type Route =
  | { view: "jobs"; label: string | null }
  | { view: "new" }
  | { view: "search"; query: string }
  | { view: "job"; job: string }
  | { view: "file"; job: string; n: number; at: number | null };

export const route = signal<Route>(parse(location.hash));

let stay: (() => boolean) | null = null;
let before = location.hash;

/** While `ask` says so, one stays where one is. */
export function guard(ask: (() => boolean) | null): void {
  stay = ask;
}

addEventListener("hashchange", () => {
  if (location.hash === before) return;
  if (stay?.()) {
    location.hash = before;
    return;
  }
  before = location.hash;
  route.value = parse(location.hash);
});

export const paths = {
  jobs: "#/",
  labelled: (label: string) => `#/?${new URLSearchParams({ label })}`,
  new: "#/new",
  search: (query = "") => `#/search${query && `?${new URLSearchParams({ q: query })}`}`,
  job: (id: string) => `#/jobs/${id}`,
  file: (job: string, n: number, at?: number) => `#/jobs/${job}/files/${n}${at === undefined ? "" : `?at=${at}`}`,
};

export function go(path: string): void {
  location.hash = path;
}

/** Keeps what one looks at in the address, without a step in the browser's history. */
export function stayAt(path: string): void {
  before = path;
  history.replaceState(null, "", path);
}

function parse(hash: string): Route {
  const [path = "", query = ""] = hash.replace(/^#\/?/, "").split("?");
  const [first, job, files, n] = path.split("/");
  if (first === "new") return { view: "new" };
  if (first === "search") return { view: "search", query: new URLSearchParams(query).get("q") ?? "" };
  if (first === "jobs" && job && files === "files" && n && /^\d+$/.test(n)) {
    const at = Number.parseFloat(new URLSearchParams(query).get("at") ?? "");
    return { view: "file", job, n: Number(n), at: Number.isFinite(at) ? at : null };
  }
  if (first === "jobs" && job) return { view: "job", job };
  return { view: "jobs", label: new URLSearchParams(query).get("label") };
}
