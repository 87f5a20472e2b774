"""What a server says about live texts is in no file once its answer is read, and what it costs is booked all the same.

The server is a real one, which quotes each text in its reply. A whole watch and shadow with one are in
tests/orchestration/test_live_paid.py.
"""

import json
import multiprocessing
import os
import sqlite3
import traceback
from contextlib import closing
from pathlib import Path
from typing import Any

import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.live.asking import LiveAnswers
from stillhouse.live.segments import Erasure, TrafficStore, day_at
from stillhouse.live.traffic import erase
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.builds import BuildStore
from stillhouse.stages.asking import call_log, teacher_of
from stillhouse.stages.live_teacher import ask_live
from stillhouse.stages.names import MEMBERS
from stillhouse.teachers.asked import Asking
from stillhouse.teachers.calls import CapReachedError
from tests.checks.hand_made import artifact, said_facts, teacher_facts
from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.small import small_recipe
from tests.stillhouse.live.made import put, rows

pytestmark = pytest.mark.long

RARE = "xylophonist"
"""Stands in each live text, and so in each reply, and nowhere else below a home."""
ASKING = Asking("large", "Queue of: {text}", {"max_tokens": 60}, None, {}, "June", {}, 1, ("A", "B"), "why")


def answer(asked: str) -> str:
    text = asked.partition("Queue of: ")[2]
    return json.dumps({"why": f"It says: {text}", "label": "A" if "1" in text else "B"})


def texts(number: int) -> list[str]:
    return [f"{RARE} number {each}" for each in range(number)]


def endpoint(url: str, **limits: Any) -> dict[str, Any]:
    prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": 1.0, **limits}
    return {
        "kind": "endpoint", "source": url, "revision": "June", "licence": "its terms", "training_on_outputs": "allowed",
        "reason": "It answers today.", "minimum_accuracy": 0.5, "endpoint": prices,
        "ask": {"model": "large", "settings": {"max_tokens": 60}},
    }  # fmt: skip


def recipe(folder: Path, teacher: dict[str, Any]) -> RecipeFile:
    folder.mkdir(exist_ok=True)
    students = [{"name": "one", "layers": [0, 1], "training": {"epochs": 1, "loss": "kl", "max_tokens": 32}}]
    base = {"source": str(folder / "teacher"), "revision": "test", "licence": "Apache-2.0"}
    return small_recipe(
        folder, rows=100, slices=[], teacher=teacher, base=base, students=students, budget={"latency_ms_at_most": 1000},
        traffic={}, data__provenance={"teacher_may_see": ["internal"]},
    )  # fmt: skip


def made(folder: Path, *members: str) -> Any:
    """A teacher as its stage made it: one behind a server, or several."""
    said = pl.DataFrame({"prompt_id": ["v"], "answer": ["A"], "failure": pl.Series([None], dtype=pl.String)})
    alone = teacher_facts(kind=TeacherKind.ENDPOINT, said=said_facts(asking=ASKING))
    for place in [folder / MEMBERS / name for name in members] or [folder]:
        place.mkdir(parents=True, exist_ok=True)
        said.write_parquet(place / "answers.parquet")
    together = teacher_facts(kind=TeacherKind.ENSEMBLE, members=dict.fromkeys(members, alone))
    return artifact(together if members else alone, folder=folder)


def written_below(home: Home, *words: str) -> list[str]:
    """Files below a home that hold one of these words, however they are kept."""
    files = [path for path in home.root.rglob("*") if path.is_file()]
    return [str(path) for path in files if any(word.encode() in path.read_bytes() for word in words)]


def requests_in(home: Home) -> list[tuple[str, str | None]]:
    with closing(sqlite3.connect(home.signal / "calls.db")) as database:
        return database.execute("SELECT DISTINCT request, reply FROM calls").fetchall()


def test_no_reply_about_a_live_text_is_written_down_and_each_is_paid_and_asked_once(
    tmp_path: Path, builds: BuildStore
) -> None:
    with serving(Server(answer)) as server:
        file = recipe(tmp_path / "r", endpoint(server.url))
        said = ask_live(builds, file, made(tmp_path), texts(20), at=0.0)
        assert said["answer"].to_list() == ["A" if "1" in text else "B" for text in texts(20)]
        assert ask_live(builds, file, made(tmp_path), texts(20), at=0.0).equals(said) and server.calls == 20
        assert call_log(builds.home).spent("small") == pytest.approx(server.usd) and server.usd > 0
    assert requests_in(builds.home) == [("", None)], "neither what was said nor about what"
    assert written_below(builds.home, RARE) == []


def test_members_that_answer_together_keep_nothing_of_it_either(tmp_path: Path, builds: BuildStore) -> None:
    with serving(Server(answer)) as first, serving(Server(answer)) as second:
        members = {name: endpoint(server.url) for name, server in (("one", first), ("two", second))}
        file = recipe(
            tmp_path / "r",
            {
                "kind": "ensemble", "ensemble": {"members": members, "combine": "votes"},
                "reason": "Two see more than one.", "minimum_accuracy": 0.5,
            },
        )  # fmt: skip
        said = ask_live(builds, file, made(tmp_path, *members), texts(10), at=0.0)
        assert said["answer"].to_list() == ["A" if "1" in text else "B" for text in texts(10)]
        assert (first.calls, second.calls) == (10, 10)
        assert call_log(builds.home).spent("small") == pytest.approx(first.usd + second.usd)
    assert requests_in(builds.home) == [("", None)]
    assert written_below(builds.home, RARE) == []


def test_a_text_that_is_erased_leaves_no_trace_of_what_was_asked_about_it(tmp_path: Path, builds: BuildStore) -> None:
    store, frame = TrafficStore(builds.home.artifacts, "small"), rows(20)
    put(store, frame, texts=texts(20))
    ids = prompt_ids(pl.Series(texts(20))).to_list()
    with serving(Server(answer)) as server:
        file, answers = recipe(tmp_path / "r", endpoint(server.url)), LiveAnswers.of(builds.home)
        ask_live(builds, file, made(tmp_path), texts(20), at=0.0)
    assert written_below(builds.home, ids[3]) == [str(answers.path)], "a teacher has answered"
    erase(store, Erasure(id=frame["id"][3], key=None, at=0.0), answers.forget_texts)
    assert texts(20)[3] not in store.frame(day_at(frame["at"][0]), "texts")["text"]
    assert written_below(builds.home, ids[3]) == []
    answers.forget(1.0)
    assert written_below(builds.home, *ids) == []
    assert call_log(builds.home).spent("small") == pytest.approx(server.usd), "money stays booked"


def test_replies_about_rows_are_still_found_and_not_paid_again(tmp_path: Path, builds: BuildStore) -> None:
    with serving(Server(answer)) as server:
        file, column = recipe(tmp_path / "r", endpoint(server.url)), pl.Series("text", texts(5))
        teacher_of(made(tmp_path), file.recipe.teacher, builds).ask(pl.DataFrame([prompt_ids(column), column]))
        ask_live(builds, file, made(tmp_path), texts(7), at=0.0)
        assert server.calls == 7 and call_log(builds.home).spent("small") == pytest.approx(server.usd)


def dies_before_it_writes(url: str, folder: Path) -> None:
    """Ask eight texts, and end as after `kill -9` once they are answered."""

    def dies(*_: object, **__: object) -> None:
        os._exit(9)

    LiveAnswers.keep = dies  # type: ignore[method-assign]
    ask_live(BuildStore(Home.from_environment()), recipe(folder / "r", endpoint(url)), made(folder), texts(20), at=0.0)


def test_killed_between_reply_and_answer_every_cent_is_booked_and_nothing_is_left(
    tmp_path: Path, builds: BuildStore
) -> None:
    with serving(Server(answer)) as server:
        dying = multiprocessing.get_context("spawn").Process(target=dies_before_it_writes, args=(server.url, tmp_path))
        dying.start()
        dying.join()
        assert dying.exitcode == 9 and server.calls == 8, "as many as are answered at the same time"
        assert call_log(builds.home).spent("small") == pytest.approx(server.usd)
        assert requests_in(builds.home) == [("", None)] and written_below(builds.home, RARE) == []
        said = ask_live(builds, recipe(tmp_path / "r", endpoint(server.url)), made(tmp_path), texts(20), at=0.0)
        assert said["answer"].null_count() == 0 and server.calls == 28
        assert call_log(builds.home).spent("small") == pytest.approx(server.usd)


def test_the_cap_holds_for_live_texts_and_what_was_answered_below_it_is_not_asked_again(
    tmp_path: Path, builds: BuildStore
) -> None:
    with serving(Server(answer)) as server:
        with pytest.raises(CapReachedError):
            poor = recipe(tmp_path / "r", endpoint(server.url, usd_at_most=0.002, concurrency=2))
            ask_live(builds, poor, made(tmp_path), texts(60), at=0.0)
        asked, spent = server.calls, call_log(builds.home).spent("small")
        assert 0 < asked < 60 and spent == pytest.approx(server.usd) and spent <= 0.002
        ask_live(builds, recipe(tmp_path / "r", endpoint(server.url)), made(tmp_path), texts(60), at=0.0)
        assert server.calls - 60 < 2, "at most what was answered at the same time as the call that was too much"


@pytest.mark.parametrize("fault", ["quotes", "422", "page"])
def test_no_error_repeats_what_a_server_says_of_a_live_text(tmp_path: Path, builds: BuildStore, fault: str) -> None:
    with serving(Server(answer, dict.fromkeys(range(10), fault))) as server:
        file = recipe(tmp_path / "r", endpoint(server.url, attempts=1))
        if fault == "422":
            assert ask_live(builds, file, made(tmp_path), texts(3), at=0.0)["answer"].null_count() == 3
        else:
            with pytest.raises(StillhouseError, match="what it says is not repeated") as error:
                ask_live(builds, file, made(tmp_path), texts(3), at=0.0)
            said = "".join(traceback.format_exception(error.value))
            assert RARE not in said and "sign in" not in said
    assert written_below(builds.home, RARE) == []
