// What several views are made of.

import { signal } from "@preact/signals";
import type { ComponentChildren } from "preact";
import { useEffect, useId, useRef } from "preact/hooks";
import { baseName, folderOf } from "./format";
import { Icon, type Shape } from "./icons";
import { t } from "./texts";
import type { FileState, JobState } from "./types";

export function IconButton(props: {
  shape: Shape;
  label: string;
  onClick: () => void;
  disabled?: boolean;
}) {
  return (
    <button
      type="button"
      class="icon-button"
      title={props.label}
      aria-label={props.label}
      disabled={props.disabled}
      onClick={props.onClick}
    >
      <Icon shape={props.shape} />
    </button>
  );
}

export function BackLink({ href }: { href: string }) {
  return (
    <a class="icon-button" href={href} aria-label={t.back} title={t.back}>
      <Icon shape="back" />
    </a>
  );
}

/** A path, of which the name stands out. */
export function FilePath({ path }: { path: string }) {
  return (
    <>
      <span class="folder">{folderOf(path)}</span>
      {baseName(path)}
    </>
  );
}

export function Bar({ percent, label, busy = false }: { percent: number; label: string; busy?: boolean }) {
  const value = Math.round(percent);
  return (
    <div
      class={`bar ${busy ? "busy" : ""}`}
      role="progressbar"
      aria-label={label}
      aria-valuemin={0}
      aria-valuemax={100}
      aria-valuenow={value}
    >
      <div style={{ width: `${percent}%` }} />
    </div>
  );
}

const TONES: Record<JobState | FileState, string> = {
  awaiting_upload: "waiting",
  uploaded: "waiting",
  queued: "waiting",
  running: "active",
  preparing: "active",
  transcribing: "active",
  succeeded: "good",
  partial: "mixed",
  failed: "bad",
  cancelled: "waiting",
};

export function StateChip({ state, text }: { state: JobState | FileState; text: string }) {
  return (
    <span class={`chip ${TONES[state]}`} data-state={state}>
      {text}
    </span>
  );
}

/** A button that opens a list of choices below it. */
export function Menu({ label, shape, text, children }: {
  label: string;
  shape: Shape;
  text?: string;
  children: ComponentChildren;
}) {
  const details = useRef<HTMLDetailsElement>(null);
  useEffect(() => {
    const close = (event: Event): void => {
      const inside = event.target instanceof Node && details.current?.contains(event.target);
      if (!inside) details.current?.removeAttribute("open");
    };
    document.addEventListener("click", close);
    document.addEventListener("focusin", close);
    return () => {
      document.removeEventListener("click", close);
      document.removeEventListener("focusin", close);
    };
  }, []);
  return (
    <details
      class="menu"
      ref={details}
      onKeyDown={(event) => {
        if (event.key !== "Escape" || !details.current?.open) return;
        details.current.removeAttribute("open");
        details.current.querySelector("summary")?.focus();
        event.stopPropagation();
      }}
    >
      <summary class={text ? "button" : "icon-button"} aria-label={text ? undefined : label} title={label}>
        <Icon shape={shape} size={text ? 18 : 20} />
        {text && <span>{text}</span>}
        {text && <Icon shape="chevron" size={16} />}
      </summary>
      <div class="choices" onClick={() => details.current?.removeAttribute("open")}>
        {children}
      </div>
    </details>
  );
}

export function Failure({ message, retry }: { message: string; retry?: () => void }) {
  return (
    <div class="notice bad" role="alert">
      <Icon shape="alert" />
      <p>{message}</p>
      {retry && (
        <button type="button" class="button small" onClick={retry}>
          {t.retry}
        </button>
      )}
    </div>
  );
}

export function Dialog({ title, open, onClose, children }: {
  title: string;
  open: boolean;
  onClose: () => void;
  children: ComponentChildren;
}) {
  const dialog = useRef<HTMLDialogElement>(null);
  const id = useId();
  useEffect(() => {
    if (open) dialog.current?.showModal();
    else dialog.current?.close();
  }, [open]);
  return (
    <dialog ref={dialog} aria-labelledby={id} onClose={onClose}>
      <header>
        <h2 id={id}>{title}</h2>
        <IconButton shape="close" label={t.close} onClick={onClose} />
      </header>
      {open && children}
    </dialog>
  );
}

const said = signal<{ text: string; bad: boolean } | null>(null);
let silence: ReturnType<typeof setTimeout> | undefined;

/** Tells something in passing. */
export function tell(text: string, bad = false): void {
  said.value = { text, bad };
  clearTimeout(silence);
  silence = setTimeout(() => {
    said.value = null;
  }, 6000);
}

export function Toast() {
  return (
    <div class="toast" role="status">
      {said.value && <p class={said.value.bad ? "bad" : ""}>{said.value.text}</p>}
    </div>
  );
}

/** Does something that may fail, and tells if it does. */
export function attempt(work: Promise<unknown>): void {
  work.catch((error: unknown) => tell(error instanceof Error ? error.message : t.errors.unexpected, true));
}

export function useTitle(title: string): void {
  useEffect(() => {
    document.title = title === t.name ? title : `${title} · ${t.name}`;
  }, [title]);
}
