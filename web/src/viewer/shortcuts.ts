// The keys of the viewer, as `texts.ts` lists them.

import type { Pane } from "./pane";

const JUMP = 5;

/** Does what a key stands for, unless somebody is typing. */
export function shortcut(
  event: KeyboardEvent,
  video: HTMLVideoElement | null,
  pane: Pane,
  search: HTMLInputElement | null,
  seek: (second: number) => void,
  help: (open: boolean) => void,
): void {
  const target = event.target as HTMLElement;
  if (event.ctrlKey || event.metaKey || event.altKey || event.defaultPrevented) return;
  if (target.closest("input, select, textarea, [contenteditable], dialog")) return;
  if (event.key === " " && target.closest("button, a, summary, video")) return;
  const jump = (by: number): void => {
    if (video) seek(Math.max(0, video.currentTime + by));
  };
  const speed = (by: number): void => {
    const select = document.getElementById("speed") as HTMLSelectElement;
    select.selectedIndex = Math.min(select.length - 1, Math.max(0, select.selectedIndex + by));
    select.dispatchEvent(new Event("change"));
  };
  const passage = (by: number): void => {
    const start = pane.neighbour(by);
    if (start !== null) seek(start);
  };
  const actions: Record<string, () => void> = {
    " ": () => void (video?.paused ? video.play() : video?.pause()),
    ArrowLeft: () => jump(-JUMP),
    ArrowRight: () => jump(JUMP),
    j: () => jump(-JUMP),
    l: () => jump(JUMP),
    ArrowUp: () => passage(-1),
    ArrowDown: () => passage(1),
    "<": () => speed(-1),
    ">": () => speed(1),
    "/": () => search?.focus(),
    "?": () => help(true),
  };
  actions["k"] = actions[" "]!;
  const act = actions[event.key];
  if (!act) return;
  event.preventDefault();
  act();
}
