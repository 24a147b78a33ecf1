"""Promises of report.html in a real browser, opened from disk."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

import plots
from plots.data import Estimate
from tools import specimen

playwright = pytest.importorskip("playwright.sync_api", reason="playwright is not installed")
CHROMIUM = shutil.which("chromium") or shutil.which("chromium-browser")
pytestmark = pytest.mark.skipif(CHROMIUM is None, reason="chromium is not installed")
ARGUMENTS = [
    "--no-sandbox",
    "--disable-gpu",
    "--disable-background-networking",
    "--disable-component-update",
    "--disable-sync",
]
LABELS = ("null", "mimalloc", "hakmem", "hakmem:registry=locked", "system", "tcmalloc")


def written(folder: Path) -> dict[str, Path]:
    """A report with failures, two workloads and a ladder; and one of two hosts."""
    run = specimen.run(LABELS, specimen.WORKLOADS[:2])
    broken = specimen.failing()
    cells = tuple(
        replace(cell, trials=0, failed=5, throughput=Estimate(float("nan")), metrics={})
        if cell.allocator == "mimalloc" and cell.threads >= 8
        else cell
        for cell in run.cells
    )
    run = replace(run, cells=cells, failures=broken.failures, complete=False)
    pages = {"report": plots.html(run), "hosts": plots.html(specimen.two_hosts())}
    paths = {}
    for name, text in pages.items():
        paths[name] = folder / f"{name}.html"
        paths[name].write_text(text, encoding="utf-8")
    return paths


@pytest.fixture(scope="module")
def pages(tmp_path_factory: pytest.TempPathFactory) -> dict[str, Path]:
    return written(tmp_path_factory.mktemp("pages"))


@pytest.fixture(scope="module")
def browser() -> Iterator[Any]:
    with playwright.sync_playwright() as driver:
        started = driver.chromium.launch(executable_path=CHROMIUM, args=ARGUMENTS)
        yield started
        started.close()


class Visit:
    """An open page, with what the console and the network were asked for."""

    def __init__(self, browser: Any, path: Path, **settings: Any) -> None:
        self.context = browser.new_context(**settings)
        self.page = self.context.new_page()
        self.said: list[str] = []
        self.asked: list[str] = []
        self.page.on("console", lambda message: self.said.append(message.text))
        self.page.on("pageerror", lambda error: self.said.append(str(error)))
        self.page.on("request", lambda request: self.asked.append(request.url))
        self.url = path.as_uri()
        self.page.goto(self.url)

    def overflow(self) -> int:
        """By how many pixels the page is wider than the window."""
        return int(self.page.evaluate("document.documentElement.scrollWidth - innerWidth"))


@pytest.fixture(params=["report", "hosts"])
def name(request: pytest.FixtureRequest) -> str:
    return str(request.param)


@pytest.fixture
def visit(browser: Any, pages: dict[str, Path]) -> Iterator[Visit]:
    opened = Visit(browser, pages["report"], viewport={"width": 1200, "height": 900})
    yield opened
    opened.context.close()


def test_the_page_opens_from_disk_without_console_error_or_request(
    browser: Any, pages: dict[str, Path], name: str
) -> None:
    opened = Visit(browser, pages[name])
    opened.page.wait_for_load_state("networkidle")
    outside = [url for url in opened.asked if url != opened.url and not url.startswith("data:")]
    assert opened.said == [] and outside == []
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
@pytest.mark.parametrize("width", [360, 768, 1400])
def test_no_width_and_no_scheme_overflows(
    browser: Any, pages: dict[str, Path], name: str, width: int, scheme: str
) -> None:
    opened = Visit(
        browser, pages[name], viewport={"width": width, "height": 800}, color_scheme=scheme
    )
    opened.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    assert opened.overflow() <= 0
    paper = opened.page.evaluate("getComputedStyle(document.body).backgroundColor")
    assert (paper == "rgb(255, 255, 255)") == (scheme == "light")
    opened.context.close()


def column(visit: Visit, index: int) -> list[str]:
    """The raw values of a column in the rows that are shown."""
    return list(
        visit.page.evaluate(
            """(index) => Array.from(document.querySelectorAll('#cells tbody tr'))
            .filter(row => row.offsetParent !== null)
            .map(row => row.cells[index].dataset.v ?? row.cells[index].textContent.trim())""",
            index,
        )
    )


def test_a_click_on_a_heading_sorts_with_missing_values_last(visit: Visit) -> None:
    head = visit.page.locator("#cells thead th").nth(3)
    for direction, reverse in (("ascending", False), ("descending", True)):
        head.locator("button").click()
        assert head.get_attribute("aria-sort") == direction
        found = column(visit, 3)
        numbers = [float(text) for text in found if text]
        assert numbers == sorted(numbers, reverse=reverse) and len(numbers) > 10
        assert "" in found and found[len(numbers) :] == [""] * (len(found) - len(numbers))


def test_filters_leave_only_matching_rows(visit: Visit) -> None:
    assert set(column(visit, 1)) == {"mid_gap"}
    visit.page.select_option("[data-filter=w]", "mid_replace")
    visit.page.select_option("[data-filter=n]", "16")
    assert set(column(visit, 1)) == {"mid_replace"} and set(column(visit, 2)) == {"16"}
    visit.page.fill("[data-filter=text]", "tcmalloc")
    assert [text.strip() for text in column(visit, 0)] == ["tcmalloc"]
    assert visit.page.inner_text("#count") == "1 of 84 rows"


def test_an_allocator_hides_in_figures_and_tables_and_comes_back(visit: Visit) -> None:
    series = visit.page.locator('#throughput-mid_gap [data-a="tcmalloc"][data-t]')
    box = visit.page.locator('input[data-hide="tcmalloc"]')
    assert series.is_visible()
    box.uncheck()
    assert not series.is_visible() and "tcmalloc" not in column(visit, 0)
    assert visit.page.locator('#throughput-mid_gap [data-a="hakmem"][data-t]').is_visible()
    box.check()
    assert series.is_visible() and "tcmalloc" in column(visit, 0)


def test_a_keyboard_can_hide_an_allocator(visit: Visit) -> None:
    visit.page.locator('input[data-hide="hakmem"]').focus()
    visit.page.keyboard.press("Space")
    assert "hakmem" not in column(visit, 0)


def test_the_axis_switches_between_linear_and_logarithmic(visit: Visit) -> None:
    linear, log = (visit.page.locator(f"#throughput{kind}-mid_gap") for kind in ("", "-log"))
    assert linear.is_visible() and not log.is_visible()
    visit.page.check("input[value=log]")
    assert log.is_visible() and not linear.is_visible()


def test_pointing_at_a_mark_shows_its_value(visit: Visit) -> None:
    mark = visit.page.locator('#throughput-mid_gap [data-a="hakmem"][data-t] use').first
    mark.scroll_into_view_if_needed()
    mark.hover(force=True)
    visit.page.wait_for_function("document.getElementById('tip').textContent !== ''")
    assert visit.page.inner_text("#tip").startswith("hakmem, 1 thread: ")


def test_arrow_keys_read_the_values_of_a_figure(visit: Visit) -> None:
    visit.page.locator("#throughput-mid_gap .scroll").focus()
    visit.page.keyboard.press("ArrowRight")
    first = visit.page.inner_text("#tip")
    visit.page.keyboard.press("ArrowRight")
    assert "thread" in first and visit.page.inner_text("#tip") != first
    visit.page.keyboard.press("Escape")
    assert visit.page.text_content("#tip") == ""


def test_a_link_into_a_folded_section_opens_it(visit: Visit) -> None:
    assert not visit.page.locator("#w-mid_replace").evaluate("d => d.open")
    visit.page.evaluate("location.hash = 'w-mid_replace'")
    visit.page.wait_for_function("document.getElementById('w-mid_replace').open")


def test_print_shows_everything_on_white_paper(browser: Any, pages: dict[str, Path]) -> None:
    a4 = {"width": 720, "height": 1040}
    opened = Visit(browser, pages["report"], color_scheme="dark", viewport=a4)
    opened.page.emulate_media(media="print")
    opened.page.evaluate("dispatchEvent(new Event('beforeprint'))")
    assert opened.page.locator("details:not([open])").count() == 0
    assert opened.page.evaluate("getComputedStyle(document.body).backgroundColor") == (
        "rgb(255, 255, 255)"
    )
    assert not opened.page.locator(".controls").is_visible()
    assert opened.overflow() <= 0
    opened.context.close()


def test_without_script_every_row_and_figure_is_there(browser: Any, pages: dict[str, Path]) -> None:
    opened = Visit(browser, pages["report"], java_script_enabled=False, color_scheme="dark")
    assert opened.page.locator("#cells tbody tr").count() == 84
    assert opened.page.locator("#throughput-mid_gap svg").is_visible()
    opened.context.close()


@pytest.mark.parametrize("scheme", ["light", "dark"])
def test_axe_has_no_serious_finding(
    browser: Any, pages: dict[str, Path], name: str, scheme: str
) -> None:
    axe = pytest.importorskip("axe_playwright_python.sync_playwright", reason="axe is missing")
    opened = Visit(browser, pages[name], color_scheme=scheme)
    opened.page.evaluate("document.querySelectorAll('details').forEach(d => { d.open = true })")
    found = axe.Axe().run(opened.page).response["violations"]
    grave = [
        (v["id"], v["help"], v["nodes"][0]["html"][:200])
        for v in found
        if v["impact"] in ("serious", "critical")
    ]
    assert grave == []
    opened.context.close()
