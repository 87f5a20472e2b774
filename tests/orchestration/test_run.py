"""What a run on the command line shows, and by which fields it decides that."""

import io
import os
import pty
import re
import subprocess
import sys
from contextlib import suppress
from datetime import UTC, datetime
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import dagster as dg
import pytest

from assets.keys import key_of
from assets.materializations import Materialization
from checks.check_op import GatesClosed
from checks.gate_states import AssetState, GateState
from checks.gatekeeper import WayClosed
from orchestration.approvals import waivable_gate
from orchestration.diagnosis import is_behind_a_closed_gate, is_closed_gate, what_broke
from orchestration.run import _outcome, distil
from orchestration.runs import QUIET
from orchestration.screens import drawn_progress, options_screen, result_screen
from orchestration.stages_now import StageNow
from orchestration.terminal import Terminal
from stillhouse import progress
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT, Home
from stillhouse.records.builds import BuildStore
from stillhouse.records.gate_status import GateStatus
from stillhouse.report.reading import ReadReport
from stillhouse.statistics.verdicts import Verdict
from tests.reported import REPORT
from tests.small import small_recipe


def terminal() -> Terminal:
    return Terminal(record=True, width=300, file=io.StringIO())


@pytest.mark.parametrize(("passed", "is_shown"), [(True, False), (False, True)])
def test_a_gate_is_shown_by_its_state_whatever_its_note_begins_with(passed: bool, is_shown: bool) -> None:
    """Regression: a gate was left out where its note began with the word for an open one."""
    console = terminal()
    with drawn_progress(console, 1) as listen:
        listen(progress.GateDecided("prompts[base]", "rows_are_kept", passed, "passed over two of nine rows"))
    assert ("rows_are_kept" in console.export_text()) is is_shown


def test_work_that_is_called_like_a_gate_or_a_stage_is_work() -> None:
    """Regression: a description with a colon in it was taken for a gate, one that is a stage's name for the stage."""
    console = Terminal(record=True, width=300, file=io.StringIO(), force_terminal=True)
    with drawn_progress(console, 1) as listen:
        for description in ("teacher: rows of 2026", "teacher"):
            listen(progress.Step(description, 1, 2, "failed: no"))
    printed = console.export_text()
    assert "made teacher" not in printed and "  teacher: rows of 2026" in printed


FROZEN = """
import time
import dagster as dg
from orchestration.screens import drawn_progress
from orchestration.terminal import out
from stillhouse import progress

@dg.asset
def slow() -> None:
    print("of the step itself", flush=True)
    for place in range(30):
        progress.step("training", place, 30, f"epoch {place} of 30")
        time.sleep(0.1)

with dg.DagsterInstance.local_temp() as instance, drawn_progress(out, 3) as listen, progress.listening(listen):
    quiet = {"loggers": {"console": {"config": {"log_level": "CRITICAL"}}}}
    dg.materialize([slow], instance=instance, run_config=quiet)
    listen(progress.StageStep("source", 1, 1, "0.1 s"))
out.print("after it")
"""
"""A step of three seconds in Dagster, of which standard output is captured."""


def test_progress_moves_on_a_terminal_while_dagster_has_standard_output() -> None:
    """Regression: the display stood still until the step ended."""
    ours, theirs = pty.openpty()
    going = subprocess.Popen(
        [sys.executable, "-c", FROZEN], cwd=CHECKOUT, stdin=theirs, stdout=theirs, stderr=subprocess.DEVNULL,
        env={**os.environ, "TERM": "xterm", "COLUMNS": "150"},
    )  # fmt: skip
    os.close(theirs)
    seen: list[bytes] = []
    with suppress(OSError):  # of a terminal whose other end was closed
        while part := os.read(ours, 65536):
            seen.append(part)
    os.close(ours)
    assert going.wait() == 0
    epochs = {number for part in seen for number in re.findall(rb"epoch (\d+) of 30", part)}
    screen = b"".join(seen)
    assert len(epochs) > 10, "each epoch is shown as it comes"
    assert b"left" in screen and b"made" in screen and b"after it" in screen
    assert b"of the step itself" not in screen, "what a step prints is in the log of the step"


def test_where_output_is_no_terminal_a_line_comes_every_few_seconds() -> None:
    script = "import orchestration.screens as s; s.SECONDS_BETWEEN_LINES = 0.5\n" + FROZEN
    ended = subprocess.run([sys.executable, "-c", script], cwd=CHECKOUT, capture_output=True, text=True, check=True)
    lines = ended.stdout.splitlines()
    going = [line for line in lines if "training: " in line]
    assert len(going) >= 4 and len({*going}) == len(going), ended.stdout
    assert re.fullmatch(r"  0:00:0\d  0 of 3 stages, training: \d+ of 30 \(epoch \d+ of 30\)", going[0])
    assert lines[-2:] == ["made source  0.1 s", "after it"]


@dg.asset
def rows() -> int:
    return 1


@dg.multi_asset_check(name="rows__gates", specs=[dg.AssetCheckSpec("rows_are_kept", asset="rows", blocking=True)])
def gates() -> Any:
    yield dg.AssetCheckResult(asset_key="rows", check_name="rows_are_kept", passed=False)
    raise GatesClosed("gate rows:rows_are_kept is failed: 3 are gone", allow_retries=False)


@dg.asset
def broken() -> None:
    raise ValueError("a log said: GatesClosed: gate rows:rows_are_kept is failed")


@dg.asset
def behind_it() -> None:
    raise WayClosed("Refused to read rows: gate rows:rows_are_kept is failed", allow_retries=False)


@dg.asset
def refused_otherwise() -> None:
    raise dg.Failure("Refused to read rows: rows was never materialized", allow_retries=False)


def test_a_closed_gate_is_said_from_what_broke_by_the_kind_of_the_error() -> None:
    """Regression: whatever quoted the name of Dagster's error was left out of what a person is told."""
    result = dg.materialize([rows, gates, broken, behind_it, refused_otherwise], raise_on_error=False, run_config=QUIET)
    failed = {event.step_key: event.step_failure_data for event in result.all_events if event.is_step_failure}
    assert is_closed_gate(failed["rows__gates"]) and not is_closed_gate(failed["broken"])
    assert [name for name, failure in failed.items() if is_behind_a_closed_gate(failure)] == ["behind_it"]
    assert "a log said" in what_broke(failed["broken"])


def report(**of_the_other: Any) -> ReadReport:
    other = {
        "name": "two", "kind": "student", "accuracy": 0.9, "latency_ratio": 2.0, "size_ratio": 3.0, "verdict": "fail",
        **of_the_other,
    }  # fmt: skip
    return ReadReport.model_validate({**REPORT, "others": [other]})


BY_0_1_0 = "holds the quality, but the budget rules it out: size ratio 3.0x, at least 6x asked"


@pytest.mark.parametrize(
    ("of_the_other", "is_named"),
    [
        ({"ruled_out": "is 3.0x smaller, and 6x is asked", "misses_only_the_budget": True}, True),
        ({"ruled_out": "holds the quality of nobody", "misses_only_the_budget": False}, False),
        ({"ruled_out": BY_0_1_0}, False),
    ],
)
def test_a_rival_that_only_the_budget_rules_out_is_named_by_its_field(
    home: Home, tmp_path: Path, of_the_other: dict[str, Any], is_named: bool
) -> None:
    """A report of version 0.1.0 has no such field: it is shown without that line."""
    console = terminal()
    console.print(result_screen("small", report(**of_the_other), home))
    printed = console.export_text()
    assert ("two: " in printed) is is_named and "also judged" in printed


@pytest.mark.parametrize(
    ("state", "counts"), [(GateStatus.STALE, False), (GateStatus.MISSING, False), (GateStatus.FAILED, True)]
)
def test_a_later_batch_counts_for_the_outcome_of_a_run_where_a_gate_found_it_wanting(
    home: Home, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, state: GateStatus, counts: bool
) -> None:
    """Regression: the one gate that had closed stood among forty that the next run would look at anyway."""
    key, at = key_of("small", "source"), datetime.now(UTC)
    made = {of: Materialization(key, of, "d" * 64, "m" * 64, f"run of {of}", at) for of in ("base", "later")}
    gates = {"base": GateStatus.STALE, "later": state}
    stages = [
        StageNow("source", batch, AssetState(key, batch, made[batch], (GateState(batch, "a_gate", status, "", ""),)))
        for batch, status in gates.items()
    ]
    monkeypatch.setattr("orchestration.run.stages_now", lambda *_: stages)
    monkeypatch.setattr("orchestration.run.batches_in", lambda *_: [])
    run = dg.materialize([rows], run_config=QUIET)
    monkeypatch.setattr(type(run), "run_id", "run of base")
    outcome = _outcome(dg.DagsterInstance.ephemeral(), BuildStore(home), small_recipe(tmp_path, rows=100), run)
    assert [gate.asset for gate in outcome.closed] == ["base", *(["later"] if counts else [])]


def test_what_a_recipe_leaves_open_is_no_reason_to_stop(home: Home, tmp_path: Path) -> None:
    """Regression: a recipe that nobody had answered the questions of ended well, with "do not distil"."""
    console = terminal()
    outcome = distil(small_recipe(tmp_path, rows=50, pain=[], data__licence=""), home, console)
    assert not outcome.ends_well
    assert {gate.name for gate in outcome.closed} == {"a_pain_is_declared", "licences_are_named"}
    printed = " ".join(console.export_text().replace("│", " ").split())
    assert "not released" in printed and "say in `pain`" in printed and "Say in `data.licence`" in printed


def option(name: str, accuracy: float, verdict: str, **recall: float) -> Any:
    """A judged option, and the share that it finds of 100 rows of each class; the teacher finds 90."""
    return SimpleNamespace(
        hosted=None,
        name=name, verdict=Verdict(verdict), latency_ratio=20.0, size_ratio=100.0,
        score=SimpleNamespace(accuracy=accuracy, macro_f1=0.5),
        per_class=[SimpleNamespace(label=label, rows=100, recall=found) for label, found in recall.items()],
        teacher_confusion=[SimpleNamespace(label=label, predicted=label, rows=90) for label in recall],
        of_labels=None, of_ranking=None, of_fields=None,
    )  # fmt: skip


def test_options_to_take_are_shown_with_what_they_find_of_each_class() -> None:
    console = terminal()
    whole = option("int8 teacher", 0.91, "pass", other=0.97, fraud=0.8)
    without = option("TF-IDF", 0.95, "pass", other=0.99, fraud=0.05)
    console.print(options_screen([option("majority class", 0.9, "fail", other=1.0, fraud=0.0), without, whole]))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert "TF-IDF 0.950 0.500 100.0x 20.0x pass" in lines
    classes = lines.index("class rows int8 teacher finds TF-IDF finds")
    assert lines[classes + 1 : classes + 3] == ["fraud 100 80.0% 5.0%", "other 100 97.0% 99.0%"], "the worst first"
    assert "TF-IDF loses a class: finds 5 of 100 rows of 'fraud', the teacher 90" in lines


def test_a_class_that_only_one_option_answers_is_none_that_can_be_found() -> None:
    console = terminal()
    astray = option("int8 teacher", 0.91, "pass", other=0.97)
    astray.per_class.append(SimpleNamespace(label="never golden", rows=0, recall=0.0))
    console.print(options_screen([option("TF-IDF", 0.9, "pass", other=0.95), astray]))
    console.print(options_screen([astray, option("TF-IDF", 0.9, "pass", other=0.95)]))
    printed = console.export_text()
    assert printed.count("95.0%") == 2 and "never golden" not in printed


def test_options_that_rank_are_shown_by_ndcg_and_without_classes() -> None:
    console = terminal()
    bm25 = option("BM25", 0.4, "pass")
    bm25.score.macro_f1, bm25.of_ranking = None, SimpleNamespace(ndcg=0.8125)
    console.print(options_screen([bm25]))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert lines[0] == "option accuracy nDCG smaller faster" and "BM25 0.400 0.812 100.0x 20.0x pass" in lines
    assert not any("class" in line for line in lines)


def test_options_that_give_records_are_shown_by_field_f1() -> None:
    console = terminal()
    words = option("words and shapes", 0.4, "pass")
    words.score.macro_f1, words.of_fields = None, SimpleNamespace(micro_f1=0.9375)
    console.print(options_screen([words]))
    lines = [" ".join(line.split()) for line in console.export_text().splitlines()]
    assert lines[0] == "option accuracy field F1 smaller faster"
    assert "words and shapes 0.400 0.938 100.0x 20.0x pass" in lines


def test_of_many_classes_the_worst_are_shown() -> None:
    console = terminal()
    console.print(options_screen([option("int8 teacher", 0.9, "pass", **{f"c{n}": n / 20 for n in range(15)})]))
    printed = console.export_text()
    assert "c9 " in printed and "c10 " not in printed and "and 5 classes of which more is found" in printed


def test_an_old_name_of_a_gate_in_a_recipe_counts_and_the_run_says_the_new_one(home: Home, tmp_path: Path) -> None:
    file = small_recipe(tmp_path, rows=50, unwaivable=["it_is_worth_copying"], pain=[])
    with pytest.raises(StillhouseError, match="teacher_accuracy_reaches_the_minimum cannot be waived"):
        waivable_gate(file, "small/teacher:teacher_accuracy_reaches_the_minimum", ["base"])
    console = terminal()
    distil(file, home, console)
    said = "the gate it_is_worth_copying is called teacher_accuracy_reaches_the_minimum now"
    assert console.export_text().count(said) == 1
    # Regression: the overview and the page of the job left runs of the command line out.
    with dg.DagsterInstance.from_config(str(home.dagster)) as instance:
        shown = instance.get_runs(
            dg.RunsFilter(job_name="distil_small", tags={".dagster/repository": "__repository__@stillhouse"})
        )
    assert len(shown) == 1 and shown[0].tags["stillhouse/recipe"] == "small"
