"""Faults of a release that is on its way to take over, beside the champion of the finished installation.

Belongs here: how each is planted.
Does not: which gate has to close on it (beside the tests of that gate, tests/checks), what is asked of it (asked.py).
"""

import json
import shutil
import time
from collections.abc import Callable, Iterable
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import polars as pl

from assets.keys import key_of
from assets.materializations import newest_artifact
from stillhouse.live.segments import SECONDS_A_DAY
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, BuildRequest
from stillhouse.records.deployments import desired
from stillhouse.records.rollouts import offer
from stillhouse.release.bundle import MODEL, ReleaseRecord
from stillhouse.release.probe import PROBE
from stillhouse.serving.requests import Feedback
from stillhouse.serving.traffic_logs import log_of
from stillhouse.stages.champion import deployed
from stillhouse.stages.names import RELEASE
from tests.faults.bench import NAME, Bench, Plant
from tests.small import questions
from tests.stillhouse.serving.killed import served

PEOPLE = {"name": "people", "column": "label", "values": ["HUM"], "critical": True}
TEXTS = questions(400)["question"].to_list()[200:320]
Change = Callable[[Path], None]


def recipe_of(bench: Bench, **changes: Any) -> RecipeFile:
    """A recipe whose releases have to show themselves first; a wide margin is proven by few requests."""
    rollout = {"shadow": {"margin": 0.5}}
    wanted = {"traffic": {"days": 90, "text_days": 14}, "rollout": rollout, "slices": [PEOPLE], **changes}
    return bench.recipe(**wanted)


def offered(bench: Bench, change: Change) -> Artifact:
    """The champion's release with something changed, on its way to take over from it."""
    builds = bench.place.builds
    release = newest_artifact(builds, key_of(NAME, RELEASE))

    def build(folder: Path) -> ReleaseRecord:
        shutil.copytree(release.folder, folder, dirs_exist_ok=True)
        change(folder)
        return release.facts(ReleaseRecord)

    inputs = [builds.artifact(each.digest, each.manifest) for each in release.manifest.inputs.values()]
    made = builds.make(BuildRequest(NAME, RELEASE, "run", "v", {"change": change.__qualname__}, inputs=inputs), build)
    seen = desired(builds.ledger, NAME)
    assert seen is not None
    offer(builds.ledger, NAME, deployed(made), seen=seen, export="another", run_id="run", relied_on=())
    return made


def asked(bench: Bench, file: RecipeFile, texts: Iterable[str]) -> None:
    """Somebody asks the champion, from now on."""
    log = log_of(bench.place.home, file, "r1")
    for place, text in enumerate(texts):
        log.put(replace(served(f"id{place}", at=time.time() + 1), text=text))
    log.close()


def beside(change: Change, texts: Iterable[str] = TEXTS) -> Plant:
    """A challenger that is changed, and requests since it was offered."""

    def plant(bench: Bench) -> RecipeFile:
        file = recipe_of(bench)
        offered(bench, change)
        asked(bench, file, texts)
        return file

    return plant


def unchanged(folder: Path) -> None:
    (folder / "note").write_text("the same model in another bundle")


def _labels(folder: Path, change: Callable[[list[str]], list[str]]) -> None:
    path = folder / MODEL / "config.json"
    config = json.loads(path.read_text())
    names = change([config["id2label"][str(place)] for place in range(len(config["id2label"]))])
    config["id2label"] = {str(place): name for place, name in enumerate(names)}
    path.unlink()
    path.write_text(json.dumps(config))


def with_every_class_renamed(folder: Path) -> None:
    """Names are sorted wherever they are read, so that two which change places would change nothing."""
    _labels(folder, lambda names: [f"{name}_" for name in names])


def with_people_renamed(folder: Path) -> None:
    _labels(folder, lambda names: ["HUMAN" if name == "HUM" else name for name in names])


def with_another_probe(folder: Path) -> None:
    path = folder / PROBE
    probe = json.loads(path.read_text())
    probe["logits"] = [row[::-1] for row in probe["logits"]]
    path.unlink()
    path.write_text(json.dumps(probe))


def with_people_for_the_champion(bench: Bench) -> RecipeFile:
    """Truth judges, of some days later: what was asked was that, and nobody asks the teacher, who would not answer."""

    def never(real: object) -> Callable[..., pl.DataFrame]:
        def asked_all_the_same(*_: object, **__: object) -> pl.DataFrame:
            raise AssertionError("the teacher is asked where truth judges")

        return asked_all_the_same

    feedback = {"days": 90, "text_days": 14, "feedback": "complete", "matures_after_days": 1}
    file = recipe_of(bench, traffic=feedback, rollout={"shadow": {"margin": 0.5, "judge_by": "truth"}})
    offered(bench, with_every_class_renamed)
    asked(bench, file, TEXTS)
    truths, log = dict(questions(400).select("question", "service").iter_rows()), log_of(bench.place.home, file, "r2")
    for place, text in enumerate(TEXTS):
        log.put(Feedback(f"id{place}", at=time.time() + 2, recipe=NAME, truth=truths[text], by="desk"))
    log.close()
    later = time.time() + 3 * SECONDS_A_DAY
    bench.patch("stillhouse.stages.shadow:ask_live", never)
    bench.patch("stillhouse.stages.shadow:time", lambda real: SimpleNamespace(time=lambda: later))
    return file


def of_a_teacher_that_says_nothing(bench: Bench) -> RecipeFile:
    nothing = pl.Series("answer", [None], dtype=pl.String)
    bench.patch(
        "stillhouse.stages.shadow:ask_live",
        lambda real: lambda builds, file, teacher, texts, at: nothing.new_from_index(0, len(texts)).to_frame(),
    )
    return beside(with_people_renamed)(bench)


WORSE, SLICE = "the_challenger_is_not_worse", "no_critical_slice_is_worse"
JUDGE, AS_JUDGED = "the_judge_answered_where_they_differ", "the_challenger_answers_as_judged"
