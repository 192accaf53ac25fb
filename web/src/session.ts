// The bearer token: in sessionStorage, which ends with the tab, or, if people ask to stay signed in, in localStorage.
// It leaves the page in the Authorization header of requests to the page's own origin alone (`api.ts`).

import { signal } from "@preact/signals";

const KEY = "transcribe.token";
const LINK = /^#token=([\w.-]+)$/;

export const token = signal<string | null>(fromLink() ?? sessionStorage.getItem(KEY) ?? localStorage.getItem(KEY));
export const signedOutBecause = signal<string | null>(null);

// Followed where the page is open already, the link changes no more than what is after the `#`.
addEventListener("hashchange", () => {
  if (LINK.test(location.hash)) location.reload();
});

export function signIn(value: string, stay: boolean): void {
  forget();
  (stay ? localStorage : sessionStorage).setItem(KEY, value);
  signedOutBecause.value = null;
  token.value = value;
}

export function signOut(because: string | null = null): void {
  forget();
  signedOutBecause.value = because;
  token.value = null;
}

function forget(): void {
  sessionStorage.removeItem(KEY);
  localStorage.removeItem(KEY);
}

/** The token of a link `…/#token=…`, such as the one that `make serve` prints; it is taken out of the address. */
function fromLink(): string | null {
  const found = LINK.exec(location.hash)?.[1];
  if (!found) return null;
  history.replaceState(null, "", location.pathname);
  forget();
  sessionStorage.setItem(KEY, found);
  return found;
}
