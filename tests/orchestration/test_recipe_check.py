"""`stillhouse check`: every mistake of every recipe at one time, each on a line that names the recipe's own."""

import json
from pathlib import Path
from typing import Any

import pytest

from orchestration.recipe_check import check, load_mistakes
from stillhouse.errors import StillhouseError
from stillhouse.home import Home
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.reading import RecipeFile, Recipes, read_recipe, recipes_in
from tests.command import stillhouse
from tests.small import questions, small_recipe, small_teacher

WEEKLY = {"cron": "0 3 * * 1"}


def mistakes(file: RecipeFile) -> tuple[str, ...]:
    return check(Recipes((file,), ())).mistakes[file.name]


def edited(file: RecipeFile, old: str, new: str) -> RecipeFile:
    content = file.path.read_text()
    assert old in content
    file.path.write_text(content.replace(old, new))
    return read_recipe(file.path)


def line_of(file: RecipeFile, text: str) -> str:
    number = next(n for n, line in enumerate(file.path.read_text().splitlines(), start=1) if text in line)
    return f"{file.path}:{number}: "


def test_a_recipe_that_could_be_run_has_none_and_nothing_is_made(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=100)
    ended = stillhouse("check", recipes=tmp_path / "recipes")
    assert (ended.returncode, ended.stdout, ended.stderr) == (0, "small  no mistake found\n", "")
    assert not home.root.exists()


@pytest.mark.parametrize(
    ("parts", "advised"),
    [
        ({"traffic": {}, "watch": {}}, "start: [agreement]"),
        ({"traffic": {}, "watch": {}, "refresh": {**WEEKLY, "start": ["labels"]}}, "start: [agreement]"),
        ({"traffic": {}, "watch": {"fallback_share": 0.2}}, "start: [agreement, fallback]"),
        ({"traffic": {}, "watch": {"lengths": ["length=1-30"]}}, "start: [agreement, weak_slice]"),
        ({"traffic": {"feedback": "complete"}, "watch": {"ask_teacher": 0.0}}, "start: [agreement]"),
        ({"traffic": {}, "watch": {"fallback_share": 0.2}, "refresh": {**WEEKLY, "start": ["fallback"]}}, None),
        ({"traffic": {}, "watch": {"ask_teacher": 0.0}}, None),
        ({"traffic": {}}, None),
    ],
)
def test_it_is_advised_that_no_round_starts_by_what_the_watch_finds(
    parts: dict[str, Any], advised: str | None, tmp_path: Path, home: Home
) -> None:
    file = small_recipe(tmp_path, rows=100, **parts)
    found = check(Recipes((file,), ()))
    assert found.all_is_well
    assert [advised in line for line in found.advice["small"]] == ([True] if advised else [])
    if advised is not None:
        ended = stillhouse("check", recipes=tmp_path / "recipes")
        line = ended.stdout.splitlines()[1]
        assert ended.returncode == 0 and line.startswith("advice: ") and "no round starts by what the watch" in line


def test_every_mistake_of_a_recipe_is_a_line_with_the_line_of_the_recipe(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=100, unwaivable=["no_such_gate"], owners=["bob"])
    for old, new in (
        ("text: question", "text: qestion"), ("column: kind", "column: kinds"), ("cron: ", "cron: every day # "),
        ("fingerprint: ", "fingerprint: " + "0" * 64 + " # "),
    ):  # fmt: skip
        if old in file.path.read_text():
            file = edited(file, old, new)
    found = mistakes(file)
    for text, says in (
        ("no_such_gate", "there is no gate 'no_such_gate'"),
        ("bob", "owners.0: 'bob' cannot own an asset"),
        ("every day", "refresh.cron: 'every day' is not a cron line"),
        ("qestion", "data.text: "),
        ("kinds", "slices.0.column: "),
    ):
        assert [line for line in found if line.startswith(line_of(file, text)) and says in line], (text, found)
    assert all("Did you mean" in line for line in found if "there is no column" in line)
    assert len(found) == 5 and not any("\n" in line for line in found)


def test_a_class_that_no_row_has_and_layers_that_the_teacher_lacks(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=100, bar={"margin": 0.07, "metric": "recall", "metric_class": "HUMAN"})
    name = file.recipe.students[0].name
    wrong = file.recipe.students[0].model_copy(update={"layers": (0, 7)})
    students = (wrong, *file.recipe.students[1:])
    file = RecipeFile(file.name, file.path, file.recipe.model_copy(update={"students": students}))
    found = mistakes(file)
    assert any("bar.metric_class: no labelled row is of class 'HUMAN'" in line for line in found)
    assert any(f"students.0.layers: {name} cannot have the layers [0, 7]" in line for line in found)
    assert len(found) == 2


def test_layers_that_learn_what_the_teacher_lacks(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=60)
    first = file.recipe.students[0]
    assert first.training is not None
    terms = (LossTerm(embedding_loss="cosine", layers="as_cut"), LossTerm(embedding_loss="mse", layers=(7,)))
    learner = first.model_copy(
        update={"layers": (1,), "training": first.training.model_copy(update={"mixture": terms})}
    )
    changed = file.recipe.model_copy(update={"students": (learner, *file.recipe.students[1:])})
    (line,) = mistakes(RecipeFile(file.name, file.path, changed))
    assert f"students.0.training.mixture.1.layers: no layer of {first.name} can learn layer 7; expected numbers" in line
    assert "from 0 to 1" in line


def test_a_student_wider_than_its_teacher_and_texts_longer_than_it_reads(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=60)
    positions = json.loads((tmp_path / "teacher" / "config.json").read_text())["max_position_embeddings"]
    training = file.recipe.teacher.training.model_copy(update={"max_tokens": positions + 1})
    teacher = file.recipe.teacher.model_copy(update={"training": training})
    wide = file.recipe.students[0].model_copy(update={"feed_forward": 10_000})
    changes = {"teacher": teacher, "students": (wide, *file.recipe.students[1:])}
    found = mistakes(RecipeFile(file.name, file.path, file.recipe.model_copy(update=changes)))
    assert any("students.0.feed_forward: " in line and "cannot keep 10000 units" in line for line in found)
    assert any(
        "teacher.training.max_tokens: " in line and f"at most the teacher's {positions}" in line for line in found
    )
    assert len(found) == 2


@pytest.mark.parametrize(
    ("fields", "says"),
    [
        ({"model_type": "albert"}, "its layers share one set of weights"),
        ({"auto_map": {"AutoModel": "x.Y"}}, "the config asks for the repository's own code to run"),
        ({"quantization_config": {"bits": 4}}, "the weights are quantised"),
    ],
)
def test_a_teacher_that_cannot_be_one_is_refused_in_its_line(
    tmp_path: Path, home: Home, fields: dict[str, object], says: str
) -> None:
    file = small_recipe(tmp_path, rows=60)
    config = tmp_path / "teacher" / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), **fields}))
    teacher = file.recipe.teacher.model_copy(update={"fingerprint": None})
    (line,) = mistakes(RecipeFile(file.name, file.path, file.recipe.model_copy(update={"teacher": teacher})))
    assert "teacher.source: " in line and says in line


@pytest.mark.parametrize(
    ("source", "says"),
    [
        ("package://no_such_package/model", "no package 'no_such_package' is installed"),
        ("/nowhere/model", "no such model folder"),
        ("hf://no-such/model", "the hub does not know it, or could not be asked"),
    ],
)
def test_a_teacher_that_is_not_there(tmp_path: Path, home: Home, source: str, says: str) -> None:
    file = small_recipe(tmp_path, rows=60)
    teacher = file.recipe.teacher.model_copy(update={"source": source, "revision": "0" * 40})
    found = mistakes(RecipeFile(file.name, file.path, file.recipe.model_copy(update={"teacher": teacher})))
    (line,) = found
    assert line.startswith(line_of(file, "source: ").rsplit(":", 2)[0]) and "teacher.source: " in line and says in line


def test_other_weights_than_the_pinned_ones(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=60)
    teacher = file.recipe.teacher.model_copy(update={"fingerprint": "0" * 64})
    (line,) = mistakes(RecipeFile(file.name, file.path, file.recipe.model_copy(update={"teacher": teacher})))
    assert "the weights are" in line and "not 000000000000" in line


def test_rows_that_are_not_there(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=60)
    Path(file.recipe.data.source).unlink()
    (line,) = mistakes(file)
    assert "data.source: " in line and "no such file" in line


def test_a_golden_file_that_is_not_there_or_lacks_a_column_is_said_beside_mistakes_in_the_source(
    tmp_path: Path, home: Home
) -> None:
    golden = tmp_path / "audited.csv"
    file = small_recipe(tmp_path, rows=60, data__golden=str(golden))
    (line,) = mistakes(file)
    assert line.startswith(file.where("data", "golden")) and "no such file" in line
    questions(60, skip=100).rename({"service": "queue"}).write_csv(golden)
    Path(file.recipe.data.source).write_text("questions,service,kind\na,b,c\n")
    source, (golden_line,) = mistakes(file)[0], mistakes(file)[1:]
    assert source.startswith(file.where("data", "text")) and "there is no column 'question'" in source
    assert golden_line.startswith(file.where("data", "golden"))
    assert "there is no column 'service', which `data.label` of the recipe names" in golden_line
    assert "`data.golden_label` name columns that are called otherwise there" in golden_line


def test_one_broken_recipe_stops_no_other(tmp_path: Path, home: Home) -> None:
    small_recipe(tmp_path, rows=60)
    broken = tmp_path / "recipes" / "broken" / "defs.yaml"
    broken.parent.mkdir()
    broken.write_text("attributes: {task: a: b}\n")
    (tmp_path / "recipes" / "Evil Name[x]").mkdir()
    (tmp_path / "recipes" / "Evil Name[x]" / "defs.yaml").write_bytes(b"\xff\xfe")
    recipes = tmp_path / "recipes"
    listed = stillhouse("list", recipes=recipes)
    assert listed.returncode == 2 and len(listed.stdout.splitlines()) == 3
    assert f"broken  {broken}:1: not readable as YAML" in listed.stdout and "\nsmall  " in listed.stdout
    checked = stillhouse("check", "--json", recipes=recipes)
    found = json.loads(checked.stdout)["mistakes"]
    assert checked.returncode == 2 and found["small"] == [] and len(found["broken"]) == len(found["Evil Name[x]"]) == 1
    status = stillhouse("status", "--json", recipes=recipes)
    assert status.returncode == 2 and list(json.loads(status.stdout)["recipes"]) == ["small"]
    assert "recipe broken is left out" in status.stderr
    assert stillhouse("check", "small", recipes=recipes).returncode == 0
    unknown = stillhouse("check", "smal", recipes=recipes)
    assert unknown.returncode == 2 and "one of: Evil Name[x], broken, small" in unknown.stderr


def test_a_recipe_with_several_mistakes_is_one_line_of_a_list(tmp_path: Path, home: Home) -> None:
    file = small_recipe(tmp_path, rows=60)
    file.path.write_text(file.path.read_text().replace("margin: 0.07", "margin: 7").replace("task:", "tasks:"))
    (unreadable,) = recipes_in(tmp_path / "recipes").unreadable
    assert len(unreadable.mistakes) == 3 and unreadable.in_short.endswith(" And 2 more: `stillhouse check`.")


BY_TRUTH = {"shadow": {"judge_by": "truth"}}
LATE = {"shadow": {"judge_by": "truth", "days_at_most": 30}}
LATE_LIVE = {"shadow": {"mode": "live", "judge_by": "truth", "days_at_most": 30}}
LIVE = {"shadow": {"mode": "live", "judge_by": "truth"}}


@pytest.mark.parametrize(
    ("rollout", "traffic", "says"),
    [
        ({}, None, "rollout: no texts of requests are kept"),
        ({}, {"keep_texts": False}, "rollout: no texts of requests are kept"),
        ({}, {"text_days": 0}, "rollout: no texts of requests are kept"),
        (BY_TRUTH, {}, "rollout.shadow.judge_by: those who care to say what was right are not a sample"),
        (
            LATE, {"feedback": "complete", "matures_after_days": 14},
            "feedback matures in 14 days, and texts are kept for 14",
        ),
        (BY_TRUTH, {"feedback": "sample"}, None),
        ({}, {}, None),
        (LIVE, {"keep_texts": False, "feedback": "sample"}, None),
        (LATE_LIVE, {"text_days": 0, "feedback": "complete", "matures_after_days": 14}, None),
        (LIVE, None, "rollout.shadow.mode: there is no traffic log to keep what a release answers in the shadow"),
        (LIVE, {"keep_texts": False}, "rollout.shadow.judge_by: those who care to say what was right are not a sample"),
    ],
)  # fmt: skip
def test_a_rollout_needs_texts_and_somebody_who_says_what_is_right(
    tmp_path: Path, home: Home, rollout: dict[str, object], traffic: dict[str, object] | None, says: str | None
) -> None:
    parts = {"rollout": rollout} if traffic is None else {"rollout": rollout, "traffic": traffic}
    found = mistakes(small_recipe(tmp_path, rows=100, **parts))
    assert len(found) == (says is not None)
    assert says is None or says in found[0]


@pytest.mark.parametrize("live", [False, True])
@pytest.mark.parametrize(
    ("days", "matures", "is_over"), [(7, 7, True), (7.9, 7, True), (8, 7, False), (0.5, 0, True), (1, 0, False)]
)
def test_a_shadow_that_truth_judges_outlasts_the_wait_for_it(
    tmp_path: Path, home: Home, live: bool, days: float, matures: int, is_over: bool
) -> None:
    shadow = {"days_at_most": days, **(LIVE if live else BY_TRUTH)["shadow"]}
    traffic = {"feedback": "complete", "matures_after_days": matures, "keep_texts": not live}
    file = small_recipe(tmp_path, rows=100, rollout={"shadow": shadow}, traffic=traffic)
    assert load_mistakes(file) == mistakes(file)
    if not is_over:
        assert mistakes(file) == ()
        return
    (line,) = mistakes(file)
    number = next(n for n, text in enumerate(file.path.read_text().splitlines(), start=1) if "days_at_most" in text)
    assert line.startswith(f"{file.path}:{number}: rollout.shadow.days_at_most: the shadow is over after {days:g} days")
    assert f"Write `days_at_most: {matures + 1}` or more, or lower traffic.matures_after_days" in line
    by_teacher = {"shadow": {"days_at_most": days}}
    said = small_recipe(tmp_path, rows=100, rollout=by_teacher, traffic={"matures_after_days": matures})
    assert mistakes(said) == (), "where the teacher judges truth is shown when it comes"


def test_a_shadow_whose_days_are_left_out_is_held_against_the_wait_at_the_line_of_its_part(
    tmp_path: Path, home: Home
) -> None:
    traffic = {"feedback": "complete", "matures_after_days": 14, "text_days": 30}
    file = small_recipe(tmp_path, rows=100, rollout=BY_TRUTH, traffic=traffic)
    (line,) = mistakes(file)
    number = next(n for n, text in enumerate(file.path.read_text().splitlines(), start=1) if "shadow:" in text)
    assert line.startswith(f"{file.path}:{number}: rollout.shadow.days_at_most: the shadow is over after 14 days"), line


def refused(folder: Path, **parts: Any) -> str:
    """The one mistake of a recipe that cannot be read."""
    with pytest.raises(StillhouseError):
        small_recipe(folder, rows=60, **parts)
    (unreadable,) = recipes_in(folder / "recipes").unreadable
    (line,) = unreadable.mistakes
    return line


def test_a_live_shadow_that_a_teacher_would_have_to_judge_is_refused_at_its_line(tmp_path: Path) -> None:
    traffic = {"keep_texts": False, "feedback": "sample"}
    line = refused(tmp_path, traffic=traffic, rollout={"shadow": {"mode": "live", "judge_by": "teacher"}})
    file = tmp_path / "recipes" / "small" / "defs.yaml"
    number = next(n for n, text in enumerate(file.read_text().splitlines(), start=1) if "judge_by: teacher" in text)
    assert line.startswith(f"{file}:{number}: rollout.shadow.judge_by: must be truth where mode is live")
    assert "Write `judge_by: truth`, or keep texts and leave `mode` out" in line
    assert "rollout.shadow" in refused(tmp_path, traffic=traffic, rollout={"shadow": {"mode": "live"}})


def test_a_live_shadow_of_releases_that_hand_texts_on_is_refused_at_its_line(tmp_path: Path) -> None:
    line = refused(
        tmp_path,
        traffic={"keep_texts": False, "feedback": "sample"},
        rollout=LIVE,
        cascade={"margin": 0.05},
        data__provenance={"privacy_class": "public", "teacher_may_see": ["public"]},
    )
    file = tmp_path / "recipes" / "small" / "defs.yaml"
    number = next(n for n, text in enumerate(file.read_text().splitlines(), start=1) if "mode: live" in text)
    assert line.startswith(f"{file}:{number}: rollout.shadow.mode: must be replay where there is a cascade"), line


def test_what_is_wrong_with_each_member_of_an_ensemble_is_said_at_its_line(tmp_path: Path) -> None:
    said = {
        "revision": "r", "licence": "MIT", "training_on_outputs": "allowed", "reason": "It answers today.",
        "minimum_accuracy": 0.5,
    }  # fmt: skip
    (tmp_path / "prompt.md").write_text("no place for a text")
    prices = {"usd_per_million_in": 1, "usd_per_million_out": 1, "usd_at_most": 1}
    asked = {"ask": {"model": "m", "prompt": str(tmp_path / "prompt.md")}, "endpoint": prices}
    members = {
        "here": {**said, "kind": "causal_lm", "source": str(tmp_path / "none")},
        "server": {**said, "kind": "endpoint", "source": "http://127.0.0.1:9/v1", **asked},
        "kept": {**said, "kind": "stored", "source": str(tmp_path / "none.jsonl")},
        "mine": {**said, "source": str(tmp_path / "none"), "training": {"loss": "labels"}},
    }
    file = small_recipe(
        tmp_path, students=[{"name": "a", "layers": [0], "training": {"loss": "kl"}}],
        teacher={
            "kind": "ensemble", "ensemble": {"members": members}, "reason": "Four see more.", "minimum_accuracy": 0.5,
        },
        base={"source": str(small_teacher(tmp_path / "base")), "revision": "r", "licence": "MIT"},
        budget={"latency_ms_at_most": 20}, data__provenance={"teacher_may_see": ["internal"]},
    )  # fmt: skip
    lines = check(Recipes((file,), ())).mistakes[file.name]
    at_fault = ("here.source", "server.ask", "kept.source", "mine.source")
    fields = [f"teacher.ensemble.members.{name}" for name in at_fault]
    assert len(lines) == 4 and all(f": {field}" in line for field, line in zip(fields, lines, strict=True)), lines


def with_positions(folder: Path, positions: int) -> str:
    """An encoder whose config says that it reads so many tokens; `check` looks at nothing else of it."""
    config = small_teacher(folder) / "config.json"
    config.write_text(json.dumps({**json.loads(config.read_text()), "max_position_embeddings": positions}))
    return str(folder)


OF_A_TEACHER = {
    "revision": "r", "licence": "MIT", "training_on_outputs": "allowed", "reason": "It answers today.",
    "minimum_accuracy": 0.5,
}  # fmt: skip


def short_texts(folder: Path, teacher: dict[str, object]) -> RecipeFile:
    """A recipe whose student, cut from a base of 64 positions, asks for 65."""
    return small_recipe(
        folder, teacher=teacher, budget={"latency_ms_at_most": 20},
        base={"source": with_positions(folder / "base", 64), "revision": "r", "licence": "MIT"},
        students=[{"name": "a", "layers": [0], "training": {"loss": "kl", "max_tokens": 65}}],
    )  # fmt: skip


@pytest.mark.parametrize("positions", [{"max_position_embeddings": 1024}, {"n_positions": 1024}])
def test_what_a_language_model_reads_is_held_against_its_own_positions(
    tmp_path: Path, positions: dict[str, int]
) -> None:
    """Regression: it was held against those of the base, whose students never see what the teacher is asked."""
    model = tmp_path / "model"
    model.mkdir()
    (model / "config.json").write_text(json.dumps({"model_type": "gpt2", "vocab_size": 10, **positions}))
    for name in ("tokenizer.json", "model.safetensors"):
        (model / name).write_text("not looked into")
    teacher = {**OF_A_TEACHER, "kind": "causal_lm", "source": str(model), "max_tokens": 1024}
    (of_the_student,) = mistakes(short_texts(tmp_path, teacher))
    assert ": students.0.training.max_tokens: texts of 65 tokens" in of_the_student
    assert "expected at most the base's 64. Set max_tokens: 64, or choose a base" in of_the_student
    _, of_the_teacher = mistakes(short_texts(tmp_path, {**teacher, "max_tokens": 1025}))
    assert ": teacher.max_tokens: texts of 1025 tokens; expected at most the teacher's 1024" in of_the_teacher


def test_what_members_read_is_held_against_their_own_positions(tmp_path: Path) -> None:
    members = {
        name: {
            **OF_A_TEACHER, "source": with_positions(tmp_path / name, positions),
            "training": {"loss": "labels", "max_tokens": 100},
        }
        for name, positions in (("short", 99), ("long", 100))
    }  # fmt: skip
    together = {"reason": "Two see more than one.", "minimum_accuracy": 0.5, "ensemble": {"members": members}}
    file = short_texts(tmp_path, {"kind": "ensemble", **together})
    of_the_student, of_the_member = mistakes(file)
    assert "at most the base's 64" in of_the_student
    assert of_the_member.startswith(file.where("teacher", "ensemble", "members", "short", "training", "max_tokens"))
    assert "texts of 100 tokens; expected at most the teacher's 99" in of_the_member
