from __future__ import annotations

import json
import threading
from collections.abc import Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer

import pytest

from redbutton.cli import checks
from redbutton.cli.ollama_check import base_url, survey


class Ollama(BaseHTTPRequestHandler):
    """The two answers of an Ollama server that the check reads."""

    def do_GET(self) -> None:
        self.answer({"models": [{"name": "sees:1b"}, {"name": "plain:1b"}, {"name": "gone:1b"}]})

    def do_POST(self) -> None:
        asked = json.loads(self.rfile.read(int(self.headers["Content-Length"])))["model"]
        known = {"sees:1b": ["completion", "vision", "tools"], "plain:1b": ["completion"]}
        self.answer({"capabilities": known.get(asked)}, 200 if asked in known else 404)

    def answer(self, body: object, status: int = 200) -> None:
        data = json.dumps(body).encode()
        self.send_response(status)
        self.send_header("Content-Length", str(len(data)))
        self.end_headers()
        self.wfile.write(data)

    def log_message(self, *_args: object) -> None:
        pass


class SomethingElse(Ollama):
    def do_GET(self) -> None:
        self.answer(["hello"])


@pytest.fixture(params=[Ollama])
def server(request: pytest.FixtureRequest) -> Iterator[str]:
    with ThreadingHTTPServer(("127.0.0.1", 0), request.param) as httpd:
        thread = threading.Thread(target=httpd.serve_forever)
        thread.start()
        yield f"127.0.0.1:{httpd.server_address[1]}"
        httpd.shutdown()
        thread.join()


@pytest.mark.parametrize(
    ("host", "url"),
    [
        ("", "http://127.0.0.1:11434"),
        ("0.0.0.0", "http://127.0.0.1:11434"),
        ("lab", "http://lab:11434"),
        ("lab:8080", "http://lab:8080"),
        (":8080", "http://127.0.0.1:8080"),
        ("http://lab", "http://lab:80"),
        ("https://lab/ollama/", "https://lab:443/ollama"),
        ("[::1]:99", "http://[::1]:99"),
        ("[::]", "http://[::1]:11434"),
        ('"lab:1"', "http://lab:1"),
    ],
)
def test_ollama_host_is_read_as_ollama_reads_it(host, url):
    assert base_url(host) == url


def test_models_and_their_abilities_are_listed(server, monkeypatch):
    monkeypatch.setenv("HTTP_PROXY", "http://127.0.0.1:9")
    url, models, problem = survey(server)
    assert (url, problem) == (f"http://{server}", "")
    assert [(m.name, m.capabilities) for m in models] == [
        ("sees:1b", ("completion", "vision", "tools")),
        ("plain:1b", ("completion",)),
        ("gone:1b", ()),
    ]


@pytest.mark.parametrize("server", [SomethingElse], indirect=True)
def test_a_server_that_is_not_ollama_is_told_apart(server):
    assert survey(server)[2] == "the answer is not Ollama's"


@pytest.mark.parametrize(("host", "problem"), [("127.0.0.1:9", "ConnectError"), ("lab:port", "no address")])
def test_a_server_that_is_not_there_is_a_finding_and_no_crash(host, problem):
    assert problem in survey(host)[2]


def test_doctor_finds_the_server_that_ollama_host_names(server, cli):
    done = cli("doctor", "--json", OLLAMA_HOST=server)
    found = {c["name"]: c for c in json.loads(done.stdout)["checks"]}
    assert found["ollama"]["ok"]
    assert "sees:1b (completion, vision, tools)" in found["ollama"]["found"]
    assert {
        "python",
        "engine",
        "cores",
        "ollama",
        "ros 2",
        "display",
        "sandbox",
        "chromium",
        "extra lab",
        "extra rl",
        "extra inspect",
        "extra local",
        "extra organisms",
    } == set(found)
    assert done.returncode == (0 if found["engine"]["ok"] and found["python"]["ok"] else 1)


def test_doctor_says_how_to_get_what_is_missing(cli):
    done = cli("doctor", OLLAMA_HOST="127.0.0.1:9")
    assert "no answer at http://127.0.0.1:9" in done.stdout
    assert "ollama.com" in done.stdout
    assert done.stderr == ""


def test_an_engine_that_crashes_is_a_finding(monkeypatch):
    monkeypatch.setattr(checks, "ENGINE_TEST", "import os; os.abort()")
    found = checks.engine()
    assert not found.ok
    assert found.needed
    monkeypatch.setattr(checks, "ENGINE_TEST", "import no_such_engine")
    assert "no_such_engine" in checks.engine().found
