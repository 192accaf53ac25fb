import { useState } from "preact/hooks";
import { accepts } from "../api";
import { Logo } from "../icons";
import { useTitle } from "../parts";
import { signIn, signedOutBecause } from "../session";
import { t } from "../texts";

export function SignInView() {
  const [problem, setProblem] = useState<string | null>(signedOutBecause.value);
  const [busy, setBusy] = useState(false);
  useTitle(t.name);

  async function submit(event: Event): Promise<void> {
    event.preventDefault();
    const form = new FormData(event.target as HTMLFormElement);
    const entered = String(form.get("token") ?? "").trim();
    if (!entered) return setProblem(t.signIn.empty);
    setBusy(true);
    try {
      if (await accepts(entered)) return signIn(entered, form.has("stay"));
      setProblem(t.signIn.refused);
    } catch (error) {
      setProblem(error instanceof Error ? error.message : t.errors.unexpected);
    } finally {
      setBusy(false);
    }
  }

  return (
    <main class="sign-in">
      <form class="card" onSubmit={(event) => void submit(event)} noValidate>
        <Logo />
        <h1>{t.name}</h1>
        <p class="lead">{t.signIn.lead}</p>
        <label for="token">{t.signIn.token}</label>
        <input
          id="token"
          name="token"
          type="password"
          autocomplete="current-password"
          spellcheck={false}
          autofocus
          aria-invalid={problem !== null}
          aria-describedby="token-hint token-problem"
        />
        <p class="problem" id="token-problem" role="alert">
          {problem}
        </p>
        <label class="check">
          <input type="checkbox" name="stay" />
          <span>{t.signIn.stay}</span>
        </label>
        <button class="button primary" disabled={busy}>
          {t.signIn.submit}
        </button>
        <p class="hint" id="token-hint">
          {t.signIn.hint}
        </p>
      </form>
    </main>
  );
}
