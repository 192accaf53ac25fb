import { useRef, useState } from "preact/hooks";
import { api, everyFile } from "../api";
import { match } from "../choosing";
import { downloadMany, downloadOne } from "../downloads";
import { bytes, dollars, duration, language, moment } from "../format";
import { Icon } from "../icons";
import { attempt, BackLink, Bar, Dialog, Failure, FilePath, IconButton, Menu, StateChip, tell, useTitle } from "../parts";
import { usePolled } from "../polling";
import { go, paths } from "../routes";
import { bytesLeft, sendings, type Sending } from "../sending";
import { t } from "../texts";
import { type Format, isFinal, isHopeless, type JobWithFiles, type MediaFile } from "../types";
import { jobTitle, Labels } from "./jobs";

const BUSY_SECONDS = 1;
const WAITING_SECONDS = 3;

/** A job with its files, those that failed if they may be among many others, and whether no more was being sent. */
type Loaded = JobWithFiles & { failed: MediaFile[]; sent: boolean };

/** The job with its files: the first page, or all of them. */
async function load(id: string, all: boolean): Promise<Loaded> {
  const sent = !sendings.value.has(id);
  const job = await api.job(id);
  const failed = job.next && job.files_by_state.failed ? (await api.files(id, { state: "failed" })).files : [];
  return all ? { ...job, failed, sent, files: await everyFile(job), next: null } : { ...job, failed, sent };
}

export function JobView({ id }: { id: string }) {
  const [all, setAll] = useState(false);
  const sending = sendings.value.get(id);
  const polled = usePolled(
    `${id} ${all} ${!sending}`,
    () => load(id, all),
    (job) => (isFinal(job) ? null : job.state === "awaiting_upload" || all ? WAITING_SECONDS : BUSY_SECONDS),
  );
  const [last, setLast] = useState<Loaded | null>(null);
  if (polled.value && polled.value !== last) setLast(polled.value);
  const job = polled.value ?? last;
  useTitle(job ? jobTitle(job) : t.jobs.title);
  if (!job) {
    if (!polled.problem) return <p class="loading">{t.loading}</p>;
    const gone = polled.problem.status === 404;
    return (
      <div class="column">
        <header class="head">
          <BackLink href={paths.jobs} />
        </header>
        <Failure message={gone ? t.job.gone : polled.problem.message} retry={gone ? undefined : polled.refresh} />
      </div>
    );
  }
  const failed = new Set(job.failed.map(({ n }) => n));
  return (
    <div class="column">
      <JobHead job={job} refresh={polled.refresh} />
      {polled.problem && <Failure message={polled.problem.message} retry={polled.refresh} />}
      {job.error && <Failure message={job.error} />}
      <Overall job={job} sending={sending} />
      {!sending && job.sent && <Missing job={job} />}
      <h2 class="visually-hidden">{t.job.files}</h2>
      <ul class="files card">
        {[...job.failed, ...job.files.filter(({ n }) => !failed.has(n))].map((file) => (
          <FileRow key={file.n} job={job} file={file} sending={sending} />
        ))}
      </ul>
      {job.next && (
        <button type="button" class="button center" onClick={() => setAll(true)}>
          {t.job.showAll(job.files_total)}
        </button>
      )}
    </div>
  );
}

function JobHead({ job, refresh }: { job: Loaded; refresh: () => void }) {
  const took = job.started_at && job.finished_at ? (Date.parse(job.finished_at) - Date.parse(job.started_at)) / 1000 : 0;
  const facts = [
    moment(job.created_at),
    t.files(job.files_total),
    bytes(job.size),
    job.audio_seconds > 0 && t.job.sound(duration(job.audio_seconds)),
    job.options.model,
    took > 0 && t.job.took(duration(took)),
    job.dollars > 0 && t.job.cost(dollars(job.dollars)),
  ];
  const done = job.files.some((file) => file.state === "succeeded");
  return (
    <header class="head">
      <BackLink href={paths.jobs} />
      <div class="what">
        <h1>{jobTitle(job)}</h1>
        <p class="facts">{facts.filter(Boolean).join(" · ")}</p>
        <Labels job={job} />
      </div>
      <div class="actions">
        <Control job={job} refresh={refresh} />
        {done && <DownloadAll job={job} />}
      </div>
    </header>
  );
}

/** Whether another go may mend something; files that are not loaded may be mended. */
function canRetry({ files, failed, files_by_state }: Loaded): boolean {
  const hopeless = new Set([...failed, ...files].filter(isHopeless).map(({ n }) => n));
  return (files_by_state.failed ?? 0) + (files_by_state.cancelled ?? 0) > hopeless.size;
}

/** Cancelling, retrying and deleting the job. */
function Control({ job, refresh }: { job: Loaded; refresh: () => void }) {
  const [asking, setAsking] = useState(false);
  const dropUploads = async (): Promise<void> => (await import("../uploads")).drop(job.id);
  const cancel = async (): Promise<void> => {
    await dropUploads();
    await api.cancel(job.id);
    refresh();
  };
  const retry = async (): Promise<void> => {
    await api.retry(job.id);
    refresh();
  };
  const remove = async (): Promise<void> => {
    setAsking(false);
    await dropUploads();
    await api.remove(job.id);
    tell(t.job.removed);
    go(paths.jobs);
  };
  if (!isFinal(job)) {
    return (
      <button type="button" class="button" onClick={() => attempt(cancel())}>
        {t.job.cancel}
      </button>
    );
  }
  return (
    <>
      {canRetry(job) && (
        <button type="button" class="button" onClick={() => attempt(retry())}>
          <Icon shape="retry" size={18} />
          {job.state === "cancelled" ? t.job.retryCancelled : t.job.retry}
        </button>
      )}
      <IconButton shape="trash" label={t.job.remove} onClick={() => setAsking(true)} />
      <Dialog title={t.job.removeTitle} open={asking} onClose={() => setAsking(false)}>
        <p>{t.job.removeText}</p>
        <footer>
          <button type="button" class="button" onClick={() => setAsking(false)}>
            {t.job.keep}
          </button>
          <button type="button" class="button danger" onClick={() => attempt(remove())}>
            {t.job.remove}
          </button>
        </footer>
      </Dialog>
    </>
  );
}

function DownloadAll({ job }: { job: JobWithFiles }) {
  const [progress, setProgress] = useState<[number, number] | null>(null);
  const save = async (formats: Format[]): Promise<void> => {
    const name = jobTitle(job).replace(/[\\/:*?"<>|]/g, "_");
    try {
      await downloadMany(job.id, name, await everyFile(job), formats, (done, of) => setProgress([done, of]));
    } finally {
      setProgress(null);
    }
  };
  if (progress) return <p class="hint">{t.job.zipping(...progress)}</p>;
  return (
    <Menu label={t.job.downloadAll} shape="down" text={t.job.downloadAll}>
      {job.options.formats.length > 1 && (
        <button type="button" onClick={() => attempt(save(job.options.formats))}>
          {t.job.zipAll}
        </button>
      )}
      {job.options.formats.map((format) => (
        <button key={format} type="button" onClick={() => attempt(save([format]))}>
          {t.job.zipOf(t.formats[format])}
        </button>
      ))}
    </Menu>
  );
}

function Overall({ job, sending }: { job: JobWithFiles; sending: Sending | undefined }) {
  if (sending?.shares.size) return <Uploading job={job} sending={sending} />;
  const failed = job.files_by_state.failed ?? 0;
  const howMany = failed > 0 && job.files_total > 1 && <span class="problem">{t.job.failed(failed, job.files_total)}</span>;
  if (isFinal(job)) {
    return (
      <p class="line">
        <StateChip state={job.state} text={t.jobStates[job.state]} />
        {howMany}
      </p>
    );
  }
  const left = job.seconds_left;
  return (
    <section class="overall card">
      <div class="line">
        <StateChip state={job.state} text={t.jobStates[job.state]} />
        <span class="figure">{job.state === "running" && job.percent > 0 ? `${Math.round(job.percent)} %` : ""}</span>
        <span class="left">{left !== null && t.job.left(duration(left))}</span>
      </div>
      {howMany}
      <Bar percent={job.percent} label={t.job.progress} busy={job.state !== "awaiting_upload" && job.percent === 0} />
    </section>
  );
}

function Uploading({ job, sending }: { job: JobWithFiles; sending: Sending }) {
  const sent = job.size - bytesLeft(sending);
  const percent = job.size ? (100 * sent) / job.size : 100;
  const uploads = (act: (uploads: typeof import("../uploads")) => void): void => void import("../uploads").then(act);
  return (
    <section class="overall card">
      <div class="line">
        <StateChip
          state="running"
          text={sending.paused ? t.job.uploadPaused : t.job.uploading(`${Math.floor(percent)} %`)}
        />
        <span class="figure">
          {bytes(sent)} / {bytes(job.size)}
        </span>
        {sending.failed.size > 0 ? (
          <button type="button" class="button small" onClick={() => uploads(({ retry }) => retry(job.id))}>
            {t.retry}
          </button>
        ) : (
          <IconButton
            shape={sending.paused ? "play" : "pause"}
            label={sending.paused ? t.job.resume : t.job.pause}
            onClick={() => uploads(({ pause, unpause }) => (sending.paused ? unpause : pause)(job.id))}
          />
        )}
      </div>
      <Bar percent={percent} label={t.job.progress} />
    </section>
  );
}

function Missing({ job }: { job: JobWithFiles }) {
  const waiting = job.files_by_state.awaiting_upload ?? 0;
  const files = useRef<HTMLInputElement>(null);
  const folder = useRef<HTMLInputElement>(null);
  if (!waiting || isFinal(job)) return null;
  const chosen = async (event: Event): Promise<void> => {
    const input = event.target as HTMLInputElement;
    const { found, unclear } = match(await everyFile(job), [...(input.files ?? [])]);
    input.value = "";
    if (found.size) (await import("../uploads")).resume(job.id, found);
    if (unclear) tell(t.job.sameName, true);
    else if (!found.size) tell(t.job.noneMatches, true);
  };
  return (
    <div class="notice">
      <Icon shape="up" />
      <p>{t.job.missing(waiting)}</p>
      <input type="file" multiple hidden ref={files} onChange={(event) => attempt(chosen(event))} />
      <input
        type="file"
        multiple
        hidden
        ref={(input) => {
          folder.current = input;
          input?.setAttribute("webkitdirectory", "");
        }}
        onChange={(event) => attempt(chosen(event))}
      />
      <button type="button" class="button small" onClick={() => files.current?.click()}>
        {t.job.choose}
      </button>
      <button type="button" class="button small" onClick={() => folder.current?.click()}>
        {t.job.chooseFolder}
      </button>
    </div>
  );
}

function FileRow({ job, file, sending }: { job: JobWithFiles; file: MediaFile; sending: Sending | undefined }) {
  const share = sending?.shares.get(file.n);
  const uploading = file.state === "awaiting_upload" && share !== undefined;
  const done = file.state === "succeeded";
  const facts = [
    file.audio_seconds > 0 ? duration(file.audio_seconds) : bytes(file.size),
    file.language && file.audio_seconds > 0 && language(file.language),
  ].filter(Boolean);
  const name = <FilePath path={file.path} />;
  return (
    <li class="file" data-state={file.state}>
      <div class="what">
        {done ? (
          <a class="title" href={paths.file(job.id, file.n)}>
            {name}
          </a>
        ) : (
          <span class="title">{name}</span>
        )}
        <p class="facts">{facts.join(" · ")}</p>
        {file.error && <p class="problem">{file.error.message}</p>}
        {sending?.failed.has(file.n) && <p class="problem">{t.job.uploadFailed}</p>}
        {file.warnings.map((warning) => (
          <p key={warning} class="warning">
            {warning}
          </p>
        ))}
      </div>
      <div class="state">
        {uploading ? (
          <StateChip state="running" text={t.job.uploading(`${Math.floor(share * 100)} %`)} />
        ) : (
          <StateChip state={file.state} text={t.fileStates[file.state]} />
        )}
      </div>
      <div class="actions">
        {done && (
          <Menu label={t.job.downloadFile(file.path)} shape="down">
            {job.options.formats.map((format) => (
              <button key={format} type="button" onClick={() => attempt(downloadOne(job.id, file.n, format))}>
                {t.formats[format]}
              </button>
            ))}
          </Menu>
        )}
      </div>
      {(uploading || file.state === "transcribing" || file.state === "preparing") && (
        <Bar
          percent={uploading ? share * 100 : file.percent}
          label={t.job.fileProgress(file.path)}
          busy={!uploading && file.percent === 0}
        />
      )}
    </li>
  );
}
