"""The live page: its server, and what a real browser shows of it."""

from __future__ import annotations

import http.client
import json
import os
import socket
import threading
import time
from collections.abc import Iterator

import pytest

import gco_agent
from gco_agent.core.errors import StoreError, UsageError
from gco_agent.core.events import Racing
from gco_agent.core.statistics import paired_gain
from gco_agent.loop.train import wait_while_paused
from gco_agent.report.dashboard import DashboardServer
from gco_agent.store.control import (
    Limits,
    Status,
    is_paused,
    pause,
    read_notes,
    resume,
    status_path,
    write_status,
)
from gco_agent.store.entries import RunRef
from tests.report.conftest import Browser
from tests.report.samples import HOSTILE, REF

BRANCH = REF.branch


@pytest.fixture(scope="module")
def server(written) -> Iterator[DashboardServer]:
    with gco_agent.dashboard(written) as made:
        thread = threading.Thread(target=made.serve_forever)
        thread.start()
        yield made
        made.shutdown()
        thread.join()


def ask(server, path, method="GET", body=None, **headers):
    connection = http.client.HTTPConnection("127.0.0.1", server.server_port, timeout=30)
    headers.setdefault("X_Gco_Token", server.dashboard.view_token)
    named = {name.replace("_", "-"): value for name, value in headers.items()}
    connection.request(method, path, body=body, headers=named)
    answer = connection.getresponse()
    text = answer.read().decode()
    connection.close()
    return answer.status, json.loads(text) if "json" in answer.headers["Content-Type"] else text


def act(server, what, given, **headers):
    headers.setdefault("X_Gco_Token", server.dashboard.token)
    return ask(server, f"/api/{what}", "POST", json.dumps(given), **headers)


@pytest.fixture
def running(runs, view) -> Iterator[Status]:
    """A process that races a candidate of the run."""
    path = status_path(view.repo.common_dir, REF.stem)
    event = Racing(paired_gain([3.0, 2.0, 4.0, 3.5], [1.0, 1.0, 1.0, 2.0]), 4, 64, 9000)
    limits = Limits(None, 300.0, None, None, 2.0)
    status = Status(os.getpid(), time.perf_counter() - 60, 1, 0.0, limits, event, 1234, 0.5)
    assert write_status(path, status)
    yield status
    write_status(path, None)


def test_runs_are_listed(server):
    status, answer = ask(server, "/api/runs")
    rows = answer["runs"]
    assert status == 200
    assert not answer["may_act"]
    assert {row["run"]: row["iterations"] for row in rows} == {BRANCH: 20, "gco/pong/second": 12}
    assert not any(row["running"] for row in rows)


def test_a_run_is_told_with_what_is_under_way(server, running):
    status, run = ask(server, f"/api/run?run={BRANCH}")
    assert status == 200
    assert run["status"]["phase"] == "racing"
    assert (run["status"]["event"]["n_pairs"], run["status"]["tokens"]) == (4, 1234)
    assert 60 <= run["status"]["elapsed"] < 120
    assert len(run["trials"]) > 20
    assert run["trials"][0]["iteration"] == 20
    assert "±" in run["trials"][0]["score"]
    assert run["gain"]["diff"]
    assert run["curve"]["data"]
    assert "class Policy" in run["policy"]


def test_what_is_not_there_is_refused(server):
    assert ask(server, "/api/run?run=gco/pong/none")[0] == 404
    assert ask(server, "/api/run?run=../../etc")[0] == 404
    assert ask(server, "/etc/passwd")[0] == 404
    assert ask(server, "/clip.mp4?run=gco/pong/none")[0] == 404


@pytest.mark.parametrize("path", ["/api/runs", f"/api/run?run={BRANCH}", "/clip.mp4?run=x"])
def test_nothing_is_shown_without_a_token(server, path):
    for token in ("", "x", server.dashboard.view_token[:-1]):
        assert ask(server, path, X_Gco_Token=token)[0] == 403


def test_only_the_token_changes_a_run(server, view, running):
    for token in ("", "x", server.dashboard.view_token, server.dashboard.token[:-1]):
        assert act(server, "pause", {"run": BRANCH}, X_Gco_Token=token)[0] == 403
    assert not is_paused(view.repo, REF)
    assert act(server, "pause", {"run": BRANCH})[0] == 200
    assert is_paused(view.repo, REF)
    assert ask(server, f"/api/run?run={BRANCH}")[1]["paused"]
    assert act(server, "resume", {"run": BRANCH})[0] == 200
    assert not is_paused(view.repo, REF)


def test_what_does_not_run_is_not_paused(server, view):
    assert act(server, "pause", {"run": BRANCH})[0] == 400
    assert not is_paused(view.repo, REF)


def test_a_note_is_left_for_the_model(server, view):
    assert act(server, "note", {"run": BRANCH, "text": "Mind the gap."})[0] == 200
    (path,) = read_notes(view)
    assert read_notes(view)[path].strip() == "Mind the gap."
    path.unlink()
    assert act(server, "note", {"run": BRANCH, "text": ""})[0] == 400
    assert act(server, "note", {"run": BRANCH, "text": "x" * 3_000})[0] == 400


def test_a_run_is_forked(server, view):
    assert act(server, "fork", {"run": BRANCH, "rev": "3", "name": "other"})[0] == 200
    made = server.dashboard.runs.view(RunRef("pong", "other"))
    assert made.last_iteration == 3
    for name in ("other", "", "../x", "-x"):
        assert act(server, "fork", {"run": BRANCH, "rev": "3", "name": name})[0] == 400
    assert act(server, "fork", {"run": BRANCH, "rev": "99", "name": "third"})[0] in (400, 404)
    view.repo.attempt("update-ref", "-d", str(made.ref))


@pytest.mark.parametrize(
    "headers",
    [
        {"Host": "attacker.example"},
        {"Host": "attacker.example:80"},
        {"Sec_Fetch_Site": "cross-site"},
        {"Origin": "http://attacker.example"},
    ],
)
def test_pages_of_other_sites_are_refused(server, view, headers):
    assert ask(server, f"/api/run?run={BRANCH}", **headers)[0] == 403
    assert act(server, "pause", {"run": BRANCH}, **headers)[0] == 403
    assert not is_paused(view.repo, REF)


@pytest.mark.parametrize("body", ["", "[]", "{", "[" * 60_000, " " * 70_000])
def test_other_bodies_are_refused(server, body):
    headers = {"X_Gco_Token": server.dashboard.token}
    status, answer = ask(server, "/api/pause", "POST", body, **headers)
    assert status == 400
    assert answer["error"]
    assert act(server, "explode", {"run": BRANCH})[0] == 400


def test_a_port_that_is_taken_and_a_folder_without_runs_are_told(written, tmp_path):
    with (
        socket.create_server(("127.0.0.1", 0)) as taken,
        pytest.raises(UsageError, match="cannot listen"),
    ):
        gco_agent.dashboard(written, port=taken.getsockname()[1])
    with pytest.raises(UsageError, match="cannot listen"):
        gco_agent.dashboard(written, port=99_999)
    with pytest.raises(StoreError):
        gco_agent.dashboard(tmp_path)


def test_a_paused_run_waits(view):
    pause(view.repo, REF)
    seen = []

    def progress(event):
        seen.append(event)
        resume(view.repo, REF)

    wait_while_paused(view, progress, time.perf_counter() + 30)
    assert [event.activity for event in seen] == ["paused"]
    pause(view.repo, REF)
    wait_while_paused(view, seen.append, time.perf_counter() + 0.3)  # the time is up
    assert is_paused(view.repo, REF)
    resume(view.repo, REF)


@pytest.fixture
def page(browser) -> Iterator[Browser]:
    """A browser that is elsewhere when the server ends: the page would complain for ever."""
    yield browser
    browser.driver.get("about:blank")
    browser.complaints()


@pytest.mark.parametrize("width", [400, 1600])
def test_a_browser_shows_it_live(server, page, running, view, width):
    screen = {"width": width, "height": 1000, "deviceScaleFactor": 1, "mobile": width < 600}
    page.driver.execute_cdp_cmd("Emulation.setDeviceMetricsOverride", screen)
    page.driver.get(f"{server.full_url}")
    page.wait("return document.documentElement.dataset.ready === 'true'")
    page.wait("return document.querySelectorAll('#curve .trace').length > 0")
    assert page("return document.getElementById('run').value") == BRANCH  # it is running
    assert "4 of at most 64 pairs" in page.text("#now")
    assert "$0.50 of $2" in page.text("#now")
    assert len(page.texts("#trials tbody tr")) > 20
    assert HOSTILE in "".join(page.texts("#trials td"))  # as text: no element of it
    assert page("return document.documentElement.scrollWidth <= window.innerWidth")
    page.click("#pause")
    page.wait("return document.getElementById('pause').textContent === 'Resume'")
    assert is_paused(view.repo, REF)
    page.click("#pause")
    page.wait("return document.getElementById('pause').textContent !== 'Resume'")
    assert not is_paused(view.repo, REF)
    assert not [line for line in page.complaints() if "favicon" not in line]


def test_with_the_other_address_a_browser_can_only_look(server, page):
    page.driver.get("about:blank")
    page.driver.get(f"{server.url.replace('#', '?run=gco/pong/second#')}")
    page.wait("return document.querySelectorAll('#curve .trace').length > 0")
    assert page("return document.getElementById('control').hidden")
    assert page("return document.getElementById('run').value") == "gco/pong/second"


def test_a_browser_offers_no_pause_where_nothing_runs(server, page):
    page.driver.get("about:blank")
    page.driver.get(server.full_url)
    page.wait("return document.querySelectorAll('#curve .trace').length > 0")
    assert not page("return document.getElementById('control').hidden")
    assert page("return document.getElementById('pausing').offsetHeight") == 0
