"""The web page in a real browser, against the real service."""

import json
import re
import shutil
import subprocess
import sys
from base64 import b64encode
from collections.abc import Iterator
from pathlib import Path
from typing import Any
from zipfile import ZipFile

import httpx
import pytest

from chalicelib import control, languages, page, suffixes
from tests.browsing import CLICKABLE, DROP, WEB, chromium, in_a_browser, shoot, signed_in, until
from tests.conftest import Figure
from tests.live import Live, live


@pytest.fixture(scope="module")
def service(tmp_path_factory: pytest.TempPathFactory, models_dir: Path) -> Iterator[Live]:
    with live(tmp_path_factory.mktemp("page") / "data", models_dir) as running:
        yield running


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with chromium() as started:
        yield started


@pytest.fixture
def tab(browser: Any, service: Live) -> Iterator[Any]:
    server, token = (service.environment[f"TRANSCRIBE_{name}"] for name in ("SERVER", "TOKEN"))
    with signed_in(browser, server, token) as opened:
        yield opened


def test_suffixes_and_languages_are_those_of_the_service() -> None:
    def listed(file: str) -> set[str]:
        (text,) = re.findall(r"`([^`]+)`", (WEB / "src" / file).read_text().replace("`.", "`\n.", 1), re.S)[:1]
        return set(text.split())

    assert {f".{suffix}" for suffix in listed("media.ts")} == suffixes.MEDIA
    assert listed("languages.ts") == languages.CODES


def test_what_is_hopeless_is_that_of_the_service() -> None:
    (codes,) = re.findall(r"HOPELESS = new Set\(\[(.*)\]\)", (WEB / "src" / "types.ts").read_text())
    assert set(json.loads(f"[{codes}]")) == control.HOPELESS


def test_lock_names_no_registry() -> None:
    packages = json.loads((WEB / "package-lock.json").read_text())["packages"]
    assert packages
    assert all("resolved" not in package for package in packages.values())


@in_a_browser
def test_page_is_small(figure: Figure) -> None:
    told = subprocess.run([sys.executable, WEB / "size.py"], capture_output=True, text=True, check=False)
    figure(told.stderr.strip())
    assert told.returncode == 0


def test_without_node_there_is_no_page_and_no_error(tmp_path: Path) -> None:
    for tool in ("make", "sh", "find"):
        (tmp_path / tool).symlink_to(str(shutil.which(tool)))
    told = subprocess.run(
        ["make", "page"], cwd=WEB.parent, env={"PATH": str(tmp_path)}, capture_output=True, text=True, check=False
    )
    assert told.returncode == 0
    assert "No web page: npm (Node.js) is not installed. Everything else works." in told.stderr


@in_a_browser
def test_a_page_that_is_built_is_no_news() -> None:
    told = subprocess.run(["make", "page"], cwd=WEB.parent, capture_output=True, text=True, check=True)
    assert "up to date" not in told.stdout


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
    shoot(tab, "signin")
    tab.fill("#token", service.environment["TRANSCRIBE_TOKEN"])
    tab.keyboard.press("Enter")
    tab.wait_for_selector("text=Nothing here yet")
    tab.reload()
    tab.wait_for_selector("text=Nothing here yet")
    # What is there already may not have been painted yet.
    tab.wait_for_function("performance.getEntriesByName('first-contentful-paint').length")
    paint = tab.evaluate("performance.getEntriesByName('first-contentful-paint')[0].startTime")
    figure(f"first paint after {paint:.0f} ms")
    assert paint < 1000
    assert tab.evaluate("localStorage.getItem('transcribe.token')") is None
    tab.close()


@in_a_browser
def test_video_dropped_becomes_text_that_leads_to_its_second(tab: Any, service: Live, jfk_video: Path) -> None:
    tab.click("text=New job >> nth=0")
    tab.wait_for_selector(".uppy-Dashboard-AddFiles")
    shoot(tab, "new")
    video = b64encode(jfk_video.read_bytes()).decode()
    tab.evaluate(DROP, [".uppy-Dashboard-dropFilesHereHint, .uppy-Dashboard-inner", "inaugural.mp4", video])
    tab.click("text=Transcribe 1 file")
    tab.wait_for_selector("[role=progressbar]")
    tab.wait_for_selector(".file[data-state=succeeded]", timeout=60_000)
    shoot(tab, "job")
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
    with tab.expect_download() as download:
        tab.click("summary:has-text('Download')")
        tab.click("text=Subtitles (SRT)")
    assert "country" in Path(download.value.path()).read_text()


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
