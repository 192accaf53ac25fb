import type { ComponentType } from "preact";
import { useEffect, useState } from "preact/hooks";
import { Icon, Logo } from "./icons";
import { IconButton, Toast } from "./parts";
import { paths, route } from "./routes";
import { bytesLeft, sendings } from "./sending";
import { signOut, token } from "./session";
import { t } from "./texts";
import { isDark, switchTheme } from "./theme";
import { JobView } from "./views/job";
import { JobsView } from "./views/jobs";
import { SignInView } from "./views/signin";

export function App() {
  const signedIn = token.value !== null;
  useEffect(() => {
    if (signedIn) void import("./uploads").then((uploads) => uploads.goOn());
  }, [signedIn]);
  if (!signedIn) return <SignInView />;
  return (
    <>
      <a class="skip" href="#main" onClick={(event) => {
        event.preventDefault();
        document.getElementById("main")?.focus();
      }}>
        {t.skip}
      </a>
      <Header />
      <main id="main" tabIndex={-1}>
        <View />
      </main>
      <Toast />
    </>
  );
}

function View() {
  const at = route.value;
  switch (at.view) {
    case "new":
      return <Later key="new" load={() => import("./views/new").then((views) => views.NewJobView)} props={{}} />;
    case "search":
      return (
        <Later
          key="search"
          load={() => import("./views/search").then((views) => views.SearchView)}
          props={{ query: at.query }}
        />
      );
    case "job":
      return <JobView key={at.job} id={at.job} />;
    case "file":
      return (
        <Later
          key={`${at.job}/${at.n}`}
          load={() => import("./views/viewer").then((views) => views.FileView)}
          props={{ job: at.job, n: at.n, at: at.at }}
        />
      );
    default:
      return <JobsView key={at.label ?? ""} label={at.label} />;
  }
}

/** A view that is loaded when it is first shown, so that the page is there at once. */
function Later<P extends object>({ load, props }: { load: () => Promise<ComponentType<P>>; props: P }) {
  const [View, setView] = useState<{ view: ComponentType<P> } | null>(null);
  useEffect(() => {
    void load().then((view) => setView({ view }));
  }, []);
  if (!View) return <p class="loading">{t.loading}</p>;
  return <View.view {...props} />;
}

function Header() {
  const at = route.value.view;
  const leave = (): void => {
    void import("./uploads").then((uploads) => uploads.drop());
    signOut();
  };
  return (
    <header class="top">
      <a class="brand" href={paths.jobs}>
        <Logo />
        <span>{t.name}</span>
      </a>
      <Sending />
      <nav aria-label={t.nav.label}>
        <a class="link" href={paths.jobs} aria-current={at === "jobs" ? "page" : undefined}>
          <Icon shape="list" />
          <span>{t.nav.jobs}</span>
        </a>
        <a class="link" href={paths.search()} aria-current={at === "search" ? "page" : undefined}>
          <Icon shape="search" />
          <span>{t.nav.search}</span>
        </a>
        <a class="button primary small" href={paths.new} aria-current={at === "new" ? "page" : undefined}>
          <Icon shape="plus" size={18} />
          <span>{t.nav.new}</span>
        </a>
      </nav>
      <IconButton shape={isDark() ? "sun" : "moon"} label={t.nav.theme} onClick={switchTheme} />
      <IconButton shape="out" label={t.nav.signOut} onClick={leave} />
    </header>
  );
}

function Sending() {
  const [first] = sendings.value;
  if (!first) return <span class="sending" />;
  const all = [...sendings.value.values()];
  const size = all.flatMap(({ sizes }) => [...sizes.values()]).reduce((sum, value) => sum + value, 0);
  const left = all.map(bytesLeft).reduce((sum, value) => sum + value, 0);
  return (
    <a class="sending" href={paths.job(first[0])}>
      <Icon shape="up" size={16} />
      {Math.floor(100 * (1 - left / Math.max(1, size)))} %
    </a>
  );
}
