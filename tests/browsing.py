"""A real browser for tests: tabs that are signed in, and what is done with them."""

import shutil
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

import pytest

from chalicelib import page

WEB = Path(__file__).parent.parent / "web"
SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"
# The shell has no windows of its own to draw, which takes a third of the time.
BROWSERS = "chromium-headless-shell", "chromium", "chromium-browser", "google-chrome"
CHROMIUM = next(filter(None, map(shutil.which, BROWSERS)), None)
FLAGS = ["--no-sandbox", "--disable-gpu", "--disable-quic", "--disable-background-networking", "--disable-sync"]
FLAGS += ["--no-first-run", "--disable-component-update", "--autoplay-policy=no-user-gesture-required"]

in_a_browser = pytest.mark.skipif(
    CHROMIUM is None or not (page.FOLDER / "index.html").exists(),
    reason="needs Chromium (apt install chromium) and the built page (make page, which needs Node.js)",
)
# A word of the transcript, by its first characters: what a person would click on.
CLICKABLE = """word => {
  const text = [...document.querySelectorAll('.passage p')].find(p => p.textContent.includes(word)).firstChild;
  const range = document.createRange();
  range.setStart(text, text.textContent.indexOf(word));
  range.setEnd(text, text.textContent.indexOf(word) + word.length);
  range.startContainer.parentElement.scrollIntoView({block: 'center'});
  const box = range.getBoundingClientRect();
  return [box.x + box.width / 2, box.y + box.height / 2];
}"""
# Scrolls, slowly and then fast, and searches on the way; the longest frame in milliseconds. One frame is kept `busy`.
SCROLL = """async busy => {
  let slowest = 0;
  scrollTo(0, 0);
  const watch = new PerformanceObserver(
    list => list.getEntries().forEach(entry => slowest = Math.max(slowest, entry.duration)));
  watch.observe({type: 'long-animation-frame'});
  const search = document.querySelector('[type=search]');
  for (let i = 0; i < 60; i++) {
    scrollBy(0, i < 40 ? 900 : 9000);
    if (i % 15 == 0) { search.value = 'word1' + i; search.dispatchEvent(new Event('input')); }
    await new Promise(requestAnimationFrame);
    for (const end = performance.now() + (i == 20 ? busy : 0); performance.now() < end;);
  }
  await new Promise(done => setTimeout(done, 300));
  return slowest;
}"""
DROP = """([selector, name, bytes]) => {
  const transfer = new DataTransfer();
  transfer.items.add(new File([Uint8Array.from(atob(bytes), c => c.charCodeAt(0))], name, {type: 'video/mp4'}));
  const area = document.querySelector(selector);
  for (const kind of ['dragenter', 'dragover', 'drop'])
    area.dispatchEvent(new DragEvent(kind, {dataTransfer: transfer, bubbles: true, cancelable: true}));
}"""


@contextmanager
def chromium() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        started = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield started
        started.close()


@contextmanager
def signed_in(browser: Any, url: str, token: str, *forgiven: str) -> Iterator[Any]:
    """A signed-in tab. What the page logs as an error, such as a breach of its security policy, fails the test.

    Errors with what is `forgiven` in them are the browser's own words on what a test does to the network.
    """
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme="light", reduced_motion="reduce"
    )
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    requested: list[str] = []
    opened.on("request", lambda request: requested.append(request.url))
    opened.set_default_timeout(30_000)
    opened.goto(f"{url}/#token={token}")
    yield opened
    context.close()
    # What had arrived just before a page was reloaded is sent once more, and refused as it must be.
    expected = ("412 (Precondition Failed)", *forgiven)
    unexpected = [error for error in errors if not any(words in error for words in expected)]
    assert not unexpected, unexpected
    assert [asked for asked in requested if not asked.startswith((url, "blob:", "data:"))] == []


def shoot(tab: Any, name: str) -> None:
    """Takes two pictures, light on a desktop and dark on a phone, of what keeps nobody out and fits in."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for kind, scheme, size in (("phone", "dark", (360, 780)), ("desktop", "light", (1280, 800))):
        tab.emulate_media(color_scheme=scheme, reduced_motion="reduce")
        tab.set_viewport_size({"width": size[0], "height": size[1]})
        tab.wait_for_timeout(150)
        tab.screenshot(path=SCREENSHOTS / f"{name}-{kind}-{scheme}.png")
        wrong = serious(tab)
        assert wrong == [], f"{name} on a {kind}: {wrong}"
        beyond = tab.evaluate("document.documentElement.scrollWidth - innerWidth")
        assert beyond <= 0, f"{name} on a {kind} is {beyond} pixels too wide"


def until(tab: Any, holds: str) -> None:
    """Waits from outside: the page's policy forbids the evaluation that `wait_for_function` does inside."""
    for _ in range(400):
        if tab.evaluate(holds):
            return
        tab.wait_for_timeout(25)
    raise TimeoutError(holds)


def serious(tab: Any) -> list[str]:
    """What axe finds that keeps people out."""
    tab.evaluate((WEB / "node_modules" / "axe-core" / "axe.min.js").read_text())
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{violation['id']}: {violation['nodes'][0]['html']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]
