"""`stillhouse ui` with Dagster's real webserver and daemon: what the audit's attacks did over HTTP is refused, what a
person does works, and nothing of it is left when it ends, however it ends."""

import functools
import http.server
import json
import os
import shutil
import signal
import subprocess
import threading
import time
import urllib.error
import urllib.request
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from urllib.parse import urlencode

import pytest

from stillhouse.home import CHECKOUT, Home
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.events import EventKind, pending
from stillhouse.records.ledger import Ledger
from tests.end_to_end.server import LAUNCH, GuardedServer, Server, stillhouse_ui
from tests.small import small_recipe

pytestmark = pytest.mark.slow

browser = pytest.importorskip("tests.end_to_end.browser", exc_type=ImportError)

TOKEN = "a-token-of-the-tests-0123456789"
FORGED = {"key": "tests/forged", "value": "yes"}
RUNS = "{ runsOrError { ... on Runs { results { runId tags { key value } } } } }"
EVENTS = """
query ($key: AssetKeyInput!) {
  assetOrError(assetKey: $key) { ... on Asset { assetMaterializations { runId } assetObservations { runId } } }
}
"""
REPORT = """
mutation ($params: ReportRunlessAssetEventsParams!) {
  reportRunlessAssetEvents(eventParams: $params) { __typename }
}
"""
WIPE = 'mutation { wipeAssets(assetPartitionRanges: [{assetKey: {path: ["small", "contract"]}}]) { __typename } }'
OTHER_PAGE = """
<!doctype html><title>another site</title><p id="done"></p>
<form id="form" method="post" enctype="text/plain" target="sink" action="URL/graphql?WIPE"></form>
<iframe name="sink"></iframe><iframe src="URL/assets"></iframe><img src="URL/graphql?WIPE">
<script>
const post = (path, type, body) => fetch("URL" + path, {method: "POST", mode: "no-cors", body,
  headers: type ? {"Content-Type": type} : {}}).catch(() => "failed");
const socket = new Promise(done => {
  const ws = new WebSocket("URL/graphql".replace("http", "ws"), "graphql-ws");
  ws.onopen = () => done("open"); ws.onerror = () => done("refused");
});
document.getElementById("form").submit();
Promise.all([
  socket, post("/report_asset_check/small/selection?check_name=a_student_clears_the_bar&passed=true"),
  post("/report_asset_materialization/small/selection"), post("/graphql?WIPE"), post("/graphql?LAUNCH"),
  post("/graphql", "text/plain", LAUNCH_BODY), post("/graphql", "text/plain; application/json", LAUNCH_BODY),
  fetch("URL/graphql?LAUNCH", {mode: "no-cors"}).catch(() => "failed"),
  fetch("URL/graphql", {method: "POST", body: LAUNCH_BODY, headers: {"Content-Type": "application/json"}})
    .then(() => "answered").catch(() => "refused"),
]).then(all => setTimeout(() => document.getElementById("done").textContent = `${all[0]} ${all[8]} finished`, 3000));
</script>
"""


@pytest.fixture
def file(tmp_path: Path, home: Home) -> RecipeFile:
    refresh = {"cron": "0 3 1 1 *", "watch_seconds": 3600}  # only what this file does starts a run
    home.inbox("small").mkdir(parents=True)
    return small_recipe(tmp_path, rows=300, slices=[], refresh=refresh)


def status_of(url: str, body: object = None, **headers: str) -> int:
    """Send what curl would, and return the status of the answer."""
    content = None if body is None else json.dumps(body).encode()
    request = urllib.request.Request(url, content, {name.replace("_", "-"): value for name, value in headers.items()})
    try:
        with urllib.request.urlopen(request, timeout=60) as answer:
            return int(answer.status)
    except urllib.error.HTTPError as error:
        return error.code


def launch_of(server: Server) -> dict[str, object]:
    """Variables that launch the contract as the button does, and mark the run as launched by an attack."""
    selector = {**server.repository, "pipelineName": "__ASSET_JOB", "assetSelection": [{"path": ["small", "contract"]}]}
    execution = {"executionMetadata": {"tags": [FORGED]}, "mode": "default", "runConfigData": "{}"}
    return {"params": {"selector": {**selector, "assetCheckSelection": None}, **execution}}


def nothing_was_forged(server: Server) -> None:
    """No run was launched by an attack, and the asset that they report about was neither reported nor wiped."""
    runs = server.ask(RUNS)["runsOrError"]["results"]
    assert [run for run in runs if FORGED in run["tags"]] == []
    found = server.ask(EVENTS, key={"path": ["small", "selection"]})["assetOrError"]
    assert found.get("assetMaterializations", []) == found.get("assetObservations", []) == []
    assert {status for status, _ in server.checks("small", "selection").values()} == {"MISSING"}


def launched_by_hand(server: Server) -> str:
    """Wait for the run that neither a sensor nor automation has launched."""
    automatic = {"dagster/sensor_name", "dagster/from_automation_condition"}
    deadline = time.monotonic() + 60
    while time.monotonic() < deadline:
        for run in server.ask(RUNS)["runsOrError"]["results"]:
            if automatic.isdisjoint(tag["key"] for tag in run["tags"]):
                return str(run["runId"])
        time.sleep(0.5)
    raise TimeoutError("the button launched no run")


@contextmanager
def another_site(folder: Path, server: Server) -> Iterator[str]:
    """A page of another origin of this machine that tries everything which a browser lets it send."""
    launch, variables = {"query": LAUNCH}, launch_of(server)
    page = OTHER_PAGE.replace("URL", server.url).replace("?WIPE", "?" + urlencode({"query": WIPE}))
    page = page.replace("?LAUNCH", "?" + urlencode({**launch, "variables": json.dumps(variables)}))
    page = page.replace("LAUNCH_BODY", json.dumps(json.dumps({**launch, "variables": variables})))
    (folder / "site").mkdir()
    (folder / "site" / "index.html").write_text(page)
    handler = functools.partial(http.server.SimpleHTTPRequestHandler, directory=str(folder / "site"))
    with http.server.ThreadingHTTPServer(("127.0.0.1", 0), handler) as site:
        threading.Thread(target=site.serve_forever, daemon=True).start()
        yield f"http://127.0.0.1:{site.server_address[1]}/"
        site.shutdown()


def reports_are_refused(server: GuardedServer) -> None:
    """Experiments B5, B6 and B8 of the audit: reports over REST and GraphQL, with and without a content type."""
    as_json = {"Content_Type": "application/json"}
    check = {"check_name": "a_student_clears_the_bar", "passed": True, "metadata": {"looked_at": "1"}}
    other = {"metadata": {"digest": "0" * 64, "manifest": "0" * 64}}
    for headers in (as_json, {}):
        assert status_of(f"{server.url}/report_asset_check/small/selection", check, **headers) == 403
        assert status_of(f"{server.url}/report_asset_materialization/small/selection", other, **headers) == 403
        assert status_of(f"{server.url}/report_asset_observation/small/selection", {}, **headers) == 403
    event = {"eventType": "ASSET_MATERIALIZATION", "assetKey": {"path": ["small", "selection"]}, "partitionKeys": []}
    report = {"query": REPORT, "variables": {"params": event}}
    assert status_of(f"{server.url}/graphql", report, **as_json) == 403


def forged_requests_are_refused(server: GuardedServer) -> None:
    """Experiment B7: what a page of another site, or of a name that was pointed here, can make a browser send."""
    body = {"query": LAUNCH, "variables": launch_of(server)}
    by_get = urlencode({"query": LAUNCH, "variables": json.dumps(launch_of(server))})
    assert status_of(f"{server.url}/graphql?{by_get}") == 403
    assert status_of(f"{server.url}/graphql?{by_get}", {}, Content_Type="text/plain") == 415
    assert status_of(f"{server.url}/graphql", body, Content_Type="text/plain; application/json") == 415
    as_json = {"Content_Type": "application/json"}
    assert status_of(f"{server.url}/graphql", body, Origin="http://evil.example", **as_json) == 403
    assert status_of(f"{server.url}/graphql", body, Host="evil.example", **as_json) == 403
    assert status_of(f"{server.url}/graphql", {"query": "{ version }"}, Host="evil.example", **as_json) == 403


def a_report_is_shown_and_no_other_file_is(server: GuardedServer, home: Home) -> None:
    home.reports.mkdir(parents=True, exist_ok=True)
    (home.reports / "small.html").write_text("<p>why it was released</p>")
    with urllib.request.urlopen(f"{server.url}/stillhouse/reports/small.html", timeout=60) as answer:
        assert b"why it was released" in answer.read() and answer.headers["Content-Type"].startswith("text/html")
    assert status_of(f"{server.url}/stillhouse/reports/other.html") == 404
    assert (home.root / "ledger.db").is_file() and status_of(f"{server.url}/stillhouse/reports/..%2fledger.db") == 404


@pytest.mark.experiment("B5", "B6", "B8")
def test_attacks_over_http_are_refused_and_a_run_can_be_launched(tmp_path: Path, home: Home, file: RecipeFile) -> None:
    with stillhouse_ui(tmp_path, file, home, DAGSTER_HOME="/somewhere/else") as server:
        assert f"DAGSTER_HOME was /somewhere/else; here it is {home.dagster}" in server.log.read_text()
        assert status_of(server.url, Origin=server.url) == 200
        assert server.ask("{ version }")["version"]
        a_report_is_shown_and_no_other_file_is(server, home)
        reports_are_refused(server)
        forged_requests_are_refused(server)
        nothing_was_forged(server)

        run = server.materialize("small", "contract")
        assert server.finished(run) == "SUCCESS", server.failures(run)

        # Killed in the middle of a run: webserver, daemon, code server and the run's own process are gone.
        server.materialize("small", "source", "prompts", "teacher", batch="base")
        assert len(server.processes()) >= 5
        assert server.end(signal.SIGKILL) == -signal.SIGKILL


CALL = """
curl -s http://127.0.0.1:3000/report_asset_materialization/small/calls -H 'content-type: application/json' \\
  -H "Authorization: Bearer $STILLHOUSE_UI_TOKEN" -d '{"description": "the price list has changed", "metadata": {"by": "erp"}}'
"""  # noqa: E501
"""As docs/events.md has it."""
AS_JAVA = " -H 'connection: Upgrade, HTTP2-Settings' -H 'upgrade: h2c' -H 'http2-settings: AAMAAABkAAQ'"
"""Its HTTP client would rather go on in HTTP/2; what it sends counts all the same."""


@pytest.mark.skipif(shutil.which("curl") is None, reason="needs curl")
def test_a_call_by_curl_is_one_event_of_the_recipe_though_it_is_sent_twice(tmp_path: Path, home: Home) -> None:
    refresh = {"cron": "0 3 1 1 *", "watch_seconds": 5, "start": ["webhook"]}
    file = small_recipe(tmp_path, rows=300, slices=[], refresh=refresh)
    assert CALL.strip().replace("/small/", "/question_routing/") in (CHECKOUT / "docs/events.md").read_text()
    with stillhouse_ui(tmp_path, file, home, STILLHOUSE_UI_TOKEN=TOKEN) as server:
        calls = (TOKEN, "", "{}"), (TOKEN, AS_JAVA, "{}"), ("another", "", "refused: open the address")
        for token, more, answer in calls:
            called = subprocess.run(
                ["bash", "-c", CALL.strip().replace("http://127.0.0.1:3000", server.url) + more],
                env={**os.environ, "STILLHOUSE_UI_TOKEN": token}, capture_output=True, text=True, check=True,
            )  # fmt: skip
            assert called.stdout.startswith(answer), called
        deadline = time.monotonic() + 90
        while not (events := pending(Ledger(home.ledger_url), "small")) and time.monotonic() < deadline:
            time.sleep(0.5)  # the sensor looks every five seconds
        assert [(event.kind, event.sentence) for event in events] == [(EventKind.WEBHOOK, "the price list has changed")]


@pytest.mark.skipif(browser.DRIVER is None, reason="needs Debian's chromium and chromium-driver")
@pytest.mark.experiment("B7")
def test_a_page_of_another_site_changes_nothing_and_the_ui_itself_works(
    tmp_path: Path, home: Home, file: RecipeFile
) -> None:
    with stillhouse_ui(tmp_path, file, home) as server, browser.chromium() as person:
        person.open(f"{server.url}/assets/small/contract")
        person.press("Materialize")
        run = launched_by_hand(server)
        assert server.finished(run) == "SUCCESS", server.failures(run)
        person.open(f"{server.url}/runs/{run}")
        person.see("Success")

        with another_site(tmp_path, server) as address:
            person.open(address)
            person.see("refused refused finished")
        nothing_was_forged(server)

        assert server.checks("small", "contract")["a_pain_is_declared"][0] == "SUCCEEDED"  # not wiped
        # By a link from elsewhere a person still gets to a page.
        person.open(f"{server.url}/assets/small/contract")
        person.see("Materialize")


def environment_of(process: int) -> bytes:
    """What a process was started with; nothing of one that has ended since it was found."""
    try:
        return Path(f"/proc/{process}/environ").read_bytes()
    except (FileNotFoundError, ProcessLookupError):
        return b""


@pytest.mark.experiment("F1")
def test_read_only_with_a_token_shows_everything_and_changes_nothing(
    tmp_path: Path, home: Home, file: RecipeFile
) -> None:
    with stillhouse_ui(tmp_path, file, home, "--read-only", STILLHOUSE_UI_TOKEN=TOKEN) as server:
        as_json, bearer = {"Content_Type": "application/json"}, {"Authorization": f"Bearer {TOKEN}"}
        question, launch = {"query": "{ version }"}, {"query": LAUNCH, "variables": launch_of(server)}
        assert status_of(f"{server.url}/") == status_of(f"{server.url}/stillhouse/reports/small.html") == 401
        assert status_of(f"{server.url}/graphql", question, **as_json) == 401
        assert status_of(f"{server.url}/graphql", question, **as_json, **bearer) == 200
        assert status_of(f"{server.url}/graphql", launch, **as_json, **bearer) == 403
        if browser.DRIVER is not None:
            with browser.chromium() as person:
                person.open(f"{server.url}/assets/small/contract?token={TOKEN}")
                person.see("Materialize")
                assert person.address == f"{server.url}/assets/small/contract"
        assert TOKEN not in server.log.read_text()
        environments = [environment_of(each) for each in server.processes()]
        assert sum(TOKEN.encode() in each for each in environments) <= 1  # that of `stillhouse ui` itself, as started
        assert server.end(signal.SIGTERM) == 0
    if browser.DRIVER is None:
        pytest.skip("all of it held but what a person sees: needs Debian's chromium and chromium-driver")
