// Files that are being uploaded, kept in IndexedDB so that the upload goes on by itself after a reload.

// The browser copies what is kept, so very large files are left out: they are chosen again.
const LARGEST = 2e9;
const STORE = "files";

export interface Kept {
  job: string;
  n: number;
  path: string;
  file: File;
}

let opened: Promise<IDBDatabase> | null = null;

function database(): Promise<IDBDatabase> {
  opened ??= new Promise((resolve, reject) => {
    const opening = indexedDB.open("transcribe", 1);
    opening.onupgradeneeded = () => opening.result.createObjectStore(STORE, { keyPath: ["job", "n"] });
    opening.onsuccess = () => resolve(opening.result);
    opening.onerror = () => reject(opening.error);
  });
  return opened;
}

async function done<T>(mode: IDBTransactionMode, act: (store: IDBObjectStore) => IDBRequest<T>): Promise<T> {
  const transaction = (await database()).transaction(STORE, mode);
  const request = act(transaction.objectStore(STORE));
  return new Promise((resolve, reject) => {
    transaction.oncomplete = () => resolve(request.result);
    transaction.onabort = transaction.onerror = () => reject(transaction.error);
  });
}

/** Keeps a file if the browser has room for it. */
export async function keep(kept: Kept): Promise<void> {
  if (kept.file.size > LARGEST) return;
  await done("readwrite", (store) => store.put(kept)).catch(() => undefined);
}

export async function forget(job: string, n: number): Promise<void> {
  await done("readwrite", (store) => store.delete([job, n])).catch(() => undefined);
}

export async function forgetAll(): Promise<void> {
  await done("readwrite", (store) => store.clear()).catch(() => undefined);
}

export async function allKept(): Promise<Kept[]> {
  return done("readonly", (store) => store.getAll() as IDBRequest<Kept[]>).catch(() => []);
}
