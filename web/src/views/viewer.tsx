import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api, fetched, Problem } from "../api";
import { downloadOne } from "../downloads";
import { baseName, clock, language, moment } from "../format";
import { Icon } from "../icons";
import { attempt, BackLink, Dialog, Failure, FilePath, IconButton, Menu, tell, useTitle } from "../parts";
import { guard, paths } from "../routes";
import { t } from "../texts";
import type { Job, MediaFile, Transcript, Version } from "../types";
import { Pane } from "../viewer/pane";
import { Player } from "../viewer/player";
import { shortcut } from "../viewer/shortcuts";
import { Tools } from "../viewer/tools";
import "../styles/viewer.css";

interface Opened {
  job: Job;
  file: MediaFile;
  transcript: Transcript;
  captions: string | null;
  versions: Version[];
}

async function open(id: string, n: number): Promise<Opened> {
  const job = await api.job(id);
  const file = job.files.find((file) => file.n === n) ?? (await api.files(id, { cursor: String(n - 1) })).files[0];
  if (!file || file.n !== n) throw new Problem(404, t.job.gone);
  if (file.state !== "succeeded") throw new Problem(409, file.error?.message ?? t.viewer.notDone);
  const versions = await api.versions(id, n);
  const current = versions.at(-1);
  if (!current && !file.transcripts.json) throw new Problem(409, t.viewer.noJson);
  const text = (format: "json" | "vtt") => api.transcriptUrl(id, n, format).then(fetched);
  const [transcript, captions] = await Promise.all([
    (current ? api.versionUrl(id, n, current.id).then(fetched) : text("json")).then((answer) => answer.json() as Promise<Transcript>),
    file.transcripts.vtt ? text("vtt").then((answer) => answer.blob()) : null,
  ]);
  return { job, file, transcript, versions, captions: captions && URL.createObjectURL(captions) };
}

export function FileView({ job, n, at }: { job: string; n: number; at: number | null }) {
  const [opened, setOpened] = useState<Opened | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const [second, setSecond] = useState(at);
  const load = (): void => void open(job, n).then(setOpened, (error: Error) => setProblem(error.message));
  useEffect(load, []);
  useEffect(() => () => void (opened?.captions && URL.revokeObjectURL(opened.captions)), [opened]);
  useTitle(opened ? baseName(opened.file.path) : t.viewer.title);
  if (problem) {
    return (
      <div class="column">
        <header class="head">
          <BackLink href={paths.job(job)} />
        </header>
        <Failure message={problem} />
      </div>
    );
  }
  return opened ? (
    <Viewer
      key={opened.versions.at(-1)?.id}
      {...opened}
      at={second}
      changed={(at) => {
        setSecond(at);
        load();
      }}
    />
  ) : <p class="loading">{t.loading}</p>;
}

/** `changed` is called with the player's second when there is a new version. */
function Viewer(props: Opened & { at: number | null; changed: (at: number | null) => void }) {
  const { job, file, transcript, captions, versions, at } = props;
  const player = useRef<HTMLVideoElement>(null);
  const view = useRef<HTMLDivElement>(null);
  const text = useRef<HTMLDivElement>(null);
  const search = useRef<HTMLInputElement>(null);
  const [keys, setKeys] = useState(false);
  const seek = (second: number): void => {
    if (player.current) player.current.currentTime = second;
    pane.setTime(second);
  };
  const [editing, setEditing] = useState(false);
  const [dirty, setDirty] = useState(false);
  const [speakers, setSpeakers] = useState<string[]>([]);
  const changed = (): void => {
    setDirty(pane.dirty);
    setSpeakers(pane.speakers);
  };
  const pane = useMemo(() => new Pane(seek, changed, (why) => tell(why, true)), []);
  const current = versions.at(-1);
  const put = async (edit: Parameters<typeof api.edit>[2], done: string): Promise<void> => {
    await api.edit(job.id, file.n, edit);
    setDirty(false);
    tell(done);
    props.changed(player.current?.currentTime ?? null);
  };
  const save = (): void => {
    const page = view.current!;
    if (!current || !pane.dirty || page.inert) return;
    // What is typed while it is saved would be lost.
    page.inert = true;
    const saved = put({ replaces: current.id, segments: pane.segments }, t.viewer.saved);
    attempt(saved.finally(() => void (page.inert = false)));
  };
  const discard = (): void => {
    if (dirty && !confirm(t.viewer.discardAll)) return;
    pane.show(transcript.segments);
    changed();
    setEditing(false);
  };
  // By a finger, it would open the keyboard of a phone over the text.
  const byKey = useRef(false);
  const edit = (key: boolean): void => {
    byKey.current = key;
    setEditing(true);
  };
  useEffect(() => {
    pane.edit(editing);
    if (editing && byKey.current) pane.focus();
  }, [editing]);
  useEffect(() => {
    guard(dirty ? () => !confirm(t.viewer.unsaved) : null);
    const warn = (event: BeforeUnloadEvent): void => event.preventDefault();
    if (dirty) addEventListener("beforeunload", warn);
    return () => {
      guard(null);
      removeEventListener("beforeunload", warn);
    };
  }, [dirty]);
  useEffect(() => {
    const key = (event: KeyboardEvent): void => {
      const typing = (event.target as Element).closest("input, select, textarea, [contenteditable], dialog");
      if ((event.ctrlKey || event.metaKey) && event.key === "s") {
        event.preventDefault();
        save();
      } else if (event.key === "e" && !typing && !event.ctrlKey && !event.metaKey && current) {
        event.preventDefault();
        edit(true);
      }
    };
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);
  const words = useMemo(
    () => transcript.segments.reduce((sum, { text }) => sum + (text.match(/\S+/g)?.length ?? 0), 0),
    [transcript],
  );

  useEffect(() => {
    pane.show(transcript.segments);
    changed();
    text.current?.append(pane.list);
    if (at !== null) seek(at);
    return () => pane.close();
  }, []);
  useEffect(() => {
    const key = (event: KeyboardEvent): void => shortcut(event, player.current, pane, search.current, seek, setKeys);
    document.addEventListener("keydown", key);
    return () => document.removeEventListener("keydown", key);
  }, []);

  const facts = [clock(transcript.duration), t.viewer.words(words), language(transcript.language), transcript.model];
  return (
    <div class="viewer" ref={view}>
      <header class="head">
        <BackLink href={paths.job(job.id)} />
        <div class="what">
          <h1>
            <FilePath path={file.path} />
          </h1>
          <p class="facts">{facts.join(" · ")}</p>
        </div>
        <div class="actions">
          <IconButton shape="keyboard" label={t.viewer.keys} onClick={() => setKeys(true)} />
          {!editing && current && (
            <button type="button" class="button" onClick={(event) => edit(event.detail === 0)}>
              <Icon shape="edit" size={18} />
              {t.viewer.edit}
            </button>
          )}
          {versions.length > 1 && !editing && (
            <Menu label={t.viewer.history} shape="history">
              {versions.toReversed().map((version) => (
                <button
                  key={version.id}
                  type="button"
                  disabled={version === current}
                  onClick={() => attempt(put({ replaces: current!.id, base: version.id }, t.viewer.restored))}
                >
                  {version === current ? `${versionName(version)} (${t.viewer.current})` : t.viewer.restore(versionName(version))}
                </button>
              ))}
            </Menu>
          )}
          {!editing && (
            <Menu label={t.job.download} shape="down" text={t.job.download}>
              {job.options.formats.map((format) => (
                <button key={format} type="button" onClick={() => attempt(downloadOne(job.id, file.n, format))}>
                  {t.formats[format]}
                </button>
              ))}
            </Menu>
          )}
        </div>
      </header>
      <aside>
        {editing && (
          <div class="saving">
            <button type="button" class="button" onClick={discard}>
              {t.viewer.discard}
            </button>
            <button type="button" class="button primary" disabled={!dirty} onClick={save}>
              {t.viewer.save}
            </button>
          </div>
        )}
        <Player job={job.id} n={file.n} captions={captions} language={transcript.language} player={player} pane={pane} at={at} />
        <Tools pane={pane} player={player} search={search} editing={editing} speakers={speakers} />
      </aside>
      <section class="card text" aria-label={t.viewer.title} ref={text} lang={transcript.language}>
        {!transcript.segments.length && <p class="hint">{t.viewer.empty}</p>}
      </section>
      <Dialog title={t.viewer.keys} open={keys} onClose={() => setKeys(false)}>
        <dl class="shortcuts">
          {t.viewer.shortcuts.map(([key, what]) => (
            <div key={key}>
              <dt>{key}</dt>
              <dd>{what}</dd>
            </div>
          ))}
        </dl>
      </Dialog>
    </div>
  );
}

const versionName = (version: Version): string =>
  version.created_at ? moment(version.created_at) : t.viewer.original;
