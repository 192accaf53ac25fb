// A passage of a transcript: its elements, and what it becomes where somebody corrects it.

import { clock } from "../format";
import { t } from "../texts";
import type { EditedSegment, Segment } from "../types";

interface PlacedWord {
  from: number;
  to: number;
  start: number;
  end: number;
  probability: number;
}

export class Passage {
  readonly item = document.createElement("li");
  readonly time = document.createElement("button");
  readonly speaker = document.createElement("span");
  readonly text = document.createElement("p");
  #words: PlacedWord[] | null = null;
  readonly #original: Segment | null;

  /** `first` to `last` are the numbers of the segments that it is made of; `original` is that, if it is a whole one. */
  constructor(
    readonly first: number,
    readonly last: number,
    public segment: Segment,
    original: Segment | null,
  ) {
    this.#original = original;
    this.item.className = "passage";
    this.time.type = "button";
    this.time.className = "time";
    this.time.tabIndex = -1;
    this.speaker.className = "speaker";
    this.speaker.hidden = true;
    this.item.append(this.time, this.speaker, this.text);
    this.change({});
  }

  /** The words, each where it stands in the text; the text evenly over its time where words are not told. */
  get words(): PlacedWord[] {
    this.#words ??= placed(this.segment);
    return this.#words;
  }

  change(to: Partial<Segment>): void {
    this.segment = { ...this.segment, ...to };
    this.#words = null;
    const at = clock(this.segment.start);
    if (this.time.textContent !== at) {
      this.time.textContent = at;
      this.time.setAttribute("aria-label", t.viewer.playFrom(at));
    }
    if (this.text.textContent !== this.segment.text) this.text.textContent = this.segment.text;
  }

  /** Shows who speaks, where another did before. */
  tellSpeaker(before: string | null): void {
    const { speaker = null } = this.segment;
    this.speaker.hidden = !speaker || speaker === before;
    this.speaker.textContent = speaker;
  }

  /** What is to be saved of it: what has been changed since it was shown. */
  get edited(): EditedSegment {
    const { text, start, end, speaker = null } = this.segment;
    const before = this.#original;
    const through = this.last > this.first && { through: this.last };
    return {
      id: this.first,
      ...through,
      ...(text !== before?.text && { text }),
      ...(start !== before?.start && { start }),
      ...(end !== before?.end && { end }),
      ...(speaker !== (before ? (before.speaker ?? null) : null) && { speaker }),
    };
  }

  get changed(): boolean {
    return Object.keys(this.edited).length > 1;
  }

  range(from: number, to: number): Range | null {
    const node = this.text.firstChild;
    if (!node || to > (node.textContent?.length ?? 0)) return null;
    const range = document.createRange();
    range.setStart(node, from);
    range.setEnd(node, to);
    return range;
  }

  /** It as two, the second from that character on; `null` if one would have no text. */
  split(at: number): [Passage, Passage] | null {
    const { text, start, end, speaker, words = [] } = this.segment;
    const before = text.slice(0, at).trim();
    const after = text.slice(at).trim();
    if (!before || !after) return null;
    const second = this.words.find((word) => word.from >= at || word.to > at)?.start ?? end;
    const middle = Math.min(Math.max(second, start), end);
    const part = (text: string, from: number, to: number): Passage => {
      const said = words.filter((word) => word.start >= from && word.start < to);
      return new Passage(this.first, this.last, { text, start: from, end: to, speaker, words: said }, null);
    };
    return [part(before, start, middle), part(after, middle, end)];
  }

  joined(next: Passage): Passage {
    const [before, after] = [this.segment, next.segment];
    const space = spaceless(before.text.slice(-1)) || spaceless(after.text.slice(0, 1)) ? "" : " ";
    const segment = {
      text: before.text + space + after.text,
      start: before.start,
      end: Math.max(before.end, after.end),
      speaker: before.speaker ?? null,
      words: [...(before.words ?? []), ...(after.words ?? [])],
    };
    return new Passage(this.first, Math.max(this.last, next.last), segment, null);
  }
}

/** Whether a character is one of those that are written without spaces between them. */
const spaceless = (character: string): boolean =>
  /[\p{Script=Han}\p{Script=Hiragana}\p{Script=Katakana}\u3000-\u303f\uff00-\uffef]/u.test(character);

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
