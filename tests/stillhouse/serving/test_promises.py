"""What was kept of a recipe is removed when it is as old as was promised, also where no recipe says so any more."""

import shutil
import threading
import time
from datetime import UTC, date, datetime, timedelta
from pathlib import Path

import polars as pl
import pytest

from stillhouse.home import Home
from stillhouse.live.segments import Erasure, TrafficStore, recipes_kept
from stillhouse.recipe.reading import RecipeFile, Recipes, recipes_in
from stillhouse.recipe.traffic import TrafficSpec
from stillhouse.serving import process
from stillhouse.serving.spool_database import opened
from stillhouse.serving.traffic_logs import keep_promises, log_of
from stillhouse.stages.traffic import tidy
from tests.small import small_recipe
from tests.stillhouse.serving.killed import served

KEEPS = {"days": 30, "text_days": 3}
NOBODY = Recipes((), ())


def today() -> date:
    return datetime.now(UTC).date()


def answered(home: Home, file: RecipeFile, replica: str, *, killed: bool = False) -> None:
    """An answer of today, with its text; where the process was killed it is in the spool alone."""
    log = log_of(home, file, replica)
    log.put(served(f"{replica}-1", at=time.time(), text=f"asked {replica}"))
    while log.stored < 1:
        time.sleep(0.01)
    spool = home.serving / "traffic" / file.name / replica
    if killed:
        shutil.copytree(spool, spool.with_name("as it was"))
    log.close()
    if killed:
        shutil.rmtree(spool)
        shutil.rmtree(Path(home.artifacts) / "traffic" / file.name / log_day())
        spool.with_name("as it was").rename(spool)


def log_day() -> str:
    return today().isoformat()


def texts(store: TrafficStore) -> list[str]:
    return [text for day in store.days() for text in store.frame(day, "texts")["text"]]


@pytest.mark.parametrize("is_there", [True, False], ids=["without traffic", "gone"])
def test_a_recipe_that_keeps_nothing_any_more_keeps_what_it_promised(
    home: Home, tmp_path: Path, is_there: bool
) -> None:
    """Regression: its rows stayed for good, and what a kill had left stayed in the spool of the machine."""
    answered(home, small_recipe(tmp_path, rows=100, name="r", traffic=KEEPS), "killed", killed=True)
    store, spool = TrafficStore(home.artifacts, "r"), home.serving / "traffic" / "r" / "killed" / "spool.db"
    with opened(spool) as database:
        assert database.execute("SELECT text FROM texts").fetchall() == [("asked killed",)]
    assert texts(store) == []
    small_recipe(tmp_path, rows=100, name="r")
    recipes = recipes_in(tmp_path / "recipes") if is_there else NOBODY
    assert keep_promises(home, recipes, today()) == ["r"]
    assert texts(store) == ["asked killed"] and b"asked killed" not in spool.read_bytes()
    assert not list(spool.parent.glob("outgoing/*"))
    for days, kept, answers in ((3, ["asked killed"], 1), (4, [], 1), (30, [], 1), (31, [], 0)):
        keep_promises(home, recipes, today() + timedelta(days=days))
        frames = [store.frame(day, "requests").select("id") for day in store.days()]
        found = pl.concat([pl.DataFrame(schema={"id": pl.String}), *frames])
        assert (texts(store), found.height) == (kept, answers), days
    assert recipes_kept(home.artifacts) == ["r"], "what was promised stays"


def test_a_recipe_that_keeps_traffic_or_cannot_be_read_is_left_alone(home: Home, tmp_path: Path) -> None:
    for name in ("keeps", "broken"):
        answered(home, small_recipe(tmp_path, rows=100, name=name, traffic=KEEPS), "one")
    (tmp_path / "recipes" / "broken" / "defs.yaml").write_text("attributes: {")
    assert keep_promises(home, recipes_in(tmp_path / "recipes"), today() + timedelta(days=400)) == []
    assert all(texts(TrafficStore(home.artifacts, name)) == ["asked one"] for name in ("keeps", "broken"))


def test_a_server_that_began_when_the_recipe_kept_traffic_keeps_its_log(home: Home, tmp_path: Path) -> None:
    log = log_of(home, small_recipe(tmp_path, rows=100, name="r", traffic=KEEPS), "works")
    log.put(served("a", at=time.time(), text="asked later"))
    assert keep_promises(home, NOBODY, today()) == ["r"]
    log.put(served("b", at=time.time(), text="asked last"))
    log.close()
    assert sorted(texts(TrafficStore(home.artifacts, "r"))) == ["asked last", "asked later"]


def test_what_an_earlier_version_kept_promises_nothing_and_stays(home: Home, tmp_path: Path) -> None:
    answered(home, small_recipe(tmp_path, rows=100, name="r", traffic=KEEPS), "one")
    (Path(home.artifacts) / "traffic" / "r" / "promised.json").unlink()
    keep_promises(home, NOBODY, today() + timedelta(days=4_000))
    assert texts(TrafficStore(home.artifacts, "r")) == ["asked one"]


def test_what_was_said_last_is_promised(home: Home, tmp_path: Path) -> None:
    store = TrafficStore(home.artifacts, "r")
    assert store.promised() is None and recipes_kept(home.artifacts) == []
    for days in (3, 1):
        answered(home, small_recipe(tmp_path, rows=100, name="r", traffic={**KEEPS, "text_days": days}), "one")
        assert store.promised() == TrafficSpec(days=30, text_days=days)


def test_a_promise_that_cannot_be_read_is_written_again_by_whoever_keeps_rows(home: Home, tmp_path: Path) -> None:
    """Regression: one that was empty, or of another version, stopped expiry of a recipe that keeps traffic."""
    file = small_recipe(tmp_path, rows=100, name="r", traffic=KEEPS)
    answered(home, file, "one")
    store, promise = TrafficStore(home.artifacts, "r"), Path(home.artifacts) / "traffic" / "r" / "promised.json"
    for broken in (b"", b'{"days": 30, "of_a_later_version": 1}'):
        promise.write_bytes(broken)
        tidy(file, store, lambda _: None, today() + timedelta(days=4))
        assert store.promised() == TrafficSpec(**KEEPS)
    assert texts(store) == []


def test_what_cannot_be_looked_at_keeps_nothing_else_for_longer(
    home: Home, tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    """Regression: the first recipe whose promise or spool was broken was the last that anybody looked at."""
    names = ["a_promise", "b_spool", "c"]
    for name in names:
        answered(home, small_recipe(tmp_path, rows=100, name=name, traffic=KEEPS), "one")
    (Path(home.artifacts) / "traffic" / "a_promise" / "promised.json").write_bytes(b"{")
    (home.serving / "traffic" / "b_spool" / "one" / "spool.db").write_bytes(b"no database" * 1000)
    assert keep_promises(home, NOBODY, today() + timedelta(days=4)) == names
    assert [texts(TrafficStore(home.artifacts, name)) for name in names] == [["asked one"], [], []]
    logged = [record.getMessage() for record in caplog.records]
    assert len(logged) == 2 and "a_promise" in logged[0] and "b_spool" in logged[1]


def test_what_was_asked_to_be_erased_is_forgotten_with_the_last_row_from_before_it(home: Home, tmp_path: Path) -> None:
    """Regression: the keys of callers stayed for good where no recipe kept anything any more."""
    answered(home, small_recipe(tmp_path, rows=100, name="r", traffic=KEEPS), "one")
    store = TrafficStore(home.artifacts, "r")
    store.ask_to_erase(Erasure(key="of a caller", at=time.time()))
    for days, left in ((30, 1), (31, 0)):
        keep_promises(home, NOBODY, today() + timedelta(days=days))
        assert len(store.erasures()) == left, days


def test_a_server_of_any_recipe_looks_and_goes_on_where_it_cannot(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    answered(home, small_recipe(tmp_path, rows=100, name="r", traffic=KEEPS), "killed", killed=True)
    small_recipe(tmp_path, rows=100, name="r")
    monkeypatch.setenv("STILLHOUSE_RECIPES", str(tmp_path / "recipes"))
    ended = threading.Event()
    ended.set()
    with monkeypatch.context() as away:
        away.setattr(process, "keep_promises", lambda *_: 1 / 0)
        process._keep_promises(home, ended)
    assert "cannot be looked at (ZeroDivisionError)" in caplog.text
    assert texts(TrafficStore(home.artifacts, "r")) == []
    process._keep_promises(home, ended)
    assert texts(TrafficStore(home.artifacts, "r")) == ["asked killed"]
