"""The page as text, and as a real browser shows it."""

from __future__ import annotations

import base64
import dataclasses
import html
import itertools
import json
import re
from collections.abc import Sequence
from pathlib import Path

import pytest
from PIL import Image

from gco_agent.core.records import Verdict
from gco_agent.report import figures
from gco_agent.report.failing import Failure
from gco_agent.report.page import PageRun, is_report, pack, write_page
from gco_agent.report.summary import AXES, positions, read_report
from gco_agent.report.video import write_video
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from tests.report.conftest import SECOND, Browser
from tests.report.samples import HOSTILE, REF, make_run, policy


def page_of(
    views,
    path: Path,
    clips: dict[int, tuple[str, str]] | None = None,
    failures: Sequence[Failure] = (),
) -> Path:
    runs = [PageRun.read(view) for view in views]
    for run in runs:
        run.clips, run.failures = clips or {}, list(failures)
    assert write_page(path, runs) == path.stat().st_size
    return path


@pytest.fixture(scope="module")
def page(view, tmp_path_factory) -> Path:
    failures = [Failure(f"Iteration 7 failed: {HOSTILE}", f"step  Ball\n7     {HOSTILE}\n")]
    return page_of([view], tmp_path_factory.mktemp("page") / "one.html", failures=failures)


@pytest.fixture(scope="module")
def compared(runs, tmp_path_factory) -> Path:
    views = [runs.view(ref) for ref in (REF, SECOND)]
    return page_of(views, tmp_path_factory.mktemp("page") / "two.html")


def without_plotly(page: Path) -> str:
    return re.sub(r'(id="plotly">)[^<]*', r"\1", page.read_text("utf-8"))


def test_the_page_is_whole_and_loads_nothing(page):
    text = without_plotly(page)
    assert is_report(text[:2000].encode())
    assert not re.search(r"<(?:link|img|iframe|object|embed)\b", text)
    assert not re.search(r"\b(?:src|href)=\"(?!#)", text)
    assert "default-src 'none'; script-src 'sha256-" in html.unescape(text)
    assert page.stat().st_size < 3_000_000


def test_no_text_of_a_policy_or_a_model_is_markup(page):
    text = without_plotly(page)
    assert "window.hacked=1</script>" not in text
    assert text.count("<script") == text.count("</script>") == 3
    found = re.search(r'id="data">(.*?)</script>', text, re.DOTALL)
    assert found
    data = json.loads(found[1])
    summaries = [row[2] for row in data["runs"][0]["trials"]]
    assert any("</script><script>" in summary for summary in summaries)  # as text, to the letter


def test_dollars_are_not_offered_where_none_were_paid(runs, page, tmp_path):
    text = without_plotly(page_of([runs.view(SECOND)], tmp_path / "x.html"))
    assert re.search(r'value="usd" disabled>\s*dollars \(none\)', text)
    assert re.search(r'value="usd">\s*dollars', without_plotly(page))


def test_figures_have_every_trial_and_the_references(view):
    report = read_report(view)
    curve = figures.learning_curve([report])
    names = [trace.get("name", "") for trace in curve["data"]]
    assert [n for n in names if n] == ["policy in force, 95 % interval", "accepted", "rejected"]
    marks = sum(len(t["customdata"]) for t in curve["data"] if t.get("customdata"))
    assert marks == sum(t.verdict in ("accepted", "rejected") for t in report.trials)
    notes = [note["text"] for note in curve["layout"]["annotations"]]
    assert notes == ["random -20.7", "Kuang et al. 12.0", "human 14.6", "PPO 15.2"]
    sides = [note["xanchor"] for note in curve["layout"]["annotations"]]
    assert all(a != b for a, b in itertools.pairwise(sides))
    assert all(trace["meta"]["places"].keys() == AXES.keys() for trace in curve["data"])
    lineage = figures.lineage(report.trials)
    assert len(lineage["x"]) == len(lineage["y"]) == 21
    assert len(lineage["edges"]) == 20


def test_of_very_many_marks_some_are_drawn(view, monkeypatch):
    monkeypatch.setattr(figures, "MOST_DRAWN", 3)
    names = [t.get("name") for t in figures.learning_curve([read_report(view)])["data"]]
    assert any(re.fullmatch(r"rejected \(3 of \d+ drawn\)", name or "") for name in names)


# -- in a real browser --------------------------------------------------------------------------


@pytest.mark.parametrize("width", [400, 1600])
def test_the_page_opens_from_its_file(browser: Browser, page, width):
    browser.open(page, width)
    assert browser.complaints() == []
    assert browser("return performance.getEntriesByType('resource').length") == 0
    root = "document.documentElement"
    assert browser(f"return {root}.scrollWidth - {root}.clientWidth") == 0
    for plot in ("curve", "seeds", "complexity", "lineage"):
        browser.reveal(plot)
    assert browser.complaints() == []


def test_no_tick_of_a_short_run_is_drawn_twice(browser: Browser, tmp_path: Path) -> None:
    repo = GitRepo.create(tmp_path)
    make_run(tmp_path, 3)
    browser.open(page_of([Runs(repo).view(REF)], tmp_path / "short.html"))
    for plot in ("curve", "complexity", "lineage"):
        browser.reveal(plot)
        ticks = browser.texts(f"#{plot} .xtick text")
        assert len(set(ticks)) == len(ticks) >= 3, plot


def test_hostile_text_is_shown_and_does_nothing(browser: Browser, page):
    browser.open(page)
    browser.choose("iteration", "3")
    browser.shown(3)
    assert HOSTILE.split(" ")[0] in browser.text("#trial-reason")
    assert f"+# {HOSTILE}" in browser.text("#trial-diff")
    assert browser("return window.hacked === undefined")
    assert browser("return document.images.length") == 0
    assert browser("return document.scripts.length") == 3
    assert browser.complaints() == []


def test_what_others_score_is_told_with_how_it_was_played_and_where_that_stands(
    browser: Browser, page, view
):
    browser.open(page)
    shown = browser.texts("#references tbody tr")
    references = read_report(view).references
    assert len(shown) == len(references) == 6
    for text, reference in zip(shown, references, strict=True):
        assert all(part in text for part in (reference.label, reference.played, reference.source))


def test_what_each_optimizer_earned_is_a_table(browser: Browser, page, compared):
    browser.open(page)
    rows = "return [...document.querySelectorAll('#earned tbody tr')].map(r =>"
    cells = browser(f"{rows} [...r.cells].map(c => c.textContent))")
    assert [row[:3] for row in cells] == [["search", "17", "17"], ["tune", "3", "3"]]
    assert cells[1][-2:] == ["6,000", "$0.0600"]
    browser.open(compared)
    assert browser.texts("#earned tbody td:first-child") == [REF.branch] * 2 + [SECOND.branch] * 2


def test_what_went_wrong_is_shown_as_text(browser: Browser, page):
    browser.open(page)
    failures = "section[aria-labelledby='failures-heading']"
    assert browser.text(f"{failures} summary") == f"Iteration 7 failed: {HOSTILE}"
    assert browser.text(f"{failures} pre") == f"step  Ball\n7     {HOSTILE}\n"
    assert browser("return document.querySelectorAll(arguments[0]).length", f"{failures} img") == 0


def test_each_step_is_shown_as_a_difference(browser: Browser, page, view):
    browser.open(page)
    browser.click("#trials tbody tr:nth-child(2) button")
    browser.shown(1)
    assert browser.text("#trial-heading") == "Iteration 1: " + read_report(view).trials[1].verdict
    added, removed = (browser.texts(f"#trial-diff .{kind}") for kind in ("added", "removed"))
    new = set(policy(1).splitlines()) - set(policy(0).splitlines())
    assert {line[1:] for line in added} == new
    assert len(removed) == len(added)
    assert browser("return document.querySelectorAll('#trial-seeds tbody tr').length") == 8
    assert browser("return document.querySelector('#trials tr[aria-current]').dataset.trial") == "1"


def test_what_the_optimizer_was_told(browser: Browser, page):
    browser.open(page)
    browser.choose("iteration", "4")
    browser.shown(4)
    assert not browser("return document.getElementById('trial-feedback').hidden")
    assert HOSTILE in browser.text("#trial-feedback pre")
    browser.choose("iteration", "5")
    browser.shown(5)
    assert browser("return document.getElementById('trial-feedback').hidden")
    assert browser("return window.hacked === undefined")


def test_the_lineage_is_walked_by_keys_and_by_mouse(browser: Browser, page):
    from selenium.webdriver.common.action_chains import ActionChains
    from selenium.webdriver.common.by import By
    from selenium.webdriver.common.keys import Keys

    browser.open(page)
    standing = int(browser("return document.getElementById('trial').dataset.shown"))
    browser.reveal("lineage")
    lineage = browser.driver.find_element(By.ID, "lineage")
    lineage.send_keys(Keys.ARROW_LEFT)
    browser.shown(standing - 1)
    lineage.send_keys(Keys.ARROW_RIGHT)
    browser.shown(standing)
    mark = browser.driver.find_elements(By.CSS_SELECTOR, "#lineage .points path")[4]
    ActionChains(browser.driver).move_to_element(mark).pause(0.2).click().perform()
    browser.shown(4)
    browser.click("#next-accepted")
    browser.wait("return document.getElementById('trial-heading').textContent.includes('accepted')")


def test_a_step_has_its_video(browser: Browser, view, tmp_path):
    pytest.importorskip("imageio_ffmpeg")
    pictures = [Image.new("RGB", (64, 48), (i * 8, 0, 0)) for i in range(30)]
    write_video(tmp_path / "x.mp4", pictures, 15)
    file = base64.b64encode((tmp_path / "x.mp4").read_bytes()).decode()
    browser.open(page_of([view], tmp_path / "x.html", {3: (HOSTILE, file)}))
    browser.wait("return document.querySelector('.decisive video').currentTime > 0")  # it plays
    assert browser.text(".decisive figcaption").startswith(f"Iteration 3. {HOSTILE}")
    browser.choose("iteration", "3")
    browser.wait("return document.querySelector('#trial-clip video').readyState >= 1")
    assert browser("return document.querySelector('#trial-clip video').videoWidth") == 64
    assert HOSTILE in browser.text("#trial-clip figcaption")
    browser.choose("iteration", "4")
    browser.wait("return document.getElementById('trial-clip').hidden")
    assert browser.complaints() == []


def test_ten_thousand_iterations(browser: Browser, view, tmp_path):
    """A page of them stays small, and opens in 3 s of the browser's own processor time."""
    trials = view.trials()
    details = list(view.details(trials))
    report = read_report(view)
    many = []
    for i in range(10_001):
        facts = trials[i % 21].facts
        known = facts and dataclasses.replace(facts, iteration=i)
        changes = {"facts": known, "commit": f"{i:040x}", "parents": (f"{i - 1:040x}",)}
        many.append(dataclasses.replace(trials[i % 21], **changes))
    report = dataclasses.replace(report, trials=many, positions=positions(many))
    chunks, _ = pack(many, (details[i % 21] for i in range(10_001)), 12_000_000)
    path = tmp_path / "many.html"
    write_page(path, [PageRun(report, chunks)])
    assert path.stat().st_size < 20_000_000
    browser.driver.execute_cdp_cmd("Performance.enable", {"timeDomain": "threadTicks"})
    browser.open(path)
    told = browser.driver.execute_cdp_cmd("Performance.getMetrics", {})["metrics"]
    used = {metric["name"]: metric["value"] for metric in told}
    assert used["TaskDuration"] < 3
    browser.choose("iteration", "5003")
    browser.shown(5003)
    assert browser.complaints() == []


def test_the_curve_is_drawn_against_what_one_chooses(browser: Browser, page):
    browser.open(page)
    title = "return document.querySelector('#curve .xtitle').textContent"
    assert browser(title) == "iteration"
    for key, words in (("hours", "hours"), ("frames", "millions"), ("usd", "US dollars")):
        browser.click(f'input[value="{key}"]')
        browser.wait(f"{title}.includes('{words}')")


def test_what_is_printed_is_drawn_whole(browser: Browser, page):
    browser.open(page, 400)
    assert browser("return document.querySelectorAll('#lineage .trace').length") == 0
    browser("window.dispatchEvent(new Event('beforeprint'))")
    for plot in ("seeds", "complexity", "lineage"):
        browser.wait(f"return document.querySelectorAll('#{plot} .trace').length > 0")


def test_light_and_dark(browser: Browser, page):
    paper = "return getComputedStyle(document.body).backgroundColor"
    ink = "return getComputedStyle(document.querySelector('#curve .xtitle')).fill"
    browser.open(page)
    light = browser(paper), browser(ink)
    browser.open(page, dark=True)
    dark = browser(paper), browser(ink)
    assert light[0] == "rgb(255, 255, 255)"
    assert all(a != b for a, b in zip(light, dark, strict=True))
    browser.click("#theme")
    browser.wait(f"{ink} === '{light[1]}'")


def test_every_control_has_a_name(browser: Browser, page):
    browser.open(page)
    unnamed = browser(
        "return [...document.querySelectorAll('button, select, input, [tabindex]')].filter(e =>"
        " !(e.textContent.trim() || e.ariaLabel || e.getAttribute('aria-labelledby')"
        " || e.labels?.[0]?.textContent.trim())).map(e => e.outerHTML)"
    )
    assert unnamed == []
    headings = "document.querySelectorAll('h1, h2, h3, h4')"
    levels = browser(f"return [...{headings}].map(e => +e.tagName[1])")
    assert levels[0] == 1
    assert all(b - a <= 1 for a, b in itertools.pairwise(levels))
    assert browser("return document.documentElement.lang") == "en"


def test_two_runs_on_one_page(browser: Browser, compared):
    browser.open(compared)
    assert browser.complaints() == []
    assert browser("return document.querySelectorAll('#trials tbody tr').length") == 21
    browser.choose("run", "1")
    browser.wait("return document.querySelectorAll('#trials tbody tr').length === 13")
    legend = browser.text("#curve .legend")
    for run_id in (REF.run_id, SECOND.run_id):
        assert f"{run_id}: policy in force" in legend
        assert f"{run_id}: accepted" in legend
    assert legend.count("rejected") == 1


def test_the_rules_of_races_and_of_the_report_are_told_apart(view):
    report = read_report(view)
    assert [label for label, _ in report.protocols] == ["protocol"]
    last = report.trials[-1]
    assert last.facts is not None
    facts = dataclasses.replace(last.facts, verdict=Verdict.REPORTED, protocol="whole games")
    trials = [*report.trials, dataclasses.replace(last, facts=facts)]
    told = dataclasses.replace(report, trials=trials).protocols
    assert [label for label, _ in told] == ["protocol of races", "protocol of report"]
    assert told[1][1] == "whole games"


def test_only_a_race_has_a_column_for_the_parent(browser: Browser, page, view):
    browser.open(page)
    for iteration in (0, 1):
        browser.choose("iteration", str(iteration))
        browser.shown(iteration)
        assert ("parent" in browser.texts("#trial-seeds thead th")) == (iteration > 0)
