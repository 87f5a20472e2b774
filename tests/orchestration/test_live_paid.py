"""A teacher that is paid for each answer, while its student serves: the watch, the money, and what stays of it.

The server is a real one that counts its calls and its bill, and quotes each text in its reply. The tests are steps on
the way of one recipe and run in order.
"""

import json
import time
from collections.abc import Iterator
from typing import Any

import polars as pl
import pytest

from orchestration.dispatcher import held
from orchestration.run import distil
from orchestration.terminal import Terminal
from orchestration.watch import ask, look
from stillhouse.data.cleaning import prompt_ids
from stillhouse.live.planning import LivePlan
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.rounds import MONTH, compute_usd
from stillhouse.stages.asking import call_log
from stillhouse.teachers.calls import CapReachedError
from tests.conftest import Place
from tests.faults.live_report import answers, keep
from tests.orchestration.elsewhere import small_recipe_elsewhere
from tests.orchestration.paid_teacher import answer, live_answers, why
from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.steps import command, within_a_day

pytestmark = pytest.mark.slow

SEEN: dict[str, Any] = {}


class Paid:
    """An installation, the server that it pays, and the moment from which on callers are answered."""

    def __init__(self, place: Place, server: Server) -> None:
        self.place, self.server, self.began = place, server, time.time()

    def recipe(self, epochs: int = 5, *, usd_at_most: float = 3.0, **changed: Any) -> RecipeFile:
        prices = {"usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": usd_at_most}
        asking = {
            "kind": "endpoint", "source": self.server.url, "answers": {"rationale": "why"}, "endpoint": prices,
            "ask": {"model": "large", "structured": True, "settings": {"max_tokens": 40}},
        }  # fmt: skip
        training = {"epochs": epochs, "learning_rate": 1e-3, "max_tokens": 32, "loss": "kl"}
        return small_recipe_elsewhere(
            self.place.folder,
            changed={
                "slices": [], "students": [{"name": "one", "layers": [0, 1], "training": training}],
                "bar": {"margin": 0.16}, "traffic": {"days": 30, "text_days": 7},
                "watch": {"ask_teacher": 0.1, "ask_when_drifting": 1.0, "latency_ms": 1_000.0},
                **changed,
            },
            **asking,
        )  # fmt: skip

    @property
    def spent(self) -> float:
        """What the log of calls says; what the server has billed, to the cent."""
        usd = call_log(self.place.home).spent("small")
        assert usd == pytest.approx(self.server.usd)
        return usd

    def holding(self, *words: str) -> list[str]:
        """Files below the home that hold one of these."""
        files = [path for path in self.place.home.root.rglob("*") if path.is_file()]
        found = ((path, path.read_bytes()) for path in files)
        return [str(path) for path, content in found if any(word.encode() in content for word in words)]


@pytest.fixture(scope="module")
def paid(tmp_path_factory: pytest.TempPathFactory, shared: Any) -> Iterator[Paid]:
    with (
        within_a_day(tmp_path_factory.mktemp("paid"), seeded=shared, baselines=False) as place,
        serving(Server(answer)) as server,
    ):
        found = Paid(place, server)
        outcome = distil(found.recipe(), place.home, Terminal(quiet=True))
        assert outcome.succeeded, (outcome.closed, outcome.errors)
        yield found


def batch(paid: Paid, begin: int, end: int, *, after: float) -> pl.DataFrame:
    """Some of the champion's answers to real questions, some seconds later; a server numbers its rows as they come."""
    number = pl.col("number") + int(after) * 1_000
    return answers(paid.place.builds)[begin:end].with_columns(number, at=pl.lit(paid.began + after))


def test_what_the_watch_will_cost_is_said_before_it_asks(paid: Paid) -> None:
    limit = paid.spent + compute_usd(paid.place.builds.ledger, "small", paid.place.builds.ledger.now() - MONTH) + 1e-6
    SEEN["refresh"] = {"cron": "0 3 * * 1", "usd_per_month": limit}
    file = paid.recipe(refresh=SEEN["refresh"])
    assert held(paid.place.builds, file) is None
    shown = LivePlan.model_validate_json(command("plan", "small", "--live", "--json").output)
    cost, canary = shown.cost, file.recipe.limits.canary_flips_prompts
    assert cost is not None and cost.canary_a_day == canary and cost.rounds_usd_a_month == limit
    an_answer = paid.server.usd / paid.server.calls
    assert an_answer < cost.usd_an_answer < 1.2 * an_answer, "a bound of the pilot's mean"
    assert cost.usd_usually == pytest.approx(30 * (100 + canary) * cost.usd_an_answer)
    assert cost.usd_when_drifting == pytest.approx(30 * (1_000 + canary) * cost.usd_an_answer)
    said = command("plan", "small", "--live").output
    assert "answers are expected to cost up to" in said and "are left of usd_at_most" in said
    assert "they count in refresh.usd_per_month" in said


def test_a_share_of_stable_answers_is_asked_about_and_each_is_paid_once(paid: Paid) -> None:
    file, before, spent = paid.recipe(refresh=SEEN["refresh"]), paid.server.calls, paid.spent
    look(paid.place.builds, file, at=paid.began - 60)
    keep(paid.place.builds, batch(paid, 0, 150, after=0))
    looked = ask(paid.place.builds, file, at=paid.began + 10)
    assert list(looked.findings) == []
    SEEN["usually"] = live_answers(paid.place.home)
    assert 2 <= SEEN["usually"] <= 40, "a tenth of 150"
    assert paid.server.calls - before == SEEN["usually"], "the round has asked the canary prompts of this day"
    assert paid.spent > spent
    said = held(paid.place.builds, file)
    assert said is not None and "refresh.usd_per_month" in said, "what the watch asks may let a round wait"
    asked_already = paid.server.calls
    ask(paid.place.builds, file, at=paid.began + 20)
    assert paid.server.calls == asked_already


def test_drift_has_the_teacher_asked_more_and_every_dollar_is_booked_and_seen(paid: Paid) -> None:
    file, (label,) = paid.recipe(), batch(paid, 0, 150, after=0)["label"].mode().sort()[:1].to_list()
    alike = batch(paid, 0, 150, after=30).filter(pl.col("label") == label)
    many = pl.concat([alike] * (400 // alike.height + 1)).with_row_index("place")
    drift = many.with_columns(
        number=30_000 + pl.col("place").cast(pl.Int64), id=pl.format("drift{}", "place")
    ).drop("place")  # fmt: skip
    keep(paid.place.builds, drift)
    looked = ask(paid.place.builds, file, at=paid.began + 40)
    assert looked.state is not None and looked.state.drifting
    before, calls, spent = live_answers(paid.place.home), paid.server.calls, paid.spent
    keep(paid.place.builds, batch(paid, 150, 350, after=50))
    ask(paid.place.builds, file, at=paid.began + 60)
    more = live_answers(paid.place.home) - before
    assert more >= 190, "all of them, but those that were asked in the same words before"
    assert paid.server.calls - calls == more and paid.spent > spent
    account = json.loads(command("roi", "small", "--json").output)
    assert account["spent_usd"]["teacher's answers"] == pytest.approx(paid.server.usd)


def test_the_watch_asks_nobody_beyond_the_cap_and_goes_on_when_it_is_raised(paid: Paid) -> None:
    calls, before = paid.server.calls, live_answers(paid.place.home)
    keep(paid.place.builds, batch(paid, 350, 400, after=70))
    with pytest.raises(CapReachedError, match="one call more can cost"):
        ask(paid.place.builds, paid.recipe(usd_at_most=paid.spent + 1e-6), at=paid.began + 80)
    assert (paid.server.calls, live_answers(paid.place.home)) == (calls, before)
    ask(paid.place.builds, paid.recipe(), at=paid.began + 90)
    assert paid.server.calls - calls == live_answers(paid.place.home) - before >= 45


def test_nothing_of_what_was_said_about_live_texts_is_left_but_answers_and_these_go_with_the_text(paid: Paid) -> None:
    live = answers(paid.place.builds)
    replies = [json.dumps(why(text))[1:-1] for text in live["text"]]
    assert paid.holding(*replies) == []
    row = live[200]
    (digest,) = prompt_ids(row["text"])
    assert paid.holding(digest) == [str(paid.place.home.signal / "live.db")]
    spent = paid.spent
    ended = command("erase", "small", "--id", row["id"][0])
    assert ended.exit_code == 0 and "1 text erased" in ended.output
    assert paid.holding(digest) == [] and paid.spent == spent
