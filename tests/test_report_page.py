"""The report in a browser: nothing is loaded, nothing runs that is not ours, everything works."""

from __future__ import annotations

import os
import shutil
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from report_data import write_run

from inspector_plugin.cli.main import main

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
ROWS = 40
CHROMIUM = os.environ.get("CHROMIUM") or shutil.which("chromium") or shutil.which("google-chrome")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="no Chromium: apt-get install chromium")


@dataclass
class Opened:
    """A page, and what it said and asked for."""

    page: Any
    said: list[str] = field(default_factory=list)
    requests: list[str] = field(default_factory=list)
    blocked: list[str] = field(default_factory=list)
    seconds: float = 0.0

    def ids(self) -> list[str]:
        """The ids of the responses shown, in order."""
        found: list[str] = self.page.eval_on_selector_all(
            "details:not([hidden])", "all => all.map((each) => each.dataset.id)"
        )
        return found


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        # Chromium's sandbox does not work for root, as in a container.
        opened = driver.chromium.launch(executable_path=CHROMIUM, args=["--no-sandbox"])
        yield opened
        opened.close()


@pytest.fixture(scope="module")
def report(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("report")
    run = write_run(folder / "run.jsonl", ROWS)
    return write_report(run, folder / "r.html")


def write_report(run: Path, out: Path, *more: str) -> Path:
    arguments = ["report", str(run), "--out", str(out), "--reference", "people"]
    assert main([*arguments, "--resamples", "50", *more]) == 0
    return out


def open_page(browser: Any, file: Path, **settings: Any) -> Opened:
    settings.setdefault("viewport", {"width": 1280, "height": 900})
    page = browser.new_context(**settings).new_page()
    opened = Opened(page)
    page.on("console", lambda message: opened.said.append(message.text))
    page.on("pageerror", lambda error: opened.said.append(str(error)))
    page.on("request", lambda request: opened.requests.append(request.url))
    page.on("requestfailed", lambda request: opened.blocked.append(request.failure))
    start = time.perf_counter()
    page.goto(file.as_uri(), wait_until="load")
    opened.seconds = time.perf_counter() - start
    return opened


def test_the_page_loads_nothing_and_runs_nothing_of_a_response(browser: Any, report: Path) -> None:
    opened = open_page(browser, report)
    page = opened.page
    page.click("#open")
    assert opened.said == []
    assert opened.requests == [report.as_uri()]
    assert page.title() == "Judged responses"
    # What a response brings along is text: no element of it, and it breaks out of nothing.
    assert page.locator("img, iframe, script").count() == 1
    assert page.locator("#list > details").count() == ROWS
    first = page.locator("details[data-number='1'] pre").nth(1).inner_text()
    assert first.startswith("<script>document.title = 'taken'</script><img src=x")
    assert "{{ 7 * 7 }}" in first
    assert "\u202e" not in first


def test_a_script_that_is_not_ours_would_be_blocked(
    browser: Any, report: Path, tmp_path: Path
) -> None:
    broken = tmp_path / "broken.html"
    text = report.read_text("utf-8")
    bad = "<script>document.title = 'taken'</script><img src='http://127.0.0.1:9/x' onerror='f()'>"
    broken.write_text(text.replace("</main>", bad + "</main>"), "utf-8")
    opened = open_page(browser, broken)
    assert opened.page.title() == "Judged responses"
    assert any("Content Security Policy" in said for said in opened.said)
    assert opened.blocked == ["csp"]


def test_sorting_filtering_and_searching(browser: Any, report: Path) -> None:
    opened = open_page(browser, report)
    page = opened.page
    telling = opened.ids()
    assert telling[0] == "p0"  # people gave it 1, a judge 5
    differences = [
        max(values.values(), default=0)
        for values in page.eval_on_selector_all(
            "details", "all => all.map((each) => JSON.parse(each.dataset.differences))"
        )
    ]
    assert differences == sorted(differences, reverse=True)

    page.select_option("#sort", "long")
    lengths = page.eval_on_selector_all("details", "all => all.map((e) => +e.dataset.length)")
    assert lengths == sorted(lengths, reverse=True)
    assert lengths[0] == len("long answer " * 2000)
    page.select_option("#sort", "id")
    assert opened.ids() == sorted(opened.ids(), key=lambda name: int(name[1:]))
    page.select_option("#sort", "low")
    page.select_option("#judge", label="people")
    shown = page.eval_on_selector_all(
        "details:not([hidden])",
        """all => all.map((each) => [...each.querySelectorAll("td:not([hidden])")]
            .map((cell) => +cell.textContent).reduce((sum, score) => sum + score))""",
    )
    assert len(shown) == ROWS
    assert shown == sorted(shown)
    page.click("#reset")
    page.wait_for_function(
        f"document.querySelector('#count').textContent === '{ROWS} of {ROWS} responses'"
    )
    assert opened.ids() == telling

    page.select_option("#state", "unscored")
    assert opened.ids() == ["p2"]
    page.select_option("#judge", label="people")
    assert opened.ids() == []
    page.select_option("#judge", label="all")
    page.select_option("#state", label="flag: truncated")
    assert len(opened.ids()) == len([n for n in range(ROWS) if n % 7 == 3])
    page.select_option("#state", "")
    page.select_option("#model", label="model-a")
    assert len(opened.ids()) == ROWS // 2
    page.fill("#search", "ANSWER  long")
    assert opened.ids() == ["p0"]
    assert page.inner_text("#count") == f"1 of {ROWS} responses"
    page.select_option("#key", label="fluency")
    page.click("#open")
    assert page.locator("details[open] tr[data-k]:visible").count() == 1


def test_the_keyboard_is_enough(browser: Any, report: Path) -> None:
    page = open_page(browser, report).page
    page.keyboard.press("Tab")
    assert page.evaluate("document.activeElement.className") == "skip"
    page.keyboard.press("Enter")
    page.focus("#search")
    page.keyboard.type("long answer")
    assert page.inner_text("#count").startswith("1 of")
    page.focus("details:not([hidden]) summary")
    page.keyboard.press("Enter")
    assert page.locator("details[open]").count() == 1


@pytest.mark.parametrize(("width", "scheme"), [(390, "light"), (1280, "dark")])
def test_it_fits_and_is_accessible(browser: Any, report: Path, scheme: str, width: int) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    viewport = {"width": width, "height": 900}
    page = open_page(browser, report, viewport=viewport, color_scheme=scheme, bypass_csp=True).page
    assert page.evaluate("document.documentElement.scrollWidth") == width
    for each in page.locator("summary").all()[:3]:
        each.click()
    found = axe.Axe().run(page).response["violations"]
    bad = [v for v in found if v["impact"] in ("serious", "critical")]
    assert [(v["id"], [n["html"][:200] for n in v["nodes"]][:3]) for v in bad] == []


def test_it_prints(browser: Any, report: Path) -> None:
    page = open_page(browser, report, color_scheme="dark").page
    page.emulate_media(media="print")
    assert page.evaluate("getComputedStyle(document.body).backgroundColor") == "rgb(255, 255, 255)"
    assert not page.locator("#controls").is_visible()
    assert page.pdf(format="A4").startswith(b"%PDF")


def test_twenty_thousand_responses_open_in_two_seconds(browser: Any, tmp_path: Path) -> None:
    run = write_run(tmp_path / "run.jsonl", 20_000)
    report = write_report(run, tmp_path / "r.html", "--resamples", "2")
    opened = open_page(browser, report)
    assert opened.page.inner_text("#count") == "500 of 500 responses"
    assert opened.seconds < 2
    assert opened.said == []
