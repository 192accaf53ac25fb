// The text of a transcript, in plain DOM: one text node a passage, so that hours of speech scroll as one page does.
// Words are marked by highlights (CSS Custom Highlight API), which leave the DOM as it is.

import { clock, exactClock, parseClock } from "../format";
import { t } from "../texts";
import type { EditedSegment, Segment } from "../types";
import { Passage } from "./passage";

const UNCERTAIN = 0.5;
const AHEAD = "600px";
const USER_SCROLLS_MS = 4000;
const MAX_HITS = 5000;
const MAX_NAME = 40;

/** Characters `from` to `to` of the text of passage number `passage`. */
interface Place {
  passage: number;
  from: number;
  to: number;
}

export class Pane {
  readonly list = document.createElement("ol");
  #passages: Passage[] = [];
  #byItem = new Map<Element, number>();
  #near = new Set<Passage>();
  #observer: IntersectionObserver;
  #word = new Highlight();
  #uncertain = new Highlight();
  #hit = new Highlight();
  #hits = new Highlight();
  #places: Place[] = [];
  #query = "";
  #divided = false;
  #at = -1;
  #current = -1;
  #scrolledByUser = 0;
  #editing = false;
  #times: HTMLElement | null = null;
  #marking = true;
  follow = true;

  /**
   * `seek` is called with the second of the word or passage that was chosen, `changed` after each correction, `refused`
   * with what is wrong with one.
   */
  constructor(
    private readonly seek: (second: number) => void,
    private readonly changed: () => void,
    private readonly refused: (why: string) => void,
  ) {
    this.list.addEventListener("focusin", (event) => this.#focus(event));
    this.list.addEventListener("input", (event) => this.#input(event));
    this.list.className = "passages";
    this.list.addEventListener("click", (event) => this.#click(event));
    this.list.addEventListener("keydown", (event) => this.#key(event));
    document.addEventListener("selectionchange", this.#noteCaret);
    for (const kind of ["wheel", "touchmove"] as const) {
      addEventListener(kind, this.#scrolled, { passive: true });
    }
    this.#observer = new IntersectionObserver((entries) => this.#seen(entries), { rootMargin: AHEAD });
    CSS.highlights.set("word", this.#word);
    CSS.highlights.set("uncertain", this.#uncertain);
    CSS.highlights.set("hits", this.#hits);
    CSS.highlights.set("hit", this.#hit);
    this.#hit.priority = 2;
    this.#hits.priority = 1;
  }

  show(segments: Segment[]): void {
    this.#observer.disconnect();
    this.#near.clear();
    this.#divided = false;
    this.#passages = segments.map((segment, number) => new Passage(number, number, segment, segment));
    this.list.replaceChildren(...this.#passages.map((passage) => passage.item));
    for (const passage of this.#passages) this.#observer.observe(passage.item);
    if (this.#passages[0]) this.#passages[0].time.tabIndex = 0;
    this.#arrange();
  }

  /** Takes note that other passages are there, or in another order. */
  #arrange(): void {
    this.#byItem = new Map(this.#passages.map((passage, i) => [passage.item, i]));
    this.#current = -1;
    this.#tellSpeakers();
    this.#find();
  }

  #tellSpeakers(): void {
    let before: string | null = null;
    for (const passage of this.#passages) {
      passage.tellSpeaker(before);
      before = passage.segment.speaker ?? null;
    }
  }

  /** The names of those who speak, in the order in which they first do. */
  get speakers(): string[] {
    return [...new Set(this.#passages.flatMap(({ segment }) => segment.speaker ?? []))];
  }

  renameSpeaker(from: string, to: string): void {
    for (const passage of this.#passages) {
      if (passage.segment.speaker === from) passage.change({ speaker: to });
    }
    this.#tellSpeakers();
    this.changed();
  }

  close(): void {
    this.#observer.disconnect();
    document.removeEventListener("selectionchange", this.#noteCaret);
    for (const kind of ["wheel", "touchmove"] as const) removeEventListener(kind, this.#scrolled);
    for (const name of ["word", "uncertain", "hits", "hit"]) CSS.highlights.delete(name);
  }

  /** Marks what is said at a second, and scrolls along if it should. */
  setTime(second: number): void {
    const index = this.#indexAt(second);
    if (index !== this.#current) {
      this.#passages[this.#current]?.item.removeAttribute("aria-current");
      this.#current = index;
      const passage = this.#passages[index];
      passage?.item.setAttribute("aria-current", "true");
      if (passage && this.follow && performance.now() - this.#scrolledByUser > USER_SCROLLS_MS) this.#center(passage.item);
    }
    this.#word.clear();
    const passage = this.#passages[index];
    const word = passage?.words.findLast((word) => word.start <= second);
    const range = word && second < word.end + 0.5 ? passage?.range(word.from, word.to) : null;
    if (range) this.#word.add(range);
  }

  /** The start of the passage so many after the current one. */
  neighbour(step: number): number | null {
    return this.#passages[Math.max(0, this.#current + step)]?.segment.start ?? null;
  }

  edit(on: boolean): void {
    this.#editing = on;
    this.list.classList.toggle("editing", on);
    for (const passage of this.#passages) this.#open(passage, on);
    this.#times?.remove();
  }

  /** Puts the caret into the passage that is said, or the first. */
  focus(): void {
    const passage = this.#passages[Math.max(0, this.#current)];
    if (passage) this.#focusAt(passage, 0);
  }

  #open({ text, segment }: Passage, on: boolean): void {
    if (!on) {
      for (const name of ["contenteditable", "role", "aria-label"]) text.removeAttribute(name);
      return;
    }
    text.setAttribute("contenteditable", "plaintext-only");
    text.setAttribute("role", "textbox");
    text.setAttribute("aria-label", t.viewer.editText(clock(segment.start)));
  }

  /** All segments as they are to be from now on. */
  get segments(): EditedSegment[] {
    return this.#passages.filter(({ segment }) => segment.text.trim()).map((passage) => passage.edited);
  }

  get dirty(): boolean {
    return this.#divided || this.#passages.some((passage) => passage.changed);
  }

  /** Replaces all hits, or the one that was last gone to, and goes to the one after it; how many were replaced. */
  replace(replacement: string, all: boolean): number {
    const first = Math.max(0, this.#at);
    const places = all ? this.#places : this.#places.slice(first, first + 1);
    for (const { passage, from, to } of places.toReversed()) {
      const { text } = this.#passages[passage]!.segment;
      this.#passages[passage]!.change({ text: text.slice(0, from) + replacement + text.slice(to) });
    }
    this.#find();
    const done = places[0];
    if (done && !all) {
      const { passage, from } = done;
      const after = from + replacement.length;
      this.#at = this.#places.findIndex((place) => place.passage > passage || (place.passage === passage && place.from >= after));
      if (this.#at < 0) this.#at = Math.min(0, this.#places.length - 1);
      this.#showHit();
    }
    if (done) this.changed();
    return places.length;
  }

  /** Finds a text, and goes to the first place after what is said. Spaces match any spaces, letters both their cases. */
  search(query: string): void {
    this.#query = query;
    this.#at = -1;
    this.#find();
    this.step(1);
  }

  /** The number of the hit that was last gone to, from 1, and how many there are; `null` if nothing is searched for. */
  get hits(): { at: number; of: number } | null {
    return this.#query.trim() ? { at: this.#at + 1, of: this.#places.length } : null;
  }

  /** Looks where the texts, as they are by now, hold what is searched for. */
  #find(): void {
    this.#places = [];
    const wanted = this.#query.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+");
    if (wanted) {
      const pattern = new RegExp(wanted, "giu");
      for (const [passage, { segment }] of this.#passages.entries()) {
        for (const match of segment.text.matchAll(pattern)) {
          if (this.#places.length < MAX_HITS) {
            this.#places.push({ passage, from: match.index, to: match.index + match[0].length });
          }
        }
      }
    }
    this.#at = Math.min(this.#at, this.#places.length - 1);
    this.#markHits();
    this.#markHit();
  }

  /** Goes to the next hit, or back with -1. */
  step(by: 1 | -1): void {
    const count = this.#places.length;
    if (!count) return;
    if (this.#at < 0) {
      const after = this.#places.findIndex((place) => place.passage >= Math.max(0, this.#current));
      this.#at = after < 0 ? 0 : after;
    } else {
      this.#at = (this.#at + by + count) % count;
    }
    this.#showHit();
  }

  #showHit(): void {
    const place = this.#places[this.#at];
    if (!place) return;
    this.#scrolledByUser = performance.now();
    this.#center(this.#passages[place.passage]!.item);
    this.#markHit();
  }

  mark(on: boolean): void {
    this.#marking = on;
    this.#markUncertain();
  }

  #scrolled = (): void => {
    this.#scrolledByUser = performance.now();
  };

  #indexAt(second: number): number {
    let low = 0;
    let high = this.#passages.length;
    while (low < high) {
      const middle = (low + high) >> 1;
      if (this.#passages[middle]!.segment.start <= second) low = middle + 1;
      else high = middle;
    }
    return low - 1;
  }

  #center(item: Element): void {
    const calm = matchMedia("(prefers-reduced-motion: reduce)").matches;
    const { top } = item.getBoundingClientRect();
    const close = Math.abs(top - innerHeight / 2) < innerHeight;
    item.scrollIntoView({ block: "center", behavior: calm || !close ? "instant" : "smooth" });
  }

  #seen(entries: IntersectionObserverEntry[]): void {
    for (const entry of entries) {
      const index = this.#byItem.get(entry.target);
      if (index === undefined) continue;
      const passage = this.#passages[index]!;
      if (entry.isIntersecting) this.#near.add(passage);
      else this.#near.delete(passage);
    }
    this.#markUncertain();
    this.#markHits();
  }

  #markUncertain(): void {
    this.#uncertain.clear();
    if (!this.#marking) return;
    for (const passage of this.#near) {
      for (const word of passage.words) {
        const range = word.probability < UNCERTAIN ? passage.range(word.from, word.to) : null;
        if (range) this.#uncertain.add(range);
      }
    }
  }

  #markHits(): void {
    this.#hits.clear();
    for (const place of this.#places) {
      const passage = this.#passages[place.passage]!;
      const range = this.#near.has(passage) ? passage.range(place.from, place.to) : null;
      if (range) this.#hits.add(range);
    }
  }

  #markHit(): void {
    this.#hit.clear();
    const place = this.#places[this.#at];
    const range = place && this.#passages[place.passage]!.range(place.from, place.to);
    if (range) this.#hit.add(range);
  }

  #click(event: MouseEvent): void {
    const passage = this.#passageOf(event);
    if (!passage || !getSelection()?.isCollapsed) return;
    if (event.target === passage.time) return this.seek(passage.segment.start);
    const offset = this.#editing ? null : offsetAt(event, passage.text);
    if (offset === null) return;
    const word = passage.words.find((word) => offset <= word.to) ?? passage.words.at(-1);
    this.seek(word?.start ?? passage.segment.start);
  }

  #passageOf(event: Event): Passage | undefined {
    const item = (event.target as Element).closest("li");
    return item ? this.#passages[this.#byItem.get(item) ?? -1] : undefined;
  }

  #input(event: Event): void {
    const passage = this.#passageOf(event);
    if (!passage || event.target !== passage.text) return;
    passage.text.normalize();
    passage.change({ text: passage.text.textContent ?? "" });
    this.#find();
    this.changed();
  }

  /** Shows the times of the passage that is being corrected. */
  #focus(event: FocusEvent): void {
    const passage = this.#passageOf(event);
    if (!this.#editing || !passage || this.#times?.parentElement === passage.item) return;
    this.#times?.remove();
    this.#times = this.#timesOf(passage);
    passage.item.append(this.#times);
  }

  #timesOf(passage: Passage): HTMLElement {
    const row = document.createElement("div");
    row.className = "times";
    const field = (name: "start" | "end"): HTMLLabelElement => {
      const label = document.createElement("label");
      const input = document.createElement("input");
      input.value = exactClock(passage.segment[name]);
      input.addEventListener("change", () => {
        const second = parseClock(input.value);
        const { start, end } = passage.segment;
        if (second === null || (name === "start" ? second > end : second < start)) {
          input.value = exactClock(passage.segment[name]);
          return this.refused(t.viewer.badTime);
        }
        passage.change({ [name]: second });
        this.changed();
      });
      label.append(t.viewer[name], " ", input);
      return label;
    };
    const button = (text: string, act: () => void): HTMLButtonElement => {
      const made = document.createElement("button");
      made.type = "button";
      made.className = "button small";
      made.textContent = text;
      // The caret stays where it is, for splitting there.
      made.addEventListener("mousedown", (event) => event.preventDefault());
      made.addEventListener("click", act);
      return made;
    };
    row.append(
      field("start"),
      field("end"),
      this.#speakerOf(passage),
      button(t.viewer.split, () => this.#split(passage, this.#caret)),
      button(t.viewer.join, () => this.#join(this.#passages.indexOf(passage))),
      button(t.viewer.remove, () => {
        passage.change({ text: "" });
        passage.item.hidden = true;
        this.#find();
        this.changed();
      }),
    );
    return row;
  }

  #speakerOf(passage: Passage): HTMLLabelElement {
    const label = document.createElement("label");
    const input = document.createElement("input");
    const names = document.createElement("datalist");
    names.id = "speakers";
    names.append(...this.speakers.map((name) => new Option(name)));
    input.setAttribute("list", names.id);
    input.className = "name";
    input.maxLength = MAX_NAME;
    input.value = passage.segment.speaker ?? "";
    input.addEventListener("change", () => {
      const name = input.value.trim();
      if (!name) input.value = passage.segment.speaker ?? "";
      else passage.change({ speaker: name });
      this.#tellSpeakers();
      this.changed();
    });
    label.append(t.viewer.speaker, " ", input, names);
    return label;
  }

  /** Where the caret was last in the passage that is being corrected. */
  #caret = 0;

  #noteCaret = (): void => {
    const selection = getSelection();
    const inside = selection?.anchorNode?.parentElement?.closest(".passage p[contenteditable]");
    if (inside && this.list.contains(inside)) this.#caret = selection!.anchorOffset;
  };

  #split(passage: Passage, at: number): void {
    const parts = passage.split(at);
    if (!parts) return this.refused(t.viewer.cannotSplit);
    this.#put(this.#passages.indexOf(passage), 1, parts);
    this.#focusAt(parts[1], 0);
  }

  /** Joins a passage with the next that is there. */
  #join(index: number): void {
    const passage = this.#passages[index];
    const next = this.#passages[index + 1];
    if (!passage || !next || passage.item.hidden || next.item.hidden) return this.refused(t.viewer.cannotJoin);
    const joined = passage.joined(next);
    this.#put(index, 2, [joined]);
    this.#focusAt(joined, passage.segment.text.length);
  }

  #put(index: number, count: number, passages: Passage[]): void {
    const gone = this.#passages.splice(index, count, ...passages);
    for (const passage of passages) {
      this.#open(passage, true);
      this.#observer.observe(passage.item);
    }
    gone[0]!.item.before(...passages.map(({ item }) => item));
    for (const passage of gone) {
      this.#near.delete(passage);
      this.#observer.unobserve(passage.item);
      passage.item.remove();
    }
    this.#divided = true;
    this.#arrange();
    this.changed();
  }

  #focusAt(passage: Passage, offset: number): void {
    passage.text.focus();
    const node = passage.text.firstChild;
    if (node) getSelection()?.collapse(node, Math.min(offset, node.textContent?.length ?? 0));
  }

  /** Enter divides a passage where the caret is; Backspace at its start joins it with the one before. */
  #editKey(event: KeyboardEvent, passage: Passage): void {
    const selection = getSelection();
    const at = selection?.isCollapsed ? selection.anchorOffset : null;
    if (event.key === "Enter") {
      event.preventDefault();
      if (at !== null) this.#split(passage, at);
    } else if (event.key === "Backspace" && at === 0 && this.#passages.indexOf(passage) > 0) {
      event.preventDefault();
      this.#join(this.#passages.indexOf(passage) - 1);
    } else if (event.key === "Delete" && at === passage.segment.text.length) {
      event.preventDefault();
      this.#join(this.#passages.indexOf(passage));
    }
  }

  /** Up and down go through the times, of which one alone is a stop of the Tab key. */
  #key(event: KeyboardEvent): void {
    const item = (event.target as Element).closest("li");
    const passage = this.#passageOf(event);
    if (this.#editing && passage && event.target === passage.text) return this.#editKey(event, passage);
    const step = event.key === "ArrowDown" ? 1 : event.key === "ArrowUp" ? -1 : 0;
    if (!item || !step || !(event.target as Element).matches(".time")) return;
    const next = this.#passages[(this.#byItem.get(item) ?? 0) + step];
    if (!next) return;
    event.preventDefault();
    event.stopPropagation();
    (event.target as HTMLElement).tabIndex = -1;
    next.time.tabIndex = 0;
    next.time.focus();
  }
}

/** Which character of a text was clicked. */
function offsetAt(event: MouseEvent, text: Element): number | null {
  const position = document.caretPositionFromPoint?.(event.clientX, event.clientY);
  if (position) return text.contains(position.offsetNode) ? position.offset : null;
  const range = document.caretRangeFromPoint?.(event.clientX, event.clientY);
  return range && text.contains(range.startContainer) ? range.startOffset : null;
}
