import { useEffect, useRef, useState } from "preact/hooks";
import { api, Problem } from "../api";
import { clock } from "../format";
import { Icon } from "../icons";
import { Failure, FilePath, useTitle } from "../parts";
import { paths, stayAt } from "../routes";
import { t } from "../texts";
import type { Hit } from "../types";

const TYPING_MS = 250;

interface Found {
  query: string;
  hits: Hit[];
  next: string | null;
}

/** One page of hits, or more where the service has looked for long and found nothing, as long as they are `wanted`. */
async function ask(query: string, before: Found | null, wanted: () => boolean): Promise<Found> {
  let cursor = before?.next ?? null;
  for (;;) {
    const { hits, next } = await api.search(query, cursor);
    if (hits.length || !next || !wanted()) return { query, hits: [...(before?.hits ?? []), ...hits], next };
    cursor = next;
  }
}

export function SearchView({ query }: { query: string }) {
  useTitle(t.search.title);
  const [asked, setAsked] = useState(query.trim());
  const [found, setFound] = useState<Found | null>(null);
  const [problem, setProblem] = useState<string | null>(null);
  const latest = useRef("");
  const typing = useRef<ReturnType<typeof setTimeout>>();

  const load = (wanted: string, before: Found | null): void => {
    latest.current = wanted;
    setProblem(null);
    if (!wanted) return setFound(null);
    const still = (): boolean => latest.current === wanted;
    ask(wanted, before, still).then(
      (now) => {
        if (still()) setFound(now);
      },
      (error: unknown) => {
        if (!still()) return;
        setFound(null);
        setProblem(error instanceof Problem ? error.message : t.errors.unexpected);
      },
    );
  };
  useEffect(() => () => void (latest.current = ""), []);
  useEffect(() => {
    stayAt(paths.search(asked));
    load(asked, null);
  }, [asked]);

  return (
    <div class="column">
      <h1>{t.search.title}</h1>
      <search>
        <form
          class="search-all"
          onSubmit={(event) => {
            event.preventDefault();
            clearTimeout(typing.current);
            setAsked(new FormData(event.currentTarget).get("q")!.toString().trim());
          }}
        >
          <Icon shape="search" />
          <input
            type="search"
            name="q"
            defaultValue={asked}
            maxLength={200}
            autofocus
            placeholder={t.search.placeholder}
            aria-label={t.search.label}
            onInput={(event) => {
              const { value } = event.currentTarget;
              clearTimeout(typing.current);
              typing.current = setTimeout(() => setAsked(value.trim()), TYPING_MS);
            }}
          />
        </form>
      </search>
      <p class="facts" role="status">
        {found ? found.hits.length > 0 && t.search.count(found.hits.length, found.next !== null) : !asked && t.search.lead}
      </p>
      {problem && <Failure message={problem} retry={() => load(asked, null)} />}
      {found?.hits.length === 0 && <p class="lead">{t.search.none}</p>}
      {found && files(found.hits).map((hits) => <FileHits key={`${hits[0]!.job}/${hits[0]!.file}`} hits={hits} />)}
      {found?.next && (
        <button type="button" class="button center" onClick={() => load(found.query, found)}>
          {t.more}
        </button>
      )}
    </div>
  );
}

/** The hits of each file together, in the order in which they came. */
function files(hits: Hit[]): Hit[][] {
  return [...Map.groupBy(hits, ({ job, file }) => `${job}/${file}`).values()];
}

function FileHits({ hits }: { hits: Hit[] }) {
  const { job, file, path } = hits[0]!;
  return (
    <section class="card found">
      <h2>
        <a class="title" href={paths.file(job, file)}>
          <FilePath path={path} />
        </a>
      </h2>
      <ol>
        {hits.map((hit) => (
          <li key={`${hit.start} ${hit.snippet}`}>
            <a class="hit" href={paths.file(hit.job, hit.file, hit.start)}>
              <span class="time">{clock(hit.start)}</span>
              <span>
                {hit.before && "… "}
                {marked(hit)}
                {hit.after && " …"}
              </span>
            </a>
          </li>
        ))}
      </ol>
    </section>
  );
}

function marked({ snippet, marks }: Hit) {
  // The service counts characters, of which JavaScript takes some for two.
  const characters = [...snippet];
  const text = (from: number, to?: number): string => characters.slice(from, to).join("");
  let end = 0;
  const pieces = marks.flatMap(([from, to]) => {
    const before = text(end, from);
    end = to;
    return [before, <mark key={from}>{text(from, to)}</mark>];
  });
  return [...pieces, text(end)];
}
