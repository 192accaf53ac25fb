import { useReducer, useRef } from "preact/hooks";
import { IconButton, tell } from "../parts";
import { t } from "../texts";
import type { Pane } from "./pane";

const SPEEDS = [0.5, 0.75, 1, 1.25, 1.5, 1.75, 2, 2.5];

/** What stands below the player: searching and replacing, the speakers' names, how the transcript is shown. */
export function Tools({ pane, player, search, editing, speakers }: {
  editing: boolean;
  speakers: string[];
  pane: Pane;
  player: { current: HTMLVideoElement | null };
  search: { current: HTMLInputElement | null };
}) {
  const [, redraw] = useReducer((times: number) => times + 1, 0);
  const { hits } = pane;
  const step = (by: 1 | -1): void => {
    pane.step(by);
    redraw(null);
  };
  const find = (): void => {
    pane.search(search.current?.value ?? "");
    redraw(null);
  };
  const replacement = useRef<HTMLInputElement>(null);
  const replace = (all: boolean): void => {
    const count = pane.replace(replacement.current?.value ?? "", all);
    redraw(null);
    if (all) tell(t.viewer.replaced(count));
  };
  return (
    <div class="tools">
      <search class="find">
        <input
          type="search"
          ref={search}
          placeholder={t.viewer.searchPlaceholder}
          aria-label={t.viewer.searchPlaceholder}
          onInput={find}
          onKeyDown={(event) => {
            if (event.key === "Enter") step(event.shiftKey ? -1 : 1);
            if (event.key === "Escape") event.currentTarget.blur();
          }}
        />
        <span class="figure" role="status">
          {hits && t.viewer.hits(hits.at, hits.of)}
        </span>
        <IconButton shape="chevronUp" label={t.viewer.previous} disabled={!hits?.of} onClick={() => step(-1)} />
        <IconButton shape="chevron" label={t.viewer.next} disabled={!hits?.of} onClick={() => step(1)} />
      </search>
      {editing && (
        <div class="find">
          <input
            ref={replacement}
            type="text"
            placeholder={t.viewer.replaceWith}
            aria-label={t.viewer.replaceWith}
          />
          <button type="button" class="button small" disabled={!hits?.of} onClick={() => replace(false)}>
            {t.viewer.replace}
          </button>
          <button type="button" class="button small" disabled={!hits?.of} onClick={() => replace(true)}>
            {t.viewer.replaceAll}
          </button>
        </div>
      )}
      {editing && speakers.length > 0 && <Speakers pane={pane} names={speakers} />}
      <div class="switches">
        <label>
          <span>{t.viewer.speed}</span>
          <select
            id="speed"
            onChange={(event) => {
              if (player.current) player.current.playbackRate = Number(event.currentTarget.value);
            }}
          >
            {SPEEDS.map((speed) => (
              <option key={speed} value={speed} selected={speed === 1}>
                {speed} ×
              </option>
            ))}
          </select>
        </label>
        <label class="check">
          <input
            type="checkbox"
            defaultChecked
            onChange={(event) => {
              pane.follow = event.currentTarget.checked;
            }}
          />
          <span>{t.viewer.follow}</span>
        </label>
        <label class="check">
          <input type="checkbox" defaultChecked onChange={(event) => pane.mark(event.currentTarget.checked)} />
          <span>{t.viewer.uncertain}</span>
        </label>
      </div>
    </div>
  );
}

/** A field for the name of each who speaks, which changes it throughout. */
function Speakers({ pane, names }: { pane: Pane; names: string[] }) {
  return (
    <fieldset class="speakers">
      <legend>{t.viewer.speakers}</legend>
      {names.map((name) => (
        <input
          key={name}
          type="text"
          defaultValue={name}
          maxLength={40}
          aria-label={t.viewer.rename(name)}
          onChange={(event) => {
            const to = event.currentTarget.value.trim();
            if (to) pane.renameSpeaker(name, to);
            else event.currentTarget.value = name;
          }}
        />
      ))}
    </fieldset>
  );
}
