import Dashboard from "@uppy/dashboard";
import "@uppy/core/css/style.min.css";
import "@uppy/dashboard/css/style.min.css";
import "../styles/uppy.css";
import { useEffect, useMemo, useRef, useState } from "preact/hooks";
import { api } from "../api";
import { language } from "../format";
import { LANGUAGES } from "../languages";
import { Failure, useTitle } from "../parts";
import { go, paths } from "../routes";
import { t } from "../texts";
import { isDark } from "../theme";
import { FORMATS, type Format, type Health, type Options } from "../types";
import { draft, MAX_FILES, start, type Uploader } from "../uploads";

const AUTO = "auto";
const englishOnly = (model: string): boolean => model.endsWith(".en");

export function NewJobView() {
  useTitle(t.new.title);
  const uppy = useMemo(draft, []);
  const started = useRef(false);
  const [count, setCount] = useState(0);
  const [leftOut, setLeftOut] = useState(0);
  const [health, setHealth] = useState<Health | null>(null);
  const [busy, setBusy] = useState(false);
  const [problem, setProblem] = useState<string | null>(null);

  useEffect(() => {
    const counted = (): void => setCount(uppy.getFiles().length);
    const foreign = new Set<string>();
    // Without a file it is their number that is refused.
    const refused = (file: { id: string; name?: string } | undefined): void => {
      if (!file) setProblem(t.new.tooMany(MAX_FILES));
      else if (!file.name?.startsWith(".")) setLeftOut(foreign.add(file.id).size);
    };
    uppy.on("files-added", counted).on("file-removed", counted).on("restriction-failed", refused);
    const stopPasting = pasteInto(uppy);
    api.health().then(setHealth, (error: Error) => setProblem(error.message));
    return () => {
      stopPasting();
      uppy.off("files-added", counted).off("file-removed", counted).off("restriction-failed", refused);
      if (!started.current) uppy.destroy();
    };
  }, []);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    setBusy(true);
    setProblem(null);
    try {
      const form = new FormData(event.target as HTMLFormElement);
      const dashboard = uppy.getPlugin("Dashboard");
      const job = await start(uppy, chosenOptions(form), chosenLabels(form), () => dashboard && uppy.removePlugin(dashboard));
      started.current = true;
      go(paths.job(job));
    } catch (error) {
      setProblem(error instanceof Error ? error.message : t.errors.unexpected);
      setBusy(false);
    }
  }

  return (
    <form class="new" onSubmit={(event) => void submit(event)}>
      <section>
        <h1>{t.new.title}</h1>
        <p class="lead">{t.new.lead}</p>
        <DropArea uppy={uppy} />
        <p class="hint" role="status">
          {leftOut > 0 && t.new.leftOut(leftOut)}
        </p>
      </section>
      <OptionsPanel health={health} />
      <footer>
        {problem && <Failure message={problem} />}
        <button class="button primary large" disabled={busy || count === 0}>
          {busy ? t.new.starting : count ? t.new.startFiles(count) : t.new.start}
        </button>
      </footer>
    </form>
  );
}

function DropArea({ uppy }: { uppy: Uploader }) {
  const area = useRef<HTMLDivElement>(null);
  const theme = isDark() ? "dark" : "light";
  useEffect(() => {
    uppy.use(Dashboard, {
      inline: true,
      target: area.current!,
      width: "100%",
      height: "max(20rem, 42vh)",
      theme,
      fileManagerSelectionType: "both",
      hideUploadButton: true,
      disableStatusBar: true,
      disableInformer: true,
      disableThumbnailGenerator: true,
      proudlyDisplayPoweredByUppy: false,
      singleFileFullScreen: false,
      locale: { strings: t.uppy as never },
    });
  }, []);
  useEffect(() => {
    uppy.getPlugin("Dashboard")?.setOptions({ theme });
  }, [theme]);
  return <div class="drop-area" ref={area} />;
}

/** Files pasted anywhere on the page. */
function pasteInto(uppy: Uploader): () => void {
  const paste = (event: ClipboardEvent): void => {
    const inDashboard = event.target instanceof Element && event.target.closest(".uppy-Root");
    if (inDashboard) return;
    for (const file of event.clipboardData?.files ?? []) {
      try {
        uppy.addFile({ name: file.name, type: file.type, data: file, source: "paste" });
      } catch {
        // Told by the event `restriction-failed`.
      }
    }
  };
  document.addEventListener("paste", paste);
  return () => document.removeEventListener("paste", paste);
}

function OptionsPanel({ health }: { health: Health | null }) {
  const [model, setModel] = useState("");
  const models = health?.models ?? [];
  const english = englishOnly(model || (health?.default_model ?? ""));
  const languages = LANGUAGES.map((code) => ({ code, name: language(code) })).sort((a, b) =>
    a.name.localeCompare(b.name),
  );
  return (
    <section class="card options" aria-labelledby="options">
      <h2 id="options">{t.new.options}</h2>
      {english ? (
        <p class="hint">
          {t.new.language}: {t.new.englishOnly}
        </p>
      ) : (
        <>
          <label for="language">{t.new.language}</label>
          <select id="language" name="language">
            <option value={AUTO}>{t.new.detect}</option>
            {languages.map(({ code, name }) => (
              <option key={code} value={code}>
                {name}
              </option>
            ))}
          </select>
          <label class="check">
            <input type="checkbox" name="translate" aria-describedby="translate-hint" />
            <span>{t.new.translate}</span>
          </label>
          <p class="hint" id="translate-hint">
            {t.new.translateHint}
          </p>
        </>
      )}
      {models.length > 1 && (
        <>
          <label for="model">{t.new.model}</label>
          <select id="model" name="model" onChange={(event) => setModel(event.currentTarget.value)}>
            <option value="">{t.new.modelDefault(health?.default_model ?? "")}</option>
            {models.map((name) => (
              <option key={name} value={name}>
                {name}
                {englishOnly(name) ? ` (${t.new.englishOnly})` : ""}
              </option>
            ))}
          </select>
        </>
      )}
      <label for="speakers">{t.new.speakers}</label>
      <select id="speakers" name="speakers">
        <option value="">{t.new.noSpeakers}</option>
        {health?.diarizes && <option value="voices">{t.new.byVoice}</option>}
        <option value="channels">{t.new.byChannel}</option>
      </select>
      <label for="prompt">{t.new.prompt}</label>
      <textarea id="prompt" name="prompt" rows={2} maxLength={900} aria-describedby="prompt-hint" />
      <p class="hint" id="prompt-hint">
        {t.new.promptHint}
      </p>
      <label for="labels">{t.new.labels}</label>
      <input id="labels" name="labels" aria-describedby="labels-hint" />
      <p class="hint" id="labels-hint">
        {t.new.labelsHint}
      </p>
      <fieldset>
        <legend>{t.new.formats}</legend>
        {FORMATS.map((format) => (
          <label key={format} class="check">
            <input type="checkbox" name="formats" value={format} defaultChecked />
            <span>{t.formats[format]}</span>
          </label>
        ))}
      </fieldset>
    </section>
  );
}

/** `course: biology, term: spring` as names and values. */
function chosenLabels(form: FormData): Record<string, string> {
  const written = String(form.get("labels") ?? "").split(",").filter((label) => label.trim());
  return Object.fromEntries(
    written.map((label) => {
      const [, name, value] = /^\s*([\w.-]+)\s*:\s*(.+?)\s*$/.exec(label) ?? [];
      if (!name || !value) throw new Error(t.new.badLabels);
      return [name, value];
    }),
  );
}

/** What differs from the service's defaults. */
function chosenOptions(form: FormData): Partial<Options> {
  const options: Partial<Options> = {};
  const text = (name: string): string => String(form.get(name) ?? "").trim();
  const formats = form.getAll("formats") as Format[];
  if (!formats.length) throw new Error(t.new.formatsHint);
  if (formats.length < FORMATS.length) options.formats = formats;
  if (text("language") && text("language") !== AUTO) options.language = text("language");
  if (form.has("translate")) options.task = "translate";
  if (text("model")) options.model = text("model");
  if (text("speakers") === "voices") options.diarize = true;
  if (text("speakers") === "channels") options.channels = "split";
  if (text("prompt")) options.prompt = text("prompt");
  return options;
}
