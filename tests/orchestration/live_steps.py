"""Steps of a release in a running installation that are the same whatever its answers are.

Belongs here: asking its server and its model, the way of two releases, a day of an asset, erasing, a quarantine.
Does not: what is particular to a kind of answer (test_live_sets.py, test_live_numbers.py, test_live_records.py).
"""

import time
from collections.abc import Callable, Mapping, Sequence
from typing import Any

import dagster as dg
import numpy as np
import pytest
from starlette.testclient import TestClient

from assets.keys import key_of
from orchestration.auditing import audit_recipe, audit_request
from orchestration.build import definitions
from orchestration.rollout import look, move
from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse.arrays import Float32Array
from stillhouse.errors import StillhouseError
from stillhouse.live.segments import TrafficStore, day_at
from stillhouse.models.predictor import OnnxClassifier
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.deployments import DeployedRelease, Stage
from stillhouse.release.bundle import MODEL
from stillhouse.stages.facts import ChampionFacts
from stillhouse.stages.names import CHAMPION
from tests.conftest import Place
from tests.orchestration.served import now
from tests.steps import command

Said = dict[str, Any]
"""What a server answered."""


def predict(client: TestClient, text: str, caller: int, **columns: str) -> Said:
    """Ask a server one text."""
    body = {"text": text, "key": f"caller {caller}", **({"columns": columns} if columns else {})}
    found = client.post("/v1/small/predict", json=body)
    assert found.status_code == 200, found.text
    return dict(found.json())


def tell(client: TestClient, said: Said, truth: object) -> None:
    """Say what was right."""
    told = client.post("/v1/small/feedback", json={"id": said["id"], "truth": truth})
    assert told.status_code == 202, told.text


def logits_of(place: Place, release: str, texts: Sequence[str]) -> Float32Array:
    """What the model of a release says, asked without a server, one text at a time as a server does."""
    entry = place.builds.ledger.newest("small", "promotion", content=release)
    line = [] if entry is None else [DeployedRelease(release=release, manifest=entry.body["manifest"], student="one")]
    line += [] if (its := now(place).challenger) is None else [its.deployed]
    found = next(each for each in line if each.release == release)
    model = OnnxClassifier(place.builds.artifact(found.release, found.manifest).folder / MODEL)
    return np.concatenate([model.logits([text]) for text in texts])


def made(place: Place, file: RecipeFile, stage: str, day: str) -> dict[str, dg.AssetCheckEvaluation]:
    """Have Dagster make an asset of a day with its gates, and give the verdict of each."""
    job = dg.define_asset_job("some", dg.AssetSelection.assets(key_of("small", stage)))
    some = dg.Definitions.merge(definitions([file]), dg.Definitions(jobs=[job])).resolve_job_def("some")
    result = some.execute_in_process(instance=place.instance, partition_key=day)
    assert result.success
    return {each.check_name: each for each in result.get_asset_check_evaluations()}


def two_in_line(place: Place, first: Callable[[], RecipeFile], second: Callable[[], RecipeFile]) -> dict[str, str]:
    """Release twice, and give the digests: the first one serves, and the second is offered to the shadow.

    Args:
        place: with the recipe.
        first: writes the recipe of the first one.
        second: likewise.
    """
    found = {}
    for name, recipe in (("first", first), ("second", second)):
        outcome = distil(recipe(), place.home, Terminal(quiet=True))
        assert outcome.succeeded, [(gate.name, gate.sentence) for gate in outcome.closed]
        its = now(place).challenger
        found[name] = now(place).champion.release if its is None else its.deployed.release
    challenger = now(place).challenger
    assert challenger is not None and challenger.stage is Stage.SHADOW
    assert now(place).champion.release == found["first"] != found["second"]
    return found


def answers_half_of_the_callers(
    place: Place,
    said: Sequence[Said],
    releases: Mapping[str, str],
    expected: Mapping[str, Sequence[object]],
    part: str = "label",
) -> None:
    """Of 260 answers each is that of the release that gave it, and the second has given about half.

    Args:
        place: with the ledger.
        said: the answers.
        releases: digests by name.
        expected: by name, what that release says to each text.
        part: of an answer, which is compared.
    """
    names = {release: name for name, release in releases.items()}
    assert [each[part] for each in said] == [expected[names[each["release"]]][n] for n, each in enumerate(said)]
    own = [each for each in said if each["release"] == releases["second"]]
    assert 100 < len(own) < 160
    found = audit_request(place.home, "small", own[0]["id"])
    assert (found.release, found.problems, found.ok) == (releases["second"], (), True)


def becomes_champion(place: Place, file: RecipeFile, release: str) -> None:
    """After an hour of the canary the challenger takes the champion's place, and is audited."""
    assert "is the champion" in move(place.builds, file, at=time.time() + 3_700).sentence
    look(place.instance, place.builds, file)
    assert now(place).champion.release == release and now(place).challenger is None
    assert place.newest(CHAMPION).facts(ChampionFacts).release == release
    assert {state.state for state in place.states(CHAMPION).values()} == {"passed"}
    assert audit_recipe(place.home, "small").problems == ()


def erase(place: Place, caller: int) -> None:
    """One text of a caller goes."""
    store, day = TrafficStore(place.home.artifacts, "small"), day_at(time.time())
    many = store.frame(day, "texts").height
    erased = command("erase", "small", "--key", f"caller {caller}")
    assert erased.exit_code == 0 and store.frame(day, "texts").height == many - 1


def quarantine(slice_name: str) -> None:
    """Have what a person names answered by the release before, until tonight."""
    signed = ["--by", "Ann Lee <ann@example.org>", "--reason", "it is rude to people", "--until", day_at(time.time())]
    assert command("quarantine", "small", slice_name, *signed).exit_code == 0


def no_class_for_quarantine(label: str, answers: str) -> None:
    """What is no class is refused, with what answers are."""
    with pytest.raises(StillhouseError, match=f"answers are {answers}, so that there are no classes"):
        quarantine(f"label={label}")
