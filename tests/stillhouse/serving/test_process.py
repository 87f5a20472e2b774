"""The real server in a process of its own: what it loads, swaps under load, a kill, and the line of the README."""

import re
import shlex
import subprocess
import threading
import time
from collections import Counter
from contextlib import AbstractContextManager, suppress
from datetime import datetime
from http.client import HTTPException
from pathlib import Path
from typing import Any

import pytest

from stillhouse.home import CHECKOUT, Home
from stillhouse.live.segments import TrafficStore
from stillhouse.live.traffic import arithmetic
from stillhouse.recipe.serving import ServingSpec
from stillhouse.records.deployments import Stage, entry_of
from stillhouse.records.replicas import replicas
from stillhouse.serving.desired import Follower, Slot
from stillhouse.serving.tokens import Tokens
from tests.small import small_recipe
from tests.stillhouse.serving.conftest import ODD, RECIPE, Installation
from tests.stillhouse.serving.server import Running, ask, serving
from tests.stillhouse.serving.test_routing import challenger_of, deployed

TEXT = "who is the king ?"
CONNECTIONS, REQUESTS, SWAPS = 4, 500, 6
KILLS, SECONDS_BETWEEN_KILLS = 20, 0.1
"""A server under load is killed once its callers have heard an answer, a tenth of a second later, and so on: before the
first transaction of its log, and after several."""
SECRET = "ann.lee@example.org"


@pytest.fixture(scope="module")
def recipes(tmp_path_factory: pytest.TempPathFactory) -> Path:
    folder = tmp_path_factory.mktemp("recipes")
    small_recipe(folder, name=RECIPE, rows=60)
    return folder / "recipes"


@pytest.mark.long
def test_it_answers_without_torch_and_dagster_and_says_no_text(
    installation: Installation, recipes: Path, tmp_path: Path
) -> None:
    installation.promote(0)
    errors = tmp_path / "errors"
    with serving(RECIPE, recipes, errors, PYTHONPROFILEIMPORTTIME="1") as running:
        said = running.ask(RECIPE, texts=[*ODD, f"write to {SECRET}"], key=SECRET)["answers"]
        connection = running.connect()
        connection.request("POST", f"/v1/{RECIPE}/predict?text={SECRET}", b"{" + SECRET.encode())
        assert connection.getresponse().status == 415
    assert running.process.returncode == 0, "it ends when it is asked to"
    expected = installation.expected(0, [*ODD, f"write to {SECRET}"])
    assert [(each["label"], each["confidence"]) for each in said] == expected
    text = errors.read_text()
    imported = {line.rpartition("|")[2].strip().partition(".")[0] for line in text.splitlines() if "|" in line}
    assert {"onnxruntime", "uvicorn", "stillhouse"} <= imported
    assert imported.isdisjoint({"torch", "dagster", "transformers", "great_expectations", "scipy", "sklearn", "pandas"})
    assert "ann.lee" not in text


@pytest.mark.long
def test_it_does_what_its_recipe_says_of_memory_and_of_truth(installation: Installation, tmp_path: Path) -> None:
    installation.promote(0)
    traffic = {"feedback": "sample", "feedback_share": 0.5}
    small_recipe(tmp_path, name=RECIPE, rows=60, traffic=traffic, watch={"memory_mb_at_most": 300})
    with serving(RECIPE, tmp_path / "recipes", tmp_path / "errors") as running:
        said = running.ask(RECIPE, texts=[f"who is king {number} ?" for number in range(40)])["answers"]
        assert {each["feedback_wanted"] for each in said} == {True, False}
        connection = running.connect()
        connection.request("GET", "/metrics")
        shown = connection.getresponse().read().decode()
        assert f'stillhouse_memory_bytes_at_most{{recipe="{RECIPE}"}} 3e+08' in shown
        (heartbeat,) = replicas(installation.builds.home.ledger_url, RECIPE)
        status = Path(f"/proc/{running.process.pid}/status").read_text()
        kilobytes = int(next(line for line in status.splitlines() if line.startswith("VmRSS")).split()[1])
        assert heartbeat.memory_mb == pytest.approx(kilobytes * 1024 / 1e6, rel=0.5)


@pytest.mark.long
def test_swaps_under_load_fail_no_request_and_each_answer_was_the_desired_one(
    installation: Installation, recipes: Path, tmp_path: Path
) -> None:
    digests = {model: installation.promote(model).digest for model in (0, 1, 2)}
    heard: list[tuple[float, float, int, dict[str, Any]]] = []
    done = threading.Event()

    def load(running: Any) -> None:
        connection = running.connect()
        while not done.is_set():
            sent = time.time()
            status, said = ask(connection, RECIPE, text=TEXT)
            heard.append((sent, time.time(), status, said))

    def is_answered_by(release: str) -> bool:
        return any(said.get("release") == release for *_, said in heard[-CONNECTIONS:])

    with serving(RECIPE, recipes, tmp_path / "errors") as running:
        threads = [threading.Thread(target=load, args=(running,)) for _ in range(CONNECTIONS)]
        for thread in threads:
            thread.start()
        for swap in range(SWAPS):
            release, deadline = installation.promote(swap % 3).digest, time.monotonic() + 60
            while not is_answered_by(release):
                assert time.monotonic() < deadline, f"swap {swap} was never served"
                time.sleep(0.05)
        done.set()
        for thread in threads:
            thread.join()
    assert len(heard) >= REQUESTS and {status for *_, status, _ in heard} == {200}
    entries = installation.builds.ledger.entries(RECIPE, "promotion")
    at = [datetime.fromisoformat(entry.at).timestamp() for entry in entries]
    release_of = {entry.sequence: entry.body["digest"] for entry in entries}
    until = dict(zip(release_of, [*at[1:], float("inf")], strict=True))
    since = dict(zip(release_of, at, strict=True))
    for sent, received, _, said in heard:
        number = said["deployment"]
        assert said["release"] == release_of[number] in digests.values()
        # A look every second; the rest is for a machine that is busy with other tests.
        assert since[number] <= received and sent <= until[number] + 30


@pytest.mark.long
def test_when_it_is_asked_to_end_the_last_rows_of_its_log_are_sealed_and_sent(
    installation: Installation, tmp_path: Path
) -> None:
    installation.promote(0)
    small_recipe(tmp_path, name=RECIPE, rows=60, traffic={"days": 30})
    with serving(RECIPE, tmp_path / "recipes", tmp_path / "errors") as running:
        for _ in range(3):
            running.ask(RECIPE, text=TEXT)
    assert running.process.returncode == 0, (tmp_path / "errors").read_text()[-2000:]
    store = TrafficStore(installation.builds.home.artifacts, RECIPE)
    (day,) = store.days()
    (tally,) = store.tallies(day)
    assert (tally.received, tally.stored, tally.waiting, tally.unsealed, tally.final) == (3, 3, 0, 0, True)
    assert store.frame(day, "requests").height == 3


@pytest.mark.long
def test_a_server_that_ends_while_it_asks_a_challenger_in_the_shadow_ends_well_and_loses_no_row(
    installation: Installation, tmp_path: Path
) -> None:
    champion, other = installation.promote(0), installation.release(1)
    challenger = challenger_of(other, share=0.0, stage=Stage.SHADOW)
    kind, body = entry_of(deployed(champion), "offer", seen=None, hold=None, challenger=challenger)
    installation.builds.ledger.append(kind, RECIPE, body)
    small_recipe(
        tmp_path, name=RECIPE, rows=60, traffic={"keep_texts": False, "feedback": "complete"},
        rollout={"shadow": {"mode": "live", "judge_by": "truth", "share": 1}},
    )  # fmt: skip
    texts = [f"write to {SECRET} {number}" for number in range(60)]
    with serving(RECIPE, tmp_path / "recipes", tmp_path / "errors") as running:
        said = running.ask(RECIPE, texts=texts)["answers"]
        assert {each["release"] for each in said} == {champion.digest}
        by = time.monotonic() + 60
        while f'stillhouse_shadow_texts_total{{outcome="answered",recipe="{RECIPE}"}} 60.0' not in metrics_of(running):
            assert time.monotonic() < by
            time.sleep(0.05)
        said += running.ask(RECIPE, texts=texts)["answers"]
    assert running.process.returncode == 0, (tmp_path / "errors").read_text()[-2000:]
    store = TrafficStore(installation.builds.home.artifacts, RECIPE)
    (day,) = store.days()
    assert [each.problems for each in arithmetic(store, day)] == [[]]
    shadowed = store.frame(day, "shadow")["id"].to_list()
    assert shadowed == [each["id"] for each in said][: len(shadowed)] and 60 <= len(shadowed) <= 120
    assert "ann.lee" not in (tmp_path / "errors").read_text() and store.frame(day, "texts").is_empty()


def metrics_of(running: Running) -> str:
    connection = running.connect()
    connection.request("GET", "/metrics")
    return connection.getresponse().read().decode()


@pytest.mark.long
def test_what_callers_say_of_a_slice_of_the_recipe_is_in_the_file_and_nothing_else_is(
    installation: Installation, tmp_path: Path
) -> None:
    installation.promote(0)
    by_post = {"name": "by_post", "column": "channel", "values": ["post"], "critical": False}
    small_recipe(
        tmp_path, name=RECIPE, rows=60, traffic={"days": 30}, slices=[by_post],
        serving={"request_columns": ["channel"]},
    )  # fmt: skip
    with serving(RECIPE, tmp_path / "recipes", tmp_path / "errors") as running:
        for columns in ({"channel": "post"}, {"channel": SECRET, "customer": SECRET}, {}):
            assert "label" in running.ask(RECIPE, text=TEXT, columns=columns)
    store = TrafficStore(installation.builds.home.artifacts, RECIPE)
    (day,) = store.days()
    assert store.frame(day, "requests")["columns"].to_list() == ['{"channel":"post"}', '{"channel":null}', "{}"]
    assert arithmetic(store, day)[0].problems == []
    for folder in (Path(installation.builds.home.artifacts), installation.builds.home.serving):
        assert all(SECRET.encode() not in path.read_bytes() for path in folder.rglob("*") if path.is_file())


@pytest.mark.long
def test_when_it_is_asked_to_end_at_its_very_start_it_sends_what_an_earlier_process_has_left(
    installation: Installation, tmp_path: Path
) -> None:
    installation.promote(0)
    small_recipe(tmp_path, name=RECIPE, rows=60, traffic={"days": 30})
    where = RECIPE, tmp_path / "recipes", tmp_path / "errors", "--replica", "one"
    with serving(*where) as running:
        running.ask(RECIPE, text=TEXT)
        running.kill()
    with serving(*where) as running:
        pass
    assert running.process.returncode == 0
    store = TrafficStore(installation.builds.home.artifacts, RECIPE)
    assert [each.problems for day in store.days() for each in arithmetic(store, day)] == [[]]


def test_what_follows_the_ledger_can_be_ended_before_it_has_looked(installation: Installation, home: Home) -> None:
    Follower(installation.builds, {RECIPE: Slot(RECIPE, ServingSpec())}, Tokens(home.serving), "one").stop()


@pytest.mark.long
def test_after_a_kill_it_serves_the_same_again(installation: Installation, recipes: Path, tmp_path: Path) -> None:
    made = installation.promote(1)
    with serving(RECIPE, recipes, tmp_path / "errors") as running:
        first = running.ask(RECIPE, text=TEXT)
        running.kill()
    # The database is in the way of nobody who starts without it: its file is no database any more.
    ledger = Path(installation.builds.home.ledger_url.removeprefix("sqlite:///"))
    ledger.rename(tmp_path / "elsewhere")
    ledger.mkdir()
    with serving(RECIPE, recipes, tmp_path / "errors") as running:
        again = running.ask(RECIPE, text=TEXT)
    same = ("release", "deployment", "label", "confidence")
    assert [again[name] for name in same] == [first[name] for name in same] and again["release"] == made.digest


@pytest.mark.slow
def test_killed_again_and_again_under_load_each_row_of_its_log_is_there_or_counted(
    installation: Installation, tmp_path: Path
) -> None:
    installation.promote(0)
    small_recipe(tmp_path, name=RECIPE, rows=60, traffic={"days": 30})
    sent, heard, told = Counter[int](), [set[str]() for _ in range(CONNECTIONS)], Counter[int]()

    def load(running: Running, caller: int) -> None:
        connection = running.connect()
        with suppress(OSError, HTTPException, ValueError):  # the server was killed, and this caller with it
            while True:
                sent[caller] += 1
                id = ask(connection, RECIPE, text=TEXT)[1]["id"]
                heard[caller].add(id)
                if len(heard[caller]) % 5 == 0:
                    sent[caller] += 1
                    told[caller] += running.tell(RECIPE, id=id, truth="place") == 202

    def a_server() -> AbstractContextManager[Running]:
        return serving(RECIPE, tmp_path / "recipes", tmp_path / "errors", "--replica", "one")

    for number in range(KILLS):
        before, by = sum(map(len, heard)), time.monotonic() + 60
        with a_server() as running:
            callers = [threading.Thread(target=load, args=(running, each)) for each in range(CONNECTIONS)]
            for caller in callers:
                caller.start()
            while sum(map(len, heard)) == before:
                assert running.process.poll() is None and time.monotonic() < by
                time.sleep(0.001)
            time.sleep(number * SECONDS_BETWEEN_KILLS)
            assert running.process.poll() is None
            running.kill()
            for caller in callers:
                caller.join()
    with a_server() as running:
        pass  # it counts what the last one lost, and ends as it should
    assert running.process.returncode == 0, (tmp_path / "errors").read_text()[-2000:]
    store = TrafficStore(installation.builds.home.artifacts, RECIPE)
    assert [problem for day in store.days() for each in arithmetic(store, day) for problem in each.problems] == []
    tallies = [tally for day in store.days() for tally in store.tallies(day)]
    total = Counter[str]()
    for tally in tallies:
        assert tally.received == tally.stored + tally.dropped + tally.lost + tally.waiting
        total.update({name: getattr(tally, name) for name in ("received", "stored", "dropped", "lost", "waiting")})
    # A caller may have its answer before the row of it is put, or wait for one whose row was put already.
    under_way = KILLS * CONNECTIONS
    known = {id for each in heard for id in each}
    assert len(known) + told.total() - under_way <= total["received"] <= sent.total()
    assert total["stored"] > 0 and total["waiting"] == 0
    stored = [id for day in store.days() for id in store.frame(day, "requests")["id"]]
    assert len(stored) == len({*stored})
    assert len(known - {*stored}) <= total["lost"] + total["dropped"] + under_way


@pytest.mark.long
def test_the_line_of_the_readme_works(installation: Installation, recipes: Path, tmp_path: Path) -> None:
    installation.promote(0)
    (line,) = re.findall(r"^curl .*$", (CHECKOUT / "README.md").read_text("utf-8"), re.MULTILINE)
    with serving(RECIPE, recipes, tmp_path / "errors") as running:
        asked = line.replace("127.0.0.1:8080", f"127.0.0.1:{running.port}").replace("question_routing", RECIPE)
        assert asked != line
        said = subprocess.run(shlex.split(asked), capture_output=True, text=True, check=True).stdout
    assert '"label":"' in said and '"confidence":' in said


@pytest.mark.long
def test_it_refuses_to_be_reached_by_other_machines_without_a_token(
    installation: Installation, recipes: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    from tests.command import stillhouse

    ended = stillhouse("serve", RECIPE, "--host", "0.0.0.0", recipes=recipes)
    assert ended.returncode == 2 and "no token that they would need" in ended.stderr
    made = stillhouse("tokens", "new", "shop", "--scope", "predict", "--scope", "metrics")
    assert made.returncode == 0 and made.stdout.startswith("stillhouse_")
    shown = stillhouse("tokens", "list").stdout
    assert shown.startswith("shop  metrics, predict  since ") and made.stdout.strip() not in shown
    assert stillhouse("tokens", "revoke", "shop").returncode == 0 and stillhouse("tokens", "list").stdout == ""
