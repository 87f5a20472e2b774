"""What a judgement depends on, and which rows it takes as one piece of evidence."""

from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import polars as pl
import pytest

from stillhouse.device import CPU, Device
from stillhouse.home import CHECKOUT
from stillhouse.recipe.bar import SensitiveSpec
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import read_recipe
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.records.ledger import Ledger
from stillhouse.stages.bench import Bench, JudgedModel
from stillhouse.stages.contract import bar_of
from stillhouse.tasks.records import RecordFault
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.columns import ANSWER_SCHEMA
from stillhouse.teachers.signal import SignalStore
from stillhouse.teachers.stored import Failure

DEMO = CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml"
GOLDEN = pl.DataFrame(
    {"prompt_id": ["p1", "p2"], "text": ["a", "b"], "label": ["x", "y"], "kind": ["k", "k"], "customer": ["c", "d"],
     "split": ["golden", "golden"]}
)  # fmt: skip


def recipe(group: str | None) -> Recipe:
    demo = read_recipe(DEMO).recipe
    return demo.model_copy(update={"data": demo.data.model_copy(update={"group": group}), "slices": ()})


def bench(group: str | None, golden: pl.DataFrame = GOLDEN) -> Bench:
    prompts: Any = SimpleNamespace(frame=lambda name: golden)
    teacher: Any = SimpleNamespace(digest="teacher", facts=lambda record: SimpleNamespace(numbers={}))
    nowhere: Any = None
    return Bench(recipe(group), nowhere, prompts, teacher)


@pytest.mark.parametrize(("group", "groups"), [(None, None), ("customer", "customer"), ("not kept", None)])
def test_rows_are_grouped_by_the_column_of_the_recipe_where_golden_rows_have_it(group, groups) -> None:
    assert bench(group).groups == groups


@pytest.mark.long
def test_a_row_that_changes_its_group_or_groups_that_begin_to_count_are_judged_again() -> None:
    moved = GOLDEN.with_columns(customer=pl.lit("c"))
    assert bench("customer").depends_on() != bench("customer", moved).depends_on()
    assert bench("customer").depends_on() != bench(None).depends_on()
    assert bench("customer").depends_on() == bench("customer", GOLDEN.clone()).depends_on()


def test_a_text_that_is_written_otherwise_is_judged_again() -> None:
    """Its id is the same, whatever its case; a cased encoder may answer it otherwise."""
    louder = GOLDEN.with_columns(pl.col("text").str.to_uppercase())
    assert bench(None).depends_on() != bench(None, louder).depends_on()


@pytest.mark.parametrize("right", [True, False])
def test_a_golden_row_without_an_answer_counts_against_whoever_is_to_win(
    right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Of the teacher as right, since a student must not win by what is not known; of an option that wants to win as
    wrong."""
    task = SingleLabel(("x", "y"))
    monkeypatch.setattr(Bench, "task", task)
    said = pl.DataFrame(
        {"prompt_id": ["p1", "p2"], "logits": [[2.0, 0.0], None], "failure": [None, "the answer is empty"]},
        schema_overrides={"logits": pl.List(pl.Float32)},
    )
    given = bench(None).with_answers(said, right=right).sort("prompt_id")
    outputs = np.array(given["logits"].to_list())
    assert task.right(outputs, task.targets(GOLDEN["label"])).tolist() == [True, right]
    assert outputs[0].tolist() == [2.0, 0.0] and abs(outputs[1][0] - outputs[1][1]) < 0.01, "hardly anything is said"


@pytest.mark.parametrize("right", [True, False])
def test_a_golden_row_that_was_answered_with_an_invented_value_is_wrong(
    right: bool, monkeypatch: pytest.MonkeyPatch
) -> None:
    """That is known of the teacher; as many such rows as there are keep nobody from judging."""
    task = SingleLabel(("x", "y"))
    monkeypatch.setattr(Bench, "task", task)
    said = pl.DataFrame(
        {"prompt_id": ["p1", "p2"], "logits": [[2.0, 0.0], None], "failure": [None, RecordFault.NOT_IN_TEXT.value]},
        schema_overrides={"logits": pl.List(pl.Float32)},
    )
    monkeypatch.setattr(Bench, "_said_of_golden_rows", lambda self, fingerprint: said)
    monkeypatch.setattr(Bench, "_teacher_facts", SimpleNamespace(fingerprint="f" * 64, temperature=1.0))
    for name in ("_teacher_bytes", "_perturbed", "runs_here"):
        monkeypatch.setattr(Bench, name, None)
    judging = bench(None)
    for outputs in (judging.with_answers(said, right=right), judging.evaluated_teacher.outputs):
        assert isinstance(outputs, pl.DataFrame)
        given = np.array(outputs.sort("prompt_id")["logits"].to_list())
        assert task.right(given, task.targets(GOLDEN["label"])).tolist() == [True, False]


def test_a_bar_that_asks_for_other_behaviour_or_stress_is_judged_again() -> None:
    plain = bench(None)
    for field in ({"behaviour": ()}, {"stress": None}):
        other = Bench(plain.recipe.model_copy(update=field), plain.builds, plain.prompts, plain.teacher)
        assert other.depends_on() != plain.depends_on()


def test_a_golden_row_that_a_server_turned_away_is_judged_again_once_it_is_answered(ledger: Ledger) -> None:
    plain = bench(None)
    server = plain.recipe.teacher.model_copy(update={"kind": TeacherKind.ENDPOINT})
    store = SignalStore(Path(ledger.url.removeprefix("sqlite:///")).parent / "signal", ledger)
    judging = Bench(plain.recipe.model_copy(update={"teacher": server}), plain.builds, plain.prompts, plain.teacher)
    judging.__dict__.update(signal=store, _teacher_facts=SimpleNamespace(fingerprint="f" * 64, numbers={}))
    turns_away = {"p2"}

    def ask(prompts: pl.DataFrame) -> pl.DataFrame:
        said = [Failure.TURNED_AWAY.value if each in turns_away else None for each in prompts["prompt_id"]]
        own = {"prompt_id": prompts["prompt_id"], "fingerprint": "f" * 64, "failure": said}
        return pl.DataFrame({**dict.fromkeys(ANSWER_SCHEMA, [None] * prompts.height), **own}, schema=ANSWER_SCHEMA)

    teacher: Any = SimpleNamespace(fingerprint="f" * 64, verify=lambda: None, ask=ask)
    found = []
    for after in ({"p2"}, set[str](), set[str]()):
        store.capture(GOLDEN, teacher)
        found.append(judging.depends_on())
        turns_away.clear()
        turns_away.update(after)
    first, second, third = found
    assert first["asked_again"] == ["p2"] and first == second != third
    assert third == plain.depends_on() | {"terms": third["terms"]}, "as of a teacher that is no server"


def test_the_teacher_is_asked_each_text_once_and_answers_in_the_order_asked() -> None:
    asked: list[str] = []

    def logits(texts: list[str]) -> np.ndarray:
        asked.extend(texts)
        return np.array([[float(len(text)), 0.0] for text in texts])

    plain = bench(None)
    plain.__dict__["teacher_model"] = SimpleNamespace(logits=logits)
    assert plain.ask_teacher(["bbb", "a", "bbb"])[:, 0].tolist() == [3, 1, 3]
    assert plain.ask_teacher(["cc", "a"])[:, 0].tolist() == [2, 1]
    assert asked == ["bbb", "a", "cc"]


@pytest.mark.long
def test_a_row_that_changes_its_sensitive_value_or_a_limit_that_changes_is_judged_again() -> None:
    def sensitive(limit: float | None, golden: pl.DataFrame = GOLDEN) -> dict[str, Any]:
        said = bench(None, golden)
        spec = SensitiveSpec(column="age", gap_at_most=limit)
        return replace(said, recipe=said.recipe.model_copy(update={"sensitive": (spec,)})).depends_on()

    old, young = (GOLDEN.with_columns(age=pl.date(year, 1, 1)) for year in (1950, 2000))
    assert sensitive(0.1, old) != sensitive(0.1, young)
    assert sensitive(0.1, old) != sensitive(0.2, old) != sensitive(None, old)
    assert sensitive(0.1, old) == sensitive(0.1, old.clone())


def test_all_models_of_a_report_are_timed_together_as_often_as_the_recipe_asks(monkeypatch) -> None:
    asked: list[Any] = []

    def timed(teacher: Any, models: dict[str, Any], texts: list[str], *, rounds: int, **on: Any) -> dict[str, Any]:
        asked.append((list(models), texts, rounds))
        return dict.fromkeys(models, "timed")

    monkeypatch.setattr(
        "stillhouse.stages.bench.evaluate", lambda subject, *rest, latency, **how: (subject.name, latency)
    )
    monkeypatch.setattr(Bench, "footprint", lambda *about: None)
    plain = bench(None)
    budget = plain.recipe.budget.model_copy(update={"latency_rounds": 7})
    meter = replace(plain.meter, latencies=timed)
    plain = replace(plain, recipe=plain.recipe.model_copy(update={"budget": budget}), meter=meter)
    plain.__dict__.update(teacher_model=None, evaluated_teacher=None)
    models: Any = [JudgedModel(SimpleNamespace(name=name), lambda text: None) for name in ("one", "two")]
    monkeypatch.setattr(Bench, "task", None)
    assert plain.judge(models) == [("one", "timed"), ("two", "timed")]
    assert asked == [(["one", "two"], ["a", "b"], 7)]


@pytest.mark.parametrize("on", [CPU, Device("cuda:1")])
def test_the_teacher_is_timed_where_it_serves_and_asked_where_its_students_are(monkeypatch, on: Device) -> None:
    loaded, timed_on = list[str](), list[Any]()

    def classifier(folder: Path, device: Device = CPU) -> Any:
        loaded.append(device.name)
        return SimpleNamespace(logits=lambda texts: np.array([[device.name] * len(texts)]))

    def timed(teacher: Any, models: dict[str, Any], texts: list[str], **how: Any) -> dict[str, Any]:
        timed_on.append((teacher("a").item(), how["teacher_device"]))
        return dict.fromkeys(models)

    monkeypatch.setattr("stillhouse.models.predictor.TorchClassifier", classifier)
    monkeypatch.setattr("stillhouse.stages.bench.evaluate", lambda *judged, footprint, **how: footprint.teacher_mb)
    monkeypatch.setattr(Device, "card", "NVIDIA H200")
    plain = bench(None)
    teacher: Any = SimpleNamespace(digest="teacher", folder=Path("teacher"))
    meter = replace(plain.meter, latencies=timed, memory_mb=lambda folder, texts: 500.0)
    judging = replace(plain, teacher=teacher, meter=meter, served_on=on)
    judging.__dict__.update(evaluated_teacher=None)
    monkeypatch.setattr(Bench, "task", None)
    model: Any = JudgedModel(SimpleNamespace(name="one"), lambda text: None)
    memory = judging.judge([model])
    judging.ask_teacher(["a text that is no golden row"])
    if on == CPU:
        assert (timed_on, loaded, memory) == ([("cpu", None)], ["cpu"], [500.0])
    else:
        assert (timed_on, loaded) == ([("cuda:1", "NVIDIA H200")], ["cuda:1", "cpu"])
        assert memory == [None], "what it takes of the CPU's memory is not what serving it takes"


def test_more_rounds_are_measured_again_and_are_no_other_bar() -> None:
    plain = bench(None)
    budget = plain.recipe.budget.model_copy(update={"latency_rounds": 7})
    more = replace(plain, recipe=plain.recipe.model_copy(update={"budget": budget}))
    assert more.depends_on() != plain.depends_on()
    assert bar_of(more.recipe) == bar_of(plain.recipe)
    assert "latency_rounds" not in bar_of(plain.recipe)["budget"], "a contract frozen by 0.1.0 keeps its digest"
