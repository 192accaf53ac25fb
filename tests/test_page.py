"""The web page in a real browser, against the real service."""

import json
import re
import shutil
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from chalicelib import languages, page, suffixes
from tests.conftest import Figure
from tests.live import Live, live

WEB = Path(__file__).parent.parent / "web"
SCREENSHOTS = Path(__file__).parent.parent / "build" / "screenshots"
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser") or shutil.which("google-chrome")
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
# Scrolls, slowly and then fast, and searches on the way; the longest frame in milliseconds.
SCROLL = """async () => {
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


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("page") / "data", models_dir) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    from playwright.sync_api import sync_playwright

    with sync_playwright() as playwright:
        chromium = playwright.chromium.launch(executable_path=CHROMIUM, args=FLAGS)
        yield chromium
        chromium.close()


@pytest.fixture
def tab(browser: Any, service: Live) -> Iterator[Any]:
    """A signed-in tab. What the page logs as an error, such as a breach of its security policy, fails the test."""
    context = browser.new_context(
        viewport={"width": 1280, "height": 800}, color_scheme="light", reduced_motion="reduce"
    )
    opened = context.new_page()
    errors: list[str] = []
    opened.on("console", lambda message: errors.append(message.text) if message.type == "error" else None)
    opened.on("pageerror", lambda error: errors.append(str(error)))
    requested: list[str] = []
    opened.on("request", lambda request: requested.append(request.url))
    opened.set_default_timeout(20_000)
    opened.goto(link(service))
    yield opened
    context.close()
    # What had arrived just before a page was reloaded is sent once more, and refused as it must be.
    assert [error for error in errors if "412 (Precondition Failed)" not in error] == []
    server = service.environment["TRANSCRIBE_SERVER"]
    assert [url for url in requested if not url.startswith((server, "blob:", "data:"))] == []


def link(service: Live) -> str:
    return f"{service.environment['TRANSCRIBE_SERVER']}/#token={service.environment['TRANSCRIBE_TOKEN']}"


def shoot(tab: Any, name: str) -> None:
    """Takes four pictures: light and dark, desktop and phone."""
    SCREENSHOTS.mkdir(parents=True, exist_ok=True)
    for scheme in ("light", "dark"):
        for kind, size in (("desktop", (1280, 800)), ("phone", (390, 844))):
            tab.emulate_media(color_scheme=scheme)
            tab.set_viewport_size({"width": size[0], "height": size[1]})
            tab.wait_for_timeout(150)
            tab.screenshot(path=SCREENSHOTS / f"{name}-{kind}-{scheme}.png")
    tab.emulate_media(color_scheme="light", reduced_motion="reduce")
    tab.set_viewport_size({"width": 1280, "height": 800})


def until(tab: Any, holds: str) -> None:
    """Waits from outside: the page's policy forbids the evaluation that `wait_for_function` does inside."""
    for _ in range(400):
        if tab.evaluate(holds):
            return
        tab.wait_for_timeout(25)
    raise TimeoutError(holds)


def serious(tab: Any) -> list[str]:
    """What axe finds that keeps people out."""
    axe = WEB / "node_modules" / "axe-core" / "axe.min.js"
    if not axe.exists():
        return []
    tab.evaluate(axe.read_text())
    found = tab.evaluate("axe.run(document, {resultTypes: ['violations']})")["violations"]
    return [
        f"{violation['id']}: {violation['nodes'][0]['html']}"
        for violation in found
        if violation["impact"] in ("serious", "critical")
    ]


def test_suffixes_and_languages_are_those_of_the_service() -> None:
    def listed(file: str) -> set[str]:
        (text,) = re.findall(r"`([^`]+)`", (WEB / "src" / file).read_text().replace("`.", "`\n.", 1), re.S)[:1]
        return set(text.split())

    assert {f".{suffix}" for suffix in listed("media.ts")} == suffixes.MEDIA
    assert listed("languages.ts") == languages.CODES


def test_lock_names_no_registry() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert packages
    assert all("resolved" not in package for package in packages.values())


@in_a_browser
def test_page_is_served_with_a_strict_policy(service: Live) -> None:
    with httpx.Client(base_url=service.environment["TRANSCRIBE_SERVER"]) as http:
        answer = http.get("/")
        policy = answer.headers["content-security-policy"]
        assert "script-src 'self';" in policy
        assert "unsafe" not in policy
        (script,) = re.findall(r'src="\./(assets/[^"]+\.js)"', answer.text)
        asset = http.get(script)
        assert (asset.headers["content-type"], asset.headers["content-encoding"]) == (page.TYPES[".js"], "gzip")
        assert http.get("/assets/..%2findex.html").status_code == 404
        assert http.get("/assets/none.js").status_code == 404


def test_policy_admits_the_buckets() -> None:
    policy = page.policy(["https://media.example"])
    assert "connect-src 'self' https://media.example;" in policy
    assert "media-src 'self' blob: https://media.example;" in policy


def test_without_a_page_the_service_says_what_it_is(tmp_path: Path) -> None:
    answer = page.index(folder=tmp_path)
    assert answer.headers["Content-Type"].startswith("text/plain")
    assert "POST /jobs" in answer.body


@in_a_browser
def test_wrong_token_is_refused_and_the_right_one_is_kept(browser: Any, service: Live, figure: Figure) -> None:
    tab = browser.new_page(reduced_motion="reduce")
    tab.goto(service.environment["TRANSCRIBE_SERVER"])
    tab.fill("#token", "wrong.token")
    tab.click("text=Sign in >> nth=-1")
    tab.wait_for_selector("text=This token is not valid")
    assert serious(tab) == []
    shoot(tab, "signin")
    tab.fill("#token", service.environment["TRANSCRIBE_TOKEN"])
    tab.keyboard.press("Enter")
    tab.wait_for_selector("text=Nothing here yet")
    tab.reload()
    tab.wait_for_selector("text=Nothing here yet")
    paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    figure(f"first paint after {paint:.0f} ms")
    assert paint < 1000
    assert tab.evaluate("localStorage.getItem('transcribe.token')") is None
    tab.close()


@in_a_browser
def test_video_dropped_becomes_text_that_leads_to_its_second(tab: Any, service: Live, jfk_video: Path) -> None:
    from base64 import b64encode

    tab.click("text=New job >> nth=0")
    tab.wait_for_selector(".uppy-Dashboard-AddFiles")
    shoot(tab, "new")
    assert serious(tab) == []
    video = b64encode(jfk_video.read_bytes()).decode()
    tab.evaluate(DROP, [".uppy-Dashboard-dropFilesHereHint, .uppy-Dashboard-inner", "inaugural.mp4", video])
    tab.click("text=Transcribe 1 file")
    tab.wait_for_selector("[role=progressbar]")
    tab.wait_for_selector(".file[data-state=succeeded]", timeout=60_000)
    shoot(tab, "job")
    assert serious(tab) == []
    with tab.expect_download() as archive:
        tab.click("summary:has-text('Download all')")
        tab.click("text=All formats (ZIP)")
    with ZipFile(archive.value.path()) as files:
        assert sorted(files.namelist()) == [f"inaugural.{format}" for format in ("json", "srt", "tsv", "txt", "vtt")]
        assert b"fellow Americans" in files.read("inaugural.txt")
    tab.click(".file a.title")
    tab.wait_for_selector(".passage")
    until(tab, "document.querySelector('video')?.readyState >= 1")
    words = spoken(service)
    for word in ("fellow", "country", "Americans"):
        tab.mouse.click(*tab.evaluate(CLICKABLE, word))
        until(tab, "!document.querySelector('video').seeking")
        at = tab.evaluate("document.querySelector('video').currentTime")
        assert at == pytest.approx(words[word], abs=0.3), word
    tab.fill("[type=search]", "country can")
    tab.wait_for_selector("text=1 of 1")
    shoot(tab, "viewer")
    assert serious(tab) == []
    with tab.expect_download() as download:
        tab.click("summary:has-text('Download')")
        tab.click("text=Subtitles (SRT)")
    assert "country" in Path(download.value.path()).read_text()
    tab.goto(f"{service.environment['TRANSCRIBE_SERVER']}/#/")
    tab.wait_for_selector(".row")
    shoot(tab, "jobs")
    assert serious(tab) == []


@in_a_browser
def test_a_correction_is_saved_downloaded_and_reverted(tab: Any, service: Live, jfk_video: Path) -> None:
    job = service.submit({"week1/inaugural.mp4": jfk_video})
    service.wait(job)
    tab.goto(f"{service.environment['TRANSCRIBE_SERVER']}/#/jobs/{job}/files/0")
    tab.click("button:has-text('Edit')")
    passage = tab.locator(".passage p[contenteditable] >> nth=0")
    passage.fill("And so my fellow Martians ask not what your country can do for you")
    tab.fill(".times input >> nth=0", "0:00.20")
    tab.fill("[type=search]", "country")
    tab.fill("[placeholder='Replace with']", "planet")
    tab.click("text=All >> nth=-1")
    tab.wait_for_selector("text=2 places replaced.")
    passage.click()
    shoot(tab, "editor")
    assert serious(tab) == []
    tab.click("button:has-text('Save')")
    tab.wait_for_selector("text=Saved.")
    with tab.expect_download() as download:
        tab.click("summary:has-text('Download')")
        tab.click("text=Subtitles (SRT)")
    subtitles = Path(download.value.path()).read_text()
    assert "00:00:00,200 -->" in subtitles
    assert "Martians" in subtitles
    assert subtitles.count("planet") == 2
    tab.click("summary[title=Versions]")
    tab.click("text=Restore: Original")
    tab.wait_for_selector("text=Restored")
    tab.wait_for_selector(".passage:has-text('Americans')")
    assert "Americans" in service.transcript(job, 0, "srt")


def spoken(service: Live) -> dict[str, float]:
    """When each word of the newest job's first file begins, where it first occurs."""
    with service.http as http:
        newest = http.get("/jobs").json()["jobs"][0]["id"]
    segments = json.loads(service.transcript(newest, 0, "json"))["segments"]
    words = [(word["text"].strip(".,"), word["start"]) for segment in segments for word in segment["words"]]
    return dict(reversed(words))


@in_a_browser
def test_bad_file_says_why(tab: Any, tmp_path: Path) -> None:
    bad = tmp_path / "broken.mp4"
    bad.write_bytes(b"This is no video. " * 1000)
    tab.click("text=New job >> nth=0")
    tab.set_input_files(".uppy-Dashboard-input >> nth=0", bad)
    tab.click("text=Transcribe 1 file")
    tab.wait_for_selector(".file[data-state=failed]", timeout=30_000)
    assert "broken.mp4" in tab.inner_text(".file")
    assert len(tab.inner_text(".file .problem")) > 20


@in_a_browser
def test_reload_in_mid_upload_resumes(tab: Any, jfk_video: Path) -> None:
    held: list[Any] = []
    tab.route("**/objects/uploads/**", lambda route: held.append(route))
    tab.click("text=New job >> nth=0")
    tab.set_input_files(".uppy-Dashboard-input >> nth=0", jfk_video)
    tab.click("text=Transcribe 1 file")
    tab.wait_for_selector("text=Uploading >> nth=0")
    while not held:
        tab.wait_for_timeout(20)
    tab.on("dialog", lambda dialog: dialog.accept())
    tab.unroute("**/objects/uploads/**")
    tab.reload()
    tab.wait_for_selector(".file[data-state=succeeded]", timeout=60_000)


@in_a_browser
def test_cancel_retry_and_delete(tab: Any, service: Live, jfk_video: Path) -> None:
    with service.http as http:
        files = [{"path": "talk.mp4", "size": jfk_video.stat().st_size}]
        job = http.post("/jobs", json={"files": files}).raise_for_status().json()["id"]
    tab.goto(f"{service.environment['TRANSCRIBE_SERVER']}/#/jobs/{job}")
    tab.click("text=Cancel job")
    tab.wait_for_selector(".chip[data-state=cancelled]")
    tab.click("text=Go on")
    tab.wait_for_selector("text=1 file did not arrive yet")
    tab.set_input_files(
        "input[type=file] >> nth=0", {"name": "talk.mp4", "mimeType": "", "buffer": jfk_video.read_bytes()}
    )
    tab.wait_for_selector(".file[data-state=succeeded]", timeout=60_000)
    tab.click("[aria-label='Delete job']")
    tab.click("dialog >> text=Delete job")
    tab.wait_for_selector("text=The job is deleted.")
    assert tab.locator(f"a[href='#/jobs/{job}']").count() == 0


@pytest.mark.alone
@in_a_browser
def test_three_hours_scroll_smoothly(tab: Any, service: Live, jfk_video: Path, figure: Figure) -> None:
    job = service.submit({"long.mp4": jfk_video})
    service.wait(job)
    path = service.data / "objects" / "versions" / job / "0" / "original.json"
    path.write_text(json.dumps(long_transcript(words=30_000, seconds=3 * 3600)))
    tab.goto(f"{service.environment['TRANSCRIBE_SERVER']}/#/jobs/{job}/files/0")
    tab.wait_for_selector(".passage >> nth=2499", state="attached")
    tab.wait_for_timeout(300)
    # Other programs' work counts as well, so the best of three.
    slowest = min(tab.evaluate(SCROLL) for _ in range(3))
    # The browser reports frames of 50 ms or more.
    said = f"the longest frame took {slowest:.0f} ms" if slowest else "no frame took 50 ms"
    figure(f"scrolling and searching 30,000 words: {said}")
    assert slowest < 100


def long_transcript(words: int, seconds: float) -> dict[str, Any]:
    each, size = seconds / words, 12
    timed = [
        {"start": i * each, "end": (i + 0.9) * each, "text": f"word{i}", "probability": 0.3 + (i % 8) / 10}
        for i in range(words)
    ]
    groups = [timed[i : i + size] for i in range(0, words, size)]
    segments = [
        {
            "id": i,
            "start": group[0]["start"],
            "end": group[-1]["end"],
            "text": " ".join(str(word["text"]) for word in group),
            "words": group,
        }
        for i, group in enumerate(groups)
    ]
    return {"language": "en", "model": "tiny.en", "task": "transcribe", "duration": seconds, "segments": segments}
