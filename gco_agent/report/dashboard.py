"""A live page on this machine: what the runs of a repository do now.

Other users of the machine can reach the port, so every request for data needs a token, and one that
changes a run needs another. The command prints both. Pages of other sites have no access: requests
must name this server in ``Host``, and come from its own page.
"""

from __future__ import annotations

import hmac
import json
import secrets
import threading
import time
from collections.abc import Callable, Mapping
from dataclasses import asdict, dataclass, field
from http import HTTPStatus
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any
from urllib.parse import parse_qs, urlsplit

from gco_agent.core.errors import GcoError, NotARun, UsageError
from gco_agent.core.records import Verdict
from gco_agent.core.text import clean_line, clean_text, difference, format_points
from gco_agent.jail import JailLevel
from gco_agent.report import figures
from gco_agent.report.page import template_text
from gco_agent.report.summary import RunReport, read_report, score_in_words, with_error
from gco_agent.store.control import (
    Status,
    is_paused,
    leave_note,
    live_runs,
    pause,
    read_status,
    resume,
    status_path,
)
from gco_agent.store.entries import RunRef
from gco_agent.store.git import GitRepo
from gco_agent.store.run import Runs
from gco_agent.store.view import RunView, Trial

ADDRESS = "127.0.0.1"
MOST_TRIALS = 50
"""Trials in the table of a run, the newest."""
_FACTS = ("pairs", "loc")
_MOST_DIFF_LINES = 2_000
_MOST_BODY_BYTES = 65_536
_TOKEN_HEADER = "X-Gco-Token"  # noqa: S105 - the name of a header
_NO_TOKEN = "open the address with the token that `gco-agent dashboard` printed"  # noqa: S105
_POLICY = (
    "default-src 'none'; script-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self'; "
    "img-src data: blob:; media-src 'self' blob:; base-uri 'none'; form-action 'none'; "
    "frame-ancestors 'none'"
)


@dataclass(slots=True)
class Dashboard:
    """What the page shows and does.

    Attributes:
        token: What a request that changes something has to give; enough for data, too.
    """

    repo: GitRepo
    require: JailLevel = JailLevel.NONE
    view_token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    token: str = field(default_factory=lambda: secrets.token_urlsafe(24))
    _clips: dict[str, bytes] = field(default_factory=dict)
    _filming: threading.Lock = field(default_factory=threading.Lock)
    _reports: dict[str, tuple[str, RunReport]] = field(default_factory=dict)

    @property
    def runs(self) -> Runs:
        """The runs of the repository."""
        return Runs(self.repo)

    def listing(self) -> list[dict[str, Any]]:
        """Return a row for every run, the one that advanced last first."""
        live = live_runs(self.repo.common_dir)
        rows = [self.runs.view(ref).summary() for ref in self.runs.list()]
        known = {row.ref for row in rows}
        return [
            {"run": ref.branch, "score": "", "iterations": 0, "running": True}
            for ref in live
            if ref not in known
        ] + [
            {
                "run": row.ref.branch,
                "score": score_in_words(row.facts),
                "iterations": row.iterations,
                "running": row.ref in live,
                "problem": clean_line(row.error),
            }
            for row in rows
        ]

    def run(self, name: str) -> dict[str, Any]:
        """Return what the page shows of a run."""
        ref, status = self._find(name)
        base: dict[str, Any] = {"run": ref.branch, "status": _status(status)}
        if self.repo.ref(str(ref)) is None:
            return {**base, "tip": ""}
        view = self.runs.view(ref)
        report = self._report(view)
        shown = report.trials[-MOST_TRIALS:]
        gain = _last_accepted(report)
        return {
            **base,
            "tip": view.tip,
            "paused": is_paused(self.repo, ref),
            "title": report.title,
            "score": report.score_in_words(report.facts_now),
            "initial": report.score_in_words(report.trials[0].facts),
            "used": report.positions[-1],
            "tokens": sum(each.tokens for each in report.optimizers),
            "counts": {v.value: report.count(v) for v in Verdict if report.count(v)},
            "curve": figures.learning_curve([report]),
            "trials": [_trial(trial) for trial in reversed(shown)],
            "policy": report.policy,
            "gain": None if gain is None else _latest_gain(view, gain),
        }

    def clip(self, name: str) -> bytes:
        """Film the latest gain of a run beside the policy before it, as mp4; once a commit."""
        view = self.runs.view(self._find(name)[0])
        report = self._report(view)
        gain = _last_accepted(report)
        if gain is None:
            raise UsageError(f"{view.ref.branch} has no accepted candidate yet")
        with self._filming:
            if gain.commit not in self._clips:
                self._clips[gain.commit] = self._film(view, report, gain)
            return self._clips[gain.commit]

    def act(self, what: str, given: Mapping[str, str]) -> str:
        """Pause, resume or fork a run, or leave a note for its model; return what was done."""
        ref, status = self._find(given.get("run", ""))
        if what == "pause":
            if status is None:
                raise UsageError(f"{ref.branch} is not running")
            pause(self.repo, ref)
            return f"{ref.branch} pauses after this iteration"
        if what == "resume":
            resume(self.repo, ref)
            return f"{ref.branch} goes on"
        if what == "note":
            leave_note(self.runs.view(ref), given.get("text", ""))
            return "the next prompt will show the note"
        if what == "fork":
            new = self.runs.fork(ref, given.get("rev") or None, given.get("name", ""))
            return f"{new.branch} is made: gco-agent step {new.branch}"
        raise UsageError(f"there is no action {what!r}")

    def _find(self, name: str) -> tuple[RunRef, Status | None]:
        for ref in (*live_runs(self.repo.common_dir), *self.runs.list()):
            if ref.branch == name:
                return ref, read_status(status_path(self.repo.common_dir, ref.stem))
        raise NotARun(f"there is no run {clean_line(name)!r}")

    def _report(self, view: RunView) -> RunReport:
        """Read a run once a commit."""
        known = self._reports.get(view.ref.branch)
        if known is None or known[0] != view.tip:
            known = self._reports[view.ref.branch] = (view.tip, read_report(view))
        return known[1]

    def _film(self, view: RunView, report: RunReport, trial: Trial) -> bytes:
        from gco_agent.report.video import film_gain

        found = film_gain(view, report.config, trial, self.require)
        if found is None:
            raise UsageError(f"iteration {trial.iteration} has no race to film")
        return found[1]


def _status(status: Status | None) -> dict[str, Any] | None:
    if status is None:
        return None
    event = status.event
    return {
        "pid": status.pid,
        "phase": type(event).__name__.lower() if event is not None else "",
        "event": asdict(event) if event is not None else {},
        "elapsed": time.perf_counter() - status.started,
        "limits": asdict(status.limits),
        "tokens": status.tokens,
        "usd": status.usd,
    }


def _trial(trial: Trial) -> dict[str, Any]:
    score, gain = with_error(trial.facts)
    return {
        "score": score,
        "gain": gain,
        "iteration": trial.iteration,
        "verdict": trial.verdict,
        "in_force": trial.in_force,
        "summary": clean_line(trial.summary),
        "reason": clean_text(trial.body),
        "when": f"{trial.when:%H:%M}",
        **{name: getattr(trial.facts, name, None) for name in _FACTS},
    }


def _last_accepted(report: RunReport) -> Trial | None:
    accepted = (trial for trial in reversed(report.trials) if trial.verdict == Verdict.ACCEPTED)
    return next(accepted, None)


def _latest_gain(view: RunView, trial: Trial) -> dict[str, Any]:
    (details,) = view.details([trial])
    lines = difference(details.before, details.after or "")
    gain = trial.facts.gain if trial.facts else None
    return {
        "iteration": trial.iteration,
        "commit": trial.commit[:12],
        "gain": "" if gain is None else format_points(gain, "+"),
        "diff": lines[:_MOST_DIFF_LINES],
    }


class DashboardServer(ThreadingHTTPServer):
    """Serves a `Dashboard` on 127.0.0.1."""

    daemon_threads = True

    def __init__(self, dashboard: Dashboard, port: int = 0) -> None:
        self.dashboard = dashboard
        try:
            super().__init__((ADDRESS, port), _Handler)
        except (OSError, OverflowError) as error:
            why = getattr(error, "strerror", None) or error
            raise UsageError(f"cannot listen on {ADDRESS}:{port}: {why}") from error

    @property
    def url(self) -> str:
        """Address of the page that only shows; a fragment is never sent over the network."""
        return f"http://{ADDRESS}:{self.server_port}/#token={self.dashboard.view_token}"

    @property
    def full_url(self) -> str:
        """Address of the page that may change runs."""
        return f"http://{ADDRESS}:{self.server_port}/#token={self.dashboard.token}"


class _Handler(BaseHTTPRequestHandler):
    """One request."""

    server: DashboardServer
    server_version, sys_version = "gco-agent", ""
    timeout = 60

    def do_GET(self) -> None:
        """Answer a request that changes nothing."""
        if not self._is_ours():
            return
        where = urlsplit(self.path)
        name = parse_qs(where.query).get("run", [""])[0]
        board = self.server.dashboard
        files: dict[str, tuple[str, Callable[[], str]]] = {
            "/": ("text/html", lambda: template_text("dashboard.html")),
            "/dashboard.js": ("text/javascript", lambda: template_text("dashboard.js")),
            "/page.css": ("text/css", lambda: template_text("page.css")),
            "/plotly.js": ("text/javascript", figures.script),
        }
        if where.path in files:
            kind, read = files[where.path]
            self._send(read().encode(), f"{kind}; charset=utf-8")
            return
        data: dict[str, Callable[[], Any]] = {
            "/api/runs": lambda: {"runs": board.listing(), "may_act": self._has(board.token)},
            "/api/run": lambda: board.run(name),
        }
        if not self._has(board.token, board.view_token):
            self._send_json({"error": _NO_TOKEN}, HTTPStatus.FORBIDDEN)
        elif where.path == "/clip.mp4":
            self._guarded(lambda: self._send(board.clip(name), "video/mp4"))
        elif where.path in data:
            self._guarded(lambda: self._send_json(data[where.path]()))
        else:
            self._send_json({"error": "there is no such page"}, HTTPStatus.NOT_FOUND)

    def do_POST(self) -> None:
        """Answer a request that changes something: only with the token."""
        if not self._is_ours():
            return
        board = self.server.dashboard
        if not self._has(board.token):
            self._send_json({"error": _NO_TOKEN}, HTTPStatus.FORBIDDEN)
            return
        what = urlsplit(self.path).path.removeprefix("/api/")
        self._guarded(lambda: self._send_json({"done": board.act(what, self._body())}))

    def _has(self, *tokens: str) -> bool:
        given = self.headers.get(_TOKEN_HEADER, "").encode()
        return any(hmac.compare_digest(given, token.encode()) for token in tokens)

    def _body(self) -> dict[str, str]:
        """Return the JSON object that was sent, its values as text."""
        length = self.headers.get("Content-Length", "")
        if not length.isdecimal() or int(length) > _MOST_BODY_BYTES:
            raise UsageError(f"a request has a body of at most {_MOST_BODY_BYTES:,} bytes")
        try:
            sent = json.loads(self.rfile.read(int(length)))
        except (ValueError, RecursionError):
            raise UsageError("the request is not JSON") from None
        if not isinstance(sent, dict):
            raise UsageError("the request is not a JSON object")
        return {str(key): str(value) for key, value in sent.items()}

    def _is_ours(self) -> bool:
        """Refuse requests under another name (DNS rebinding), or from another site's page."""
        port = self.server.server_port
        hosts = {f"{ADDRESS}:{port}", f"localhost:{port}"}
        origin = self.headers.get("Origin")
        is_ours = (
            self.headers.get("Host") in hosts
            and self.headers.get("Sec-Fetch-Site", "none") in ("none", "same-origin")
            and (origin is None or origin in {f"http://{host}" for host in hosts})
        )
        if not is_ours:
            self._send_json({"error": "not from this page"}, HTTPStatus.FORBIDDEN)
        return is_ours

    def _guarded(self, answer: Callable[[], None]) -> None:
        try:
            answer()
        except GcoError as error:
            status = HTTPStatus.NOT_FOUND if isinstance(error, NotARun) else HTTPStatus.BAD_REQUEST
            self._send_json({"error": clean_text(str(error))}, status)

    def _send_json(self, data: object, status: HTTPStatus = HTTPStatus.OK) -> None:
        text = json.dumps(data, allow_nan=False, default=str)
        self._send(text.encode(), "application/json", status)

    def _send(self, body: bytes, kind: str, status: HTTPStatus = HTTPStatus.OK) -> None:
        self.send_response(status)
        self.send_header("Content-Type", kind)
        self.send_header("Content-Length", str(len(body)))
        self.send_header("Content-Security-Policy", _POLICY)
        self.send_header("X-Content-Type-Options", "nosniff")
        self.send_header("Referrer-Policy", "no-referrer")
        self.send_header("Cache-Control", "no-store")
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def log_message(self, *_: object) -> None:
        """Log nothing: the page asks every second."""
