"""From rows to champion on real questions with a real, small teacher: killed on the way, run again, given new rows."""

import json
import signal
import subprocess
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import dagster as dg
import polars as pl
import pytest

from assets.keys import key_of
from assets.materializations import newest_artifact, newest_materialization
from orchestration.auditing import audit_recipe
from orchestration.status import status
from stillhouse.digests import digest_of_folder
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.batches import batches_of
from stillhouse.records.gate_status import GateStatus
from stillhouse.records.looks import LookKind, looked
from stillhouse.report.record import Report
from stillhouse.stages.names import BATCHED
from tests.conftest import Place, a_place
from tests.small import questions, small_recipe
from tests.warm import WarmParent, warm_parent

ROWS = 1200
IMPORTED = (
    "orchestration.run",
    "orchestration.build",
    "dagster._core.execution.plan.execute_plan",
    "transformers.models.bert.modeling_bert",
    "onnxruntime.quantization",
    "great_expectations.expectations",
    "sklearn.linear_model",
    "scipy.stats",
    "matplotlib",
)
"""What takes a run a while to import."""

DISTIL = """
    import os, signal, sys
    from dataclasses import replace
    from pathlib import Path
    from orchestration.resources import RESOURCES
    from orchestration.terminal import Terminal
    from orchestration.run import distil
    from stillhouse import progress
    from stillhouse.evaluation.measures.meter import THIS_MACHINE
    from stillhouse.home import Home
    from stillhouse.recipe.reading import read_recipe

    def kill_at(news):
        if isinstance(news, progress.Step) and (news.description, news.done) == ({kill!r}, {done}):
            os.kill(os.getpid(), signal.SIGKILL)

    RESOURCES["meter"] = replace(THIS_MACHINE, timed_texts=20)  # speed is measured, a little
    with progress.listening(kill_at):
        outcome = distil(read_recipe(Path({recipe!r})), Home.from_environment(), Terminal(width=200))
    sys.exit(0 if outcome.succeeded else 1)
"""


@dataclass(frozen=True)
class WholeWay(Place):
    """An installation with a small recipe that is run as people run it, in a process that may be killed."""

    file: RecipeFile
    parent: WarmParent

    def distil(self, *, kill: str = "never", done: int = 1) -> subprocess.CompletedProcess[str]:
        """Run the recipe in a process of its own, which kills itself at a step of its own progress."""
        return self.parent.run(DISTIL.format(kill=kill, done=done, recipe=str(self.file.path)))

    def shown(self, stage: str, batch: str = "base") -> dict[str, Any]:
        """Metadata of the newest materialization of a stage."""
        partitions = [batch] if stage in BATCHED else None
        wanted = dg.AssetRecordsFilter(asset_key=key_of(self.file.name, stage), asset_partitions=partitions)
        record = self.instance.fetch_materializations(wanted, limit=1).records[0]
        assert record.asset_materialization is not None
        return {name: value.value for name, value in record.asset_materialization.metadata.items()}

    def checked(self, stage: str, gate: str) -> Mapping[str, Any]:
        """Metadata of the newest check of a gate."""
        key = dg.AssetCheckKey(key_of(self.file.name, stage), gate)
        record = self.instance.event_log_storage.get_latest_asset_check_execution_by_key([key])[key]
        assert record.evaluation is not None
        return record.evaluation.metadata

    def batch_of(self, name: str) -> str:
        """The batch that a dropped file is in."""
        known = batches_of(self.builds.ledger, self.file.name).values()
        (found,) = [batch.batch for batch in known if name in {item.name for item in batch.files}]
        return found

    def assert_nothing_is_half_there(self) -> None:
        """Every artifact hashes to its name, the chain holds, and a champion is a whole release."""
        store = Path(self.home.artifacts)
        for files in store.glob("*/files"):
            assert digest_of_folder(files) == files.parent.name
        for shard in self.home.signal.rglob("*.parquet"):
            pl.read_parquet(shard)
        assert self.builds.ledger.problems() == []
        if self.builds.ledger.champion(self.file.name) is not None:
            assert audit_recipe(self.home, self.file.name).ok


@pytest.fixture(scope="module")
def place(tmp_path_factory: pytest.TempPathFactory) -> Iterator[WholeWay]:
    with a_place(tmp_path_factory.mktemp("whole_way")) as place, warm_parent(IMPORTED) as parent:
        file = small_recipe(place.folder, rows=ROWS, data__allow_missing_columns=["kind"])
        yield WholeWay(place.folder, place.home, place.instance, file, parent)


@pytest.mark.parametrize(
    ("kill", "done"),
    [
        pytest.param("training", 20, marks=pytest.mark.slow),
        pytest.param("teacher signal", 934, marks=pytest.mark.slow),
        ("candidates/one", 0),  # one of them always, since the next test is about a run after a kill
        pytest.param("release", 0, marks=pytest.mark.slow),
        pytest.param("release", 1, marks=pytest.mark.slow),
        pytest.param("champion", 0, marks=pytest.mark.slow),
    ],
)
def test_a_kill_leaves_nothing_half_done(place: WholeWay, kill: str, done: int) -> None:
    ended = place.distil(kill=kill, done=done)
    assert ended.returncode == -signal.SIGKILL, ended.stdout + ended.stderr
    place.assert_nothing_is_half_there()
    assert place.builds.ledger.champion("small") is None


def test_the_next_run_completes_with_a_release(place: WholeWay) -> None:
    ended = place.distil()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    assert "released one" in ended.stdout and "was killed; what it had finished is kept" in ended.stdout
    place.assert_nothing_is_half_there()
    assert len(place.builds.ledger.entries("small", "promotion")) == 1
    assert place.shown("teacher")["found_again"] is True, "a teacher that was finished is not trained again"


def test_status_is_all_well_in_the_shape_that_scripts_rely_on(place: WholeWay) -> None:
    shown = status(place.instance, place.builds, [place.file])
    assert shown.all_is_well
    recipe = shown.recipes["small"]
    assert recipe.champion is not None and recipe.champion.student == "one" and recipe.champion.rolled_back is None
    assert recipe.nobody_looks is not None and "no daemon has looked for new rows yet" in recipe.nobody_looks
    looked(place.home.ledger_url, "small", LookKind.ROUNDS, datetime.now(UTC))
    assert status(place.instance, place.builds, [place.file]).recipes["small"].nobody_looks is None
    for stage in recipe.stages.values():
        assert stage.digest is not None and len(stage.digest) == 64
        assert stage.gates and all(gate.state is GateStatus.PASSED for gate in stage.gates)


def test_the_report_has_the_shape_that_scripts_rely_on(place: WholeWay) -> None:
    selection = newest_artifact(place.builds, key_of("small", "selection"))
    report = json.loads((selection.folder / "report.json").read_text())
    assert Report.model_validate(report).model_dump(mode="json") == report, "as `stillhouse schema --of report` says"
    assert report["verdict"] == "pass" and report["student"]["name"] == "one"
    assert report["golden_rows"] == place.shown("prompts")["golden"]
    for name in ("agreement", "latency_ratio", "size_ratio"):
        assert report[name] > 0
    assert 0 < report["student"]["accuracy"] <= 1 and 0 < report["teacher"]["accuracy"] <= 1
    slices = {each["name"]: each for each in report["slices"]}
    assert slices.keys() == {"people", "abbreviations"}
    assert slices["abbreviations"]["verdict"] == "inconclusive", "a handful of rows can prove nothing"
    assert {"rows", "teacher_accuracy", "student_accuracy"} <= slices["people"].keys()
    one = report["error_analysis"]["one"]
    assert one["generalisation"]["regime"] in ("good", "overfit", "underfit") and one["sentence"] is None
    assert one["capacity"] is None and one["more_rows"] is None, "nothing is trained to explain a student that passes"
    html = (place.home.reports / "small.html").read_text()
    assert "clears the bar" in html and "http://" not in html.replace("http://www.w3.org", "")


def test_the_audit_reaches_the_source_file_and_notices_an_altered_byte(place: WholeWay) -> None:
    builds = place.builds
    found = audit_recipe(place.home, "small")
    assert found.ok and found.problems == ()
    links = {link.asset: link for link in found.chain}
    assert links["small/source[base]"].external_inputs.keys() == {str(place.file.recipe.data.source)}
    teacher = place.file.recipe.teacher
    kept = {
        f"{teacher.source}@{teacher.revision}/{name}" for name in ("config.json", "model.safetensors", "tokenizer.json")
    }
    assert links["small/teacher"].external_inputs.keys() == kept
    assert {"small/champion", "small/release", "small/prompts[base]", "small/contract"} <= links.keys()

    weights = builds.store.open(links["small/teacher"].digest) / "model" / "model.safetensors"
    content = weights.read_bytes()
    weights.chmod(0o644)
    weights.write_bytes(content[:-1] + bytes([content[-1] ^ 1]))
    try:
        spoiled = audit_recipe(place.home, "small")
    finally:
        weights.write_bytes(content)
    assert not spoiled.ok
    assert any("small/teacher" in problem and "altered" in problem for problem in spoiled.problems)


def test_run_again_with_nothing_changed_computes_and_trains_nothing(place: WholeWay) -> None:
    champion = place.builds.ledger.champion("small")
    ended = place.distil()
    assert ended.returncode == 0, ended.stdout + ended.stderr
    for stage in (
        "source",
        "prompts",
        "teacher",
        "candidates/one",
        "exports/one",
        "evaluation",
        "error_analysis",
        "release",
        "champion",
    ):
        assert place.shown(stage)["found_again"] is True, stage
    assert place.shown("teacher_signal")["teacher_rows_computed"] == 0
    assert place.shown("baselines")["teacher_rows_computed"] == 0
    assert "found_in_run" in place.checked("prompts", "every_prompt_has_text"), "nor is a suite validated again"
    assert place.builds.ledger.champion("small") == champion
    assert len(place.builds.ledger.entries("small", "promotion")) == 1


def test_a_new_file_of_rows_costs_exactly_its_new_rows(place: WholeWay) -> None:
    unlabelled = [pl.lit(None, pl.String).alias(name) for name in ("service", "kind")]
    fresh, known = questions(25, skip=ROWS).with_columns(unlabelled), questions(5).with_columns(unlabelled)
    inbox = place.home.inbox("small")
    pl.concat([fresh, known]).write_csv(inbox / "tuesday.csv")
    golden = place.shown("prompts")["golden_digest"]
    place.distil()
    tuesday = place.batch_of("tuesday.csv")
    assert place.shown("prompts", tuesday)["dagster/row_count"] == 25
    assert place.shown("teacher_signal", tuesday)["teacher_rows_computed"] == 25
    assert place.shown("teacher_signal")["teacher_rows_computed"] == 0
    assert place.shown("transfer_set")["batches"] == f"base, {tuesday}"
    assert place.shown("baselines")["teacher_rows_computed"] == 0
    assert place.shown("teacher")["found_again"] is True
    assert place.shown("candidates/one")["found_again"] is False
    assert place.shown("prompts")["golden_digest"] == golden
    assert place.shown("candidates/one")["rows_learned_from"] > 0
    place.assert_nothing_is_half_there()


def test_a_bad_file_leaves_the_champion_where_it_was(place: WholeWay) -> None:
    champion = place.builds.ledger.champion("small")
    blanks = pl.DataFrame(
        {"question": [" "] * 9 + ["What is the last one ?"], "service": ["LOC"] * 10, "kind": [None] * 10}
    )
    blanks.write_csv(place.home.inbox("small") / "wednesday.csv")
    made = newest_materialization(place.builds.ledger, key_of("small", "champion"))
    ended = place.distil()
    assert ended.returncode == 1
    assert (
        f"prompts[{place.batch_of('wednesday.csv')}]: few_rows_of_the_batch_were_rejected is failed" in ended.stdout
        and "serves on" in ended.stdout
    )
    assert place.builds.ledger.champion("small") == champion
    assert newest_materialization(place.builds.ledger, key_of("small", "champion")) == made
    shown = status(place.instance, place.builds, [place.file])
    assert not shown.all_is_well
