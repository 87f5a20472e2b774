"""Every benchmark runs to its last line on a tiny size, so that none rots; nothing is asserted about time.

Regression: `make bench-prompts` ended in an error, because a gate that came later closed on its rows.
"""

import json
import os
import subprocess
import sys
from pathlib import Path

import numpy as np
import pytest

import benchmarks.latency_load
from benchmarks import cascade
from benchmarks.peers import stillhouse_game, stillhouse_loop, usable
from benchmarks.peers.__main__ import compared
from benchmarks.peers.material import Job, make_material, texts
from stillhouse.home import CHECKOUT
from tests.small import small_teacher

pytestmark = pytest.mark.slow

TINY = {
    "prompts": (["3000"], {"rows", "seconds", "peak_rss_gb"}),
    "false_alarms": (["1"], {"resamples", "closed"}),
    "verdicts": (["100"], {"type_1", "type_1_family", "power", "point_threshold_pass"}),
    "seeds": (["40"], {"one_pair", "several"}),
    "alarms": (["100"], {"false_alarms_per_year", "promoted_at_margin"}),
    "harness": (["1000"], {"golden_rows", "slices", "draws", "seconds", "peak_rss_gb"}),
    "ledger": (["300"], {"ratio", "limit", "us_100", "us_300"}),
}


@pytest.mark.parametrize("name", TINY)
def test_it_ends_with_its_line_and_breaks_none_of_its_limits(name: str) -> None:
    size, keys = TINY[name]
    ran = subprocess.run(
        [sys.executable, "-m", f"benchmarks.{name}", *size],
        cwd=CHECKOUT, env={**os.environ, "PYTHONPATH": str(CHECKOUT)}, capture_output=True, text=True,
    )  # fmt: skip
    assert ran.returncode == 0, ran.stdout + ran.stderr
    assert json.loads(ran.stdout.splitlines()[-1]).keys() == keys


def test_the_bound_of_a_cascade_is_looked_up_in_rows_of_which_all_is_known(capsys: pytest.CaptureFixture[str]) -> None:
    generator = np.random.default_rng(1)
    confidence = 1 / (1 + np.exp(-generator.uniform(0, 6, 1500)))
    student = generator.random(1500) < confidence
    population = cascade.Population(confidence, generator.random(1500) < 0.95, student)
    assert population.at(None) == (1.0, 0.0)
    assert population.at(0.0) == (0.0, pytest.approx(population.teacher.mean() - student.mean()))
    found = cascade.table(population, 20)
    assert len(capsys.readouterr().out.splitlines()) == 2 + len(found) == 11
    assert all(each.broken <= 0.3 and each.naive_share < each.share for each in found.values())
    assert max(each.naive_broken for each in found.values()) > 0.3


def test_speed_beside_busy_processes_is_measured_to_the_end(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    tiny = {"TIMED_TEXTS": 4, "ROUNDS": 1, "IDLE_TIMES": 1, "BUSY_TIMES": 1, "BUSY_PROCESSES": 1, "PAUSE_SECONDS": 0.0}
    for name, value in tiny.items():
        monkeypatch.setattr(benchmarks.latency_load, name, value)
    assert benchmarks.latency_load.main() in (0, 1), "so few calls decide nothing"
    found = json.loads(capsys.readouterr().out.splitlines()[-1])
    assert found.keys() == {"idle", "busy", "bounds", "held"}
    assert all(ratio > 1 for ratio in (*found["idle"], *found["busy"]))


def test_the_job_of_the_peers_is_done_from_folders_that_transformers_wrote(tmp_path: Path) -> None:
    make_material(tmp_path / "material", texts()[-600:], student=(1, 48), teacher=(1, 96))
    shapes = {"rows": 100, "batch_size": 16, "device": "cpu"}
    few, many = (
        stillhouse_loop.do(Job(str(tmp_path / "material"), str(tmp_path / f"{epochs}"), epochs=epochs, **shapes))
        for epochs in (1, 40)
    )
    assert many.explained > few.explained, "a student that learns longer copies its teacher better"
    assert many.capture_rows_per_s is not None and many.rows_per_s > 0


@pytest.mark.parametrize(("static", "steps"), [(False, 20), (True, 60)])
def test_the_game_of_the_peers_ends_in_a_classifier_that_is_tried(
    static: bool, steps: int, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    for name, value in {"TRAIN": 300, "GOLDEN": 100, "TIMED": 5}.items():
        monkeypatch.setattr(usable, name, value)
    layers = stillhouse_game.LAYERS.model_copy(update={"layers": (0, 1)})
    monkeypatch.setattr(stillhouse_game, "LAYERS", layers)
    monkeypatch.setattr(stillhouse_game, "STEPS", steps)
    usable.write_rows(tmp_path / "rows.json", few=None if static else 8)
    game = usable.Game(str(small_teacher(tmp_path / "encoder")), str(tmp_path / "rows.json"), str(tmp_path), static)
    labelled, unlabelled = game.labelled()[1], game.unlabelled()
    assert len(labelled) + len(unlabelled) == 300 and len(game.golden()[0]) == 100
    assert max(labelled.count(label) for label in labelled) == (73 if static else 8)
    found = stillhouse_game.do(game)
    assert found.accuracy > 0.3 and found.ms > 0 and 0 < found.mb < 10


def test_a_peer_is_compared_round_by_round_and_below_one_it_was_faster() -> None:
    theirs = [usable.Usable(10.0, 0.7, 2.0, 30.0), usable.Usable(30.0, 0.7, 4.0, 30.0)]
    ours = [usable.Usable(20.0, 0.8, 1.0, 10.0), usable.Usable(40.0, 0.8, 1.0, 10.0)]
    found = compared(theirs, ours)
    assert (found["ratio"], found["latency_ratio"], found["size_ratio"]) == (0.62, 3.0, 3.0)
    assert (found["seconds"], found["accuracy"], found["accuracy_by_stillhouse"]) == (20.0, 0.7, 0.8)
