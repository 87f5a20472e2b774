"""A paid teacher is asked perturbed golden texts as rows are: once, inside its cap, and again where it said nothing."""

from pathlib import Path
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.data.cleaning import prompt_ids
from stillhouse.errors import StillhouseError
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.evaluation.measures.stress import StressResult
from stillhouse.recipe.bar import StressSpec
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore
from stillhouse.stages.asking import call_log
from stillhouse.stages.stressed import harder, require_that_they_fit, said_under_stress
from stillhouse.teachers.calls import CapReachedError
from stillhouse.teachers.signal import SignalStore
from tests.conftest import Place, a_place, failures
from tests.orchestration.elsewhere import mostly_right_about, question_in, right_about, small_recipe_elsewhere
from tests.protocol import USD_IN, USD_OUT, Server, serving
from tests.small import small_recipe
from tests.stillhouse.teachers.asked import TASK, answer, teacher, texts

pytestmark = pytest.mark.long

STRESS = StressSpec(perturbations=("case",), templates=("so: {text}", "and {text} ?"), rows_at_most=4, ask_teacher=True)


def golden() -> pl.DataFrame:
    rows = texts(6)
    return rows.with_columns(pl.Series("label", [answer(text) for text in rows["text"]]))


def of(spec: StressSpec | None, folder: Path) -> Any:
    return small_recipe(folder, rows=60).recipe.model_copy(update={"stress": spec})


def test_which_texts_are_asked_follows_from_the_recipe_and_none_has_the_id_of_a_row(tmp_path: Path) -> None:
    rows = golden()
    asked = harder(of(STRESS, tmp_path), rows)
    assert asked.height == 12 and asked["prompt_id"].n_unique() == asked["text"].n_unique() == 12
    assert not {*asked["prompt_id"]} & {*rows["prompt_id"], *prompt_ids(asked["text"])}, "case is no other prompt"
    assert harder(of(STRESS.model_copy(update={"ask_teacher": False}), tmp_path), rows).is_empty()
    assert harder(of(None, tmp_path), rows).is_empty()
    cut = harder(of(StressSpec(perturbations=("truncation",), ask_teacher=True), tmp_path), rows)
    assert sorted(cut["text"]) == ["invoice number", "password number"], "texts that come out alike are one"


def test_each_is_paid_once_and_one_that_is_turned_away_is_missing_until_it_is_asked_again(
    tmp_path: Path, builds: BuildStore
) -> None:
    rows, store = golden(), SignalStore(tmp_path / "signal", builds.ledger, shard_rows=2)
    further = harder(of(STRESS, tmp_path), rows)
    with serving(Server(lambda text: answer(text.lower()), {3: "422", 5: "refusal"})) as server:
        asked = teacher(server, tmp_path, concurrency=1)
        store.capture(further, asked)
        assert server.calls == 12
        said = said_under_stress(STRESS, rows, store, asked.fingerprint, TASK)
        together = np.concatenate([*said.values()])
        assert np.isnan(together).any(axis=1).sum() == 1, "nothing is known of the one that was turned away"
        targets = np.tile(TASK.targets(rows.sort("prompt_id")["label"][:4]), 3)
        heard = ~np.isnan(together).any(axis=1)
        right = TASK.right(together[heard], targets[heard])
        assert (~right).sum() == 1, "to refuse a text is no right answer to it"

        assert store.capture(further, asked).computed == 1 and server.calls == 13
        again = said_under_stress(STRESS, rows, store, asked.fingerprint, TASK)
        assert not np.isnan(np.concatenate([*again.values()])).any()
        assert store.capture(further, asked).computed == 0 and server.calls == 13
        assert asked.calls.spent("tickets") == pytest.approx(server.usd)


def test_near_the_cap_what_was_answered_is_kept_and_a_higher_cap_goes_on(tmp_path: Path, builds: BuildStore) -> None:
    rows, store = golden(), SignalStore(tmp_path / "signal", builds.ledger)
    further = harder(of(STRESS, tmp_path), rows)
    with serving(Server(lambda text: answer(text.lower()))) as server:
        rich = teacher(server, tmp_path)
        cap = max(map(rich.endpoint.most, rich.requests(further).values())) + 4 * 22 / 1e6  # six words, one answer
        with pytest.raises(CapReachedError):
            store.capture(further, teacher(server, tmp_path, concurrency=1, usd_at_most=cap))
        assert 0 < server.calls < 12 and server.usd <= cap
        store.capture(further, rich)
        assert server.calls == 12, "those that were answered are not paid again"


def stress_of(place: Place) -> StressResult:
    """What one perturbation did, which is the same of the teacher beside each option."""
    found = {
        each.stress[0].model_dump_json(include={"teacher", "teacher_unheard"}): each.stress[0]
        for each in read_evaluations(place.newest("baselines").folder)
    }
    (one,) = found.values()
    return one


def test_a_round_asks_a_server_under_stress_and_a_second_round_pays_nothing(tmp_path: Path, shared: Path) -> None:
    clean_of: dict[str, str] = {}
    stress = {"perturbations": ["case"], "rows_at_most": 30, "ask_teacher": True}

    def reply(asked: str) -> str:
        question = question_in(asked)
        return mostly_right_about(question) if question not in clean_of else right_about(clean_of[question])

    with a_place(tmp_path, seeded=shared, baselines=False) as place, serving(Server(reply)) as server:

        def recipe(usd_at_most: float) -> RecipeFile:
            return small_recipe_elsewhere(
                place.folder, changed={"stress": stress}, kind="endpoint", source=server.url, answers={},
                endpoint={
                    "usd_per_million_in": USD_IN, "usd_per_million_out": USD_OUT, "usd_at_most": usd_at_most,
                    "concurrency": 1,
                },
                ask={"model": "large", "prompt": str(place.folder / "prompt.md"), "settings": {"max_tokens": 5}},
            )  # fmt: skip

        ended = place.run(recipe(3.0), "contract", "source", "prompts", "teacher")
        assert ended.success, failures(ended)
        prompts, pilot = place.newest("prompts", "base").frame("prompts"), server.calls
        rows = prompts.filter(pl.col("split") == "golden").sort("prompt_id")
        clean_of.update({text.upper(): text for text in rows["text"]})

        spent = call_log(place.home).spent("small")
        with pytest.raises(StillhouseError, match="prompts more are expected to cost up to"):
            require_that_they_fit(recipe(spent + 0.001), place.newest("teacher"), prompts, place.builds)
        assert server.calls == pilot, "it is refused before a text is asked"

        file, asked = recipe(3.0), pilot + rows.height + 30
        turned_away = harder(file.recipe, rows)["text"][0]
        server.refuses = lambda prompt: question_in(prompt) == turned_away
        ended = place.run(file, "baselines")
        assert ended.success, failures(ended)
        assert server.calls == asked
        first = stress_of(place)
        assert first.teacher is not None and first.teacher_unheard == 1 and first.rows == 30

        server.refuses = lambda prompt: False
        assert place.run(file, "baselines").success and server.calls == asked + 1
        assert stress_of(place).teacher_unheard == 0
        assert place.run(file, "baselines").success and server.calls == asked + 1
        assert call_log(place.home).spent("small") == pytest.approx(server.usd)
