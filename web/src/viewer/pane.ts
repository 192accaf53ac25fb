// The text of a transcript, in plain DOM: one text node a passage, so that hours of speech scroll as one page does.
// Words are marked by highlights (CSS Custom Highlight API), which leave the DOM as it is.

import { clock } from "../format";
import { t } from "../texts";
import type { Segment } from "../types";

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

  constructor(readonly segment: Segment) {
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
  follow = true;
  marking = true;

  /** `seek` is called with the second of the word or passage that was chosen. */
  constructor(private readonly seek: (second: number) => void) {
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
    this.#passages = segments.map((segment) => new Passage(segment));
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
    const offset = offsetAt(event, passage.text);
    if (offset === null) return;
    const word = passage.words.find((word) => offset <= word.to) ?? passage.words.at(-1);
    this.seek(word?.start ?? passage.segment.start);
  }

  /** Up and down go through the times, of which one alone is a stop of the Tab key. */
  #key(event: KeyboardEvent): void {
    const item = (event.target as Element).closest("li");
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
