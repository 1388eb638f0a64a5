"""The Hugging Face hub: the real library against a stand-in of the hub on loopback."""

from __future__ import annotations

import base64
import hashlib
import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from pathlib import Path
from typing import Any

import pytest
from click.testing import CliRunner

import gco_agent
from gco_agent.cli import main
from gco_agent.core.errors import GcoError, PolicyError, UsageError
from gco_agent.policy.source import MAX_BYTES
from gco_agent.report.hub import HubError, pull_policy, require_access

hub = pytest.importorskip("huggingface_hub", reason="needs the extra hub")

COMMIT = "0123456789abcdef0123456789abcdef01234567"
TOKEN = "hf_" + "a1B2" * 9
POLICY = '"""Push right.\n\nEnvironment: CartPole-v1\n"""\n\n\ndef act(obs):\n    return 1\n'


class Hub(ThreadingHTTPServer):
    """Keeps what is committed.

    Attributes:
        files: Path to content; "owner/name/policy.py".
        private: Names of private repositories.
    """

    daemon_threads = True

    def __init__(self) -> None:
        super().__init__(("127.0.0.1", 0), _Handler)
        self.url = f"http://127.0.0.1:{self.server_address[1]}"
        self.files: dict[str, bytes] = {}
        self.private: list[str] = []


class _Handler(BaseHTTPRequestHandler):
    server: Hub

    def log_message(self, *_: object) -> None:
        pass

    def _answer(self, data: Any, status: int = 200, **headers: str) -> None:
        body = data if isinstance(data, bytes) else json.dumps(data).encode()
        self.send_response(status)
        for name, value in {"content-length": str(len(body)), **headers}.items():
            self.send_header(name.replace("_", "-"), value)
        self.end_headers()
        if self.command != "HEAD":
            self.wfile.write(body)

    def do_HEAD(self) -> None:
        self.do_GET()

    def do_GET(self) -> None:
        if self.path == "/api/whoami-v2":
            if self.headers["authorization"] != f"Bearer {TOKEN}":
                self._answer({"error": "Invalid credentials"}, 401)
            else:
                self._answer({"type": "user", "name": "me", "auth": {}})
            return
        repo, _, rest = self.path.lstrip("/").partition("/resolve/")
        data = self.server.files.get(f"{repo}/{rest.partition('/')[2]}")
        if data is None:
            self._answer(b"", 404, X_Error_Code="EntryNotFound", X_Error_Message="none")
        else:
            self._answer(data, ETag=f'"{hashlib.sha1(data).hexdigest()}"', X_Repo_Commit=COMMIT)

    def do_POST(self) -> None:
        body = self.rfile.read(int(self.headers["content-length"]))
        if self.path == "/api/repos/create":
            asked = json.loads(body)
            if asked.get("private") or asked.get("visibility") == "private":
                self.server.private.append(asked["name"])
            self._answer({"url": f"{self.server.url}/me/{asked['name']}"})
        elif "/preupload/" in self.path:
            named = [each["path"] for each in json.loads(body)["files"]]
            how = {"uploadMode": "regular", "shouldIgnore": False}
            self._answer({"files": [{"path": name, **how} for name in named]})
        elif self.path == "/api/validate-yaml":
            self._answer({"errors": [], "warnings": []})
        else:
            repo = self.path.removeprefix("/api/models/").partition("/commit/")[0]
            for line in map(json.loads, body.splitlines()):
                if line["key"] == "file":
                    content = base64.b64decode(line["value"]["content"])
                    self.server.files[f"{repo}/{line['value']['path']}"] = content
            done = {"commitUrl": f"{self.server.url}/{repo}/commit/{COMMIT}", "commitOid": COMMIT}
            self._answer(done)


@pytest.fixture
def served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Hub]:
    server = Hub()
    monkeypatch.setenv("HF_ENDPOINT", server.url)
    monkeypatch.setenv("HF_TOKEN", TOKEN)
    monkeypatch.chdir(tmp_path)
    thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
    thread.start()
    yield server
    server.shutdown()
    thread.join()
    server.server_close()


def test_a_policy_is_pushed_and_played_from_there(served: Hub, tmp_path: Path) -> None:
    (tmp_path / "mine.py").write_text(POLICY)
    push = ["push", "mine.py", "me/right", "--private", "--episodes", "3", "--workers", "1"]
    done = CliRunner().invoke(main, [*push, "--json"])
    assert done.exit_code == 0, done.output
    told = json.loads(done.stdout)
    assert told["repo"] == "me/right"
    assert told["url"] == f"{served.url}/me/right/commit/{COMMIT}"
    assert served.private == ["right"]
    assert served.files["me/right/policy.py"].decode() == POLICY

    card = hub.ModelCard(served.files["me/right/README.md"].decode())
    assert (card.data.library_name, card.data.pipeline_tag) == (
        *("gco-agent", "reinforcement-learning"),
    )
    (result,) = card.data.eval_results
    assert (result.dataset_name, result.metric_value) == ("CartPole-v1", told["mean_return"])
    assert 'pull_policy("hf://me/right")' in card.text

    assert pull_policy("hf://me/right@v1").text == POLICY
    played = gco_agent.evaluate("hf://me/right", episodes=3)
    assert played.mean_return == told["mean_return"]
    assert {episode.jail for episode in played.episodes} != {"none"}  # never in this process


def test_what_is_on_the_hub_is_text_until_it_plays(served: Hub, tmp_path: Path) -> None:
    trace = tmp_path / "ran"
    served.files["me/evil/policy.py"] = f"open({str(trace)!r}, 'w')\n{POLICY}".encode()
    assert "open(" in pull_policy("hf://me/evil").text
    with pytest.raises(GcoError):  # by the contract
        gco_agent.evaluate("hf://me/evil", "CartPole-v1", episodes=1)
    with pytest.raises(PolicyError):  # load_policy, which has no jail, downloads nothing
        gco_agent.load_policy("hf://me/evil")
    assert not trace.exists()


@pytest.mark.parametrize(
    "address", ["hf://pong", "hf://../x/y", "hf://a/b@", "hf://a/b?c", "hf://"]
)
def test_malformed_addresses(address: str) -> None:
    with pytest.raises(UsageError, match="not an address"):
        pull_policy(address)


def test_what_the_hub_does_not_give(served: Hub, monkeypatch: pytest.MonkeyPatch) -> None:
    with pytest.raises(HubError, match="no such repository"):
        pull_policy("hf://me/none")
    served.files["me/big/policy.py"] = b"#" * (MAX_BYTES + 1)
    with pytest.raises(HubError, match="more than"):
        pull_policy("hf://me/big")
    with pytest.raises(UsageError, match="not the name of a repository"):
        require_access("me/right@v1")
    monkeypatch.setenv("HF_TOKEN", "hf_" + "x" * 30)
    with pytest.raises(HubError, match="HF_TOKEN") as caught:
        require_access("me/right")
    assert "x" * 30 not in str(caught.value)
    monkeypatch.setenv("HF_ENDPOINT", "http://127.0.0.1:9")
    with pytest.raises(HubError, match="HF_ENDPOINT"):
        pull_policy("hf://me/right")
