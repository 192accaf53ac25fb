// The text of a transcript, in plain DOM: one text node a passage, so that hours of speech scroll as one page does.
// Words are marked by highlights (CSS Custom Highlight API), which leave the DOM as it is.

import { clock, exactClock, parseClock } from "../format";
import { t } from "../texts";
import type { EditedSegment, Segment } from "../types";

const UNCERTAIN = 0.5;
const AHEAD = "600px";
const USER_SCROLLS_MS = 4000;
const MAX_HITS = 5000;

/** Characters `from` to `to` of the text of passage number `passage`. */
interface Place {
  passage: number;
  from: number;
  to: number;
}

interface PlacedWord {
  from: number;
  to: number;
  start: number;
  end: number;
  probability: number;
}

class Passage {
  readonly item = document.createElement("li");
  readonly time = document.createElement("button");
  readonly text = document.createElement("p");
  #words: PlacedWord[] | null = null;
  readonly #original: Segment;

  /** `id` is its number in the version that is shown. */
  constructor(
    readonly id: number,
    public segment: Segment,
  ) {
    this.#original = segment;
    this.item.className = "passage";
    this.time.type = "button";
    this.time.className = "time";
    this.time.tabIndex = -1;
    this.time.textContent = clock(segment.start);
    this.time.setAttribute("aria-label", t.viewer.playFrom(clock(segment.start)));
    this.text.textContent = segment.text;
    this.item.append(this.time, this.text);
  }

  /** The words, each where it stands in the text; the text evenly over its time where words are not told. */
  get words(): PlacedWord[] {
    this.#words ??= placed(this.segment);
    return this.#words;
  }

  change(to: Partial<Segment>): void {
    this.segment = { ...this.segment, ...to };
    this.#words = null;
    this.time.textContent = clock(this.segment.start);
    if (to.text !== undefined && this.text.textContent !== to.text) this.text.textContent = to.text;
  }

  /** What has been changed since it was shown. */
  get edited(): EditedSegment {
    const { text, start, end } = this.segment;
    return {
      id: this.id,
      ...(text !== this.#original.text && { text }),
      ...(start !== this.#original.start && { start }),
      ...(end !== this.#original.end && { end }),
    };
  }

  range(from: number, to: number): Range | null {
    const node = this.text.firstChild;
    if (!node || to > (node.textContent?.length ?? 0)) return null;
    const range = document.createRange();
    range.setStart(node, from);
    range.setEnd(node, to);
    return range;
  }
}

function placed(segment: Segment): PlacedWord[] {
  const words: PlacedWord[] = [];
  let position = 0;
  for (const word of segment.words ?? []) {
    const from = segment.text.indexOf(word.text, position);
    if (from < 0) return spread(segment);
    position = from + word.text.length;
    words.push({ from, to: position, start: word.start, end: word.end, probability: word.probability });
  }
  return words.length ? words : spread(segment);
}

function spread({ text, start, end }: Segment): PlacedWord[] {
  const at = (index: number): number => start + ((end - start) * index) / Math.max(1, text.length);
  return [...text.matchAll(/\S+/g)].map((match) => {
    const to = match.index + match[0].length;
    return { from: match.index, to, start: at(match.index), end: at(to), probability: 1 };
  });
}

export class Pane {
  readonly list = document.createElement("ol");
  #passages: Passage[] = [];
  #byItem = new Map<Element, number>();
  #near = new Set<number>();
  #observer: IntersectionObserver;
  #word = new Highlight();
  #uncertain = new Highlight();
  #hit = new Highlight();
  #hits = new Highlight();
  #places: Place[] = [];
  #at = -1;
  #current = -1;
  #scrolledByUser = 0;
  #editing = false;
  #times: HTMLElement | null = null;
  follow = true;
  marking = true;

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
    this.#passages = segments.map((segment, id) => new Passage(id, segment));
    this.#byItem = new Map(this.#passages.map((passage, i) => [passage.item, i]));
    this.#near.clear();
    this.#current = -1;
    this.list.replaceChildren(...this.#passages.map((passage) => passage.item));
    for (const passage of this.#passages) this.#observer.observe(passage.item);
    if (this.#passages[0]) this.#passages[0].time.tabIndex = 0;
  }

  close(): void {
    this.#observer.disconnect();
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
    for (const { text, segment } of this.#passages) {
      if (!on) {
        for (const name of ["contenteditable", "role", "aria-label"]) text.removeAttribute(name);
        continue;
      }
      text.setAttribute("contenteditable", "plaintext-only");
      text.setAttribute("role", "textbox");
      text.setAttribute("aria-label", t.viewer.editText(clock(segment.start)));
    }
    this.#times?.remove();
  }

  /** All segments as they are to be from now on. */
  get segments(): EditedSegment[] {
    return this.#passages.filter(({ segment }) => segment.text.trim()).map((passage) => passage.edited);
  }

  get dirty(): boolean {
    return this.#passages.some((passage) => Object.keys(passage.edited).length > 1);
  }

  /** Replaces the hit that was last gone to, or all hits; how many. */
  replace(replacement: string, all: boolean): number {
    const places = all ? this.#places : this.#places.slice(Math.max(0, this.#at), Math.max(0, this.#at) + 1);
    for (const { passage, from, to } of places.toReversed()) {
      const { text } = this.#passages[passage]!.segment;
      this.#passages[passage]!.change({ text: text.slice(0, from) + replacement + text.slice(to) });
    }
    if (places.length) this.changed();
    return places.length;
  }

  /** Finds a text; how often it occurs. Spaces match any spaces, and letters both their cases. */
  search(query: string): number {
    this.#places = [];
    this.#at = -1;
    const wanted = query.trim().replace(/[.*+?^${}()|[\]\\]/g, "\\$&").replace(/\s+/g, "\\s+");
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
    this.#markHits();
    return this.#places.length;
  }

  /** Goes to the next hit, or back with -1; its number, from 1. */
  step(by: 1 | -1): number {
    const count = this.#places.length;
    if (!count) return 0;
    if (this.#at < 0) {
      const after = this.#places.findIndex((place) => place.passage >= Math.max(0, this.#current));
      this.#at = after < 0 ? 0 : after;
    } else {
      this.#at = (this.#at + by + count) % count;
    }
    const place = this.#places[this.#at]!;
    const passage = this.#passages[place.passage]!;
    this.#scrolledByUser = performance.now();
    this.#center(passage.item);
    this.#hit.clear();
    const range = passage.range(place.from, place.to);
    if (range) this.#hit.add(range);
    return this.#at + 1;
  }

  mark(on: boolean): void {
    this.marking = on;
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
      if (entry.isIntersecting) this.#near.add(index);
      else this.#near.delete(index);
    }
    this.#markUncertain();
    this.#markHits();
  }

  #markUncertain(): void {
    this.#uncertain.clear();
    if (!this.marking) return;
    for (const index of this.#near) {
      const passage = this.#passages[index]!;
      for (const word of passage.words) {
        const range = word.probability < UNCERTAIN ? passage.range(word.from, word.to) : null;
        if (range) this.#uncertain.add(range);
      }
    }
  }

  #markHits(): void {
    this.#hits.clear();
    if (this.#at < 0) this.#hit.clear();
    for (const place of this.#places) {
      const range = this.#near.has(place.passage) ? this.#passages[place.passage]!.range(place.from, place.to) : null;
      if (range) this.#hits.add(range);
    }
  }

  #click(event: MouseEvent): void {
    const item = (event.target as Element).closest("li");
    const passage = item ? this.#passages[this.#byItem.get(item) ?? -1] : undefined;
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
    const remove = document.createElement("button");
    remove.type = "button";
    remove.className = "button small";
    remove.textContent = t.viewer.remove;
    remove.addEventListener("click", () => {
      passage.change({ text: "" });
      passage.item.hidden = true;
      this.changed();
    });
    row.append(field("start"), field("end"), remove);
    return row;
  }

  /** Up and down go through the times, of which one alone is a stop of the Tab key. */
  #key(event: KeyboardEvent): void {
    const item = (event.target as Element).closest("li");
    if (this.#editing && event.key === "Enter" && (event.target as Element).matches("[contenteditable]")) {
      event.preventDefault();
      const passage = this.#passageOf(event);
      this.#passages[(passage ? this.#passages.indexOf(passage) : 0) + 1]?.text.focus();
      return;
    }
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
