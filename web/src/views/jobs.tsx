import { useState } from "preact/hooks";
import { api } from "../api";
import { bytes, duration, moment } from "../format";
import { Icon } from "../icons";
import { isMedia } from "../media";
import { attempt, Bar, Failure, StateChip, useTitle } from "../parts";
import { usePolled } from "../polling";
import { paths } from "../routes";
import { t } from "../texts";
import { isFinal, type Job } from "../types";

const ACTIVE_SECONDS = 2;
const IDLE_SECONDS = 15;

export function JobsView({ label }: { label: string | null }) {
  useTitle(t.jobs.title);
  const newest = usePolled(
    "jobs",
    () => api.jobs(label),
    ({ jobs }) => (jobs.every(isFinal) ? IDLE_SECONDS : ACTIVE_SECONDS),
  );
  const [older, setOlder] = useState<{ jobs: Job[]; next: string | null } | null>(null);
  if (!newest.value) {
    return newest.problem ? (
      <Failure message={newest.problem.message} retry={newest.refresh} />
    ) : (
      <p class="loading">{t.loading}</p>
    );
  }
  const first = newest.value;
  const ids = new Set(first.jobs.map((job) => job.id));
  const jobs = [...first.jobs, ...(older?.jobs ?? []).filter((job) => !ids.has(job.id))];
  const next = older ? older.next : first.next;
  const showMore = async (): Promise<void> => {
    const page = await api.jobs(label, next);
    setOlder({ jobs: [...(older?.jobs ?? []), ...page.jobs], next: page.next });
  };
  if (!jobs.length && !label) return <Empty />;
  return (
    <div class="column">
      <h1>{label ? t.jobs.labelled(label.replace(":", ": ")) : t.jobs.title}</h1>
      {label && (
        <p>
          <a href={paths.jobs}>{t.jobs.all}</a>
        </p>
      )}
      {label && !jobs.length && <p class="lead">{t.jobs.noneLabelled}</p>}
      {newest.problem && <Failure message={newest.problem.message} retry={newest.refresh} />}
      <ul class="jobs">
        {jobs.map((job) => (
          <Row key={job.id} job={job} />
        ))}
      </ul>
      {next && (
        <button type="button" class="button center" onClick={() => attempt(showMore())}>
          {t.more}
        </button>
      )}
    </div>
  );
}

function Empty() {
  return (
    <div class="empty">
      <h1>{t.jobs.empty}</h1>
      <p class="lead">{t.jobs.emptyHint}</p>
      <a class="button primary" href={paths.new}>
        <Icon shape="plus" />
        {t.nav.new}
      </a>
    </div>
  );
}

/** Each leads to the jobs that have it too. */
export function Labels({ job }: { job: Job }) {
  const labels = Object.entries(job.labels);
  if (!labels.length) return null;
  return (
    <p class="labels">
      {labels.map(([name, value]) => (
        <a key={name} class="label" href={paths.labelled(`${name}:${value}`)}>
          {name}: {value}
        </a>
      ))}
    </p>
  );
}

export function jobTitle(job: Job): string {
  // A title that is no file's is that of all of them.
  const more = job.title && !isMedia(job.title) ? 0 : job.files_total - 1;
  return t.jobs.andMore(job.title?.replace(/\/$/, "") || t.jobs.untitled, more);
}

function Row({ job }: { job: Job }) {
  const facts = [
    moment(job.created_at),
    t.files(job.files_total),
    job.audio_seconds ? t.job.sound(duration(job.audio_seconds)) : bytes(job.size),
  ];
  return (
    <li class="card row">
      <div class="what">
        <a class="title" href={paths.job(job.id)}>
          {jobTitle(job)}
        </a>
        <p class="facts">{facts.join(" · ")}</p>
        <Labels job={job} />
      </div>
      <div class="state">
        <StateChip state={job.state} text={t.jobStates[job.state]} />
      </div>
      {job.state === "running" && <Bar percent={job.percent} label={t.job.progress} />}
    </li>
  );
}
