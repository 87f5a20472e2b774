"""Whether a training worked, for each seed: finite, converged, better than guessing, and the weights those reported."""

import math
from pathlib import Path
from typing import Any

import polars as pl
import pytest

import checks.candidates
from checks.candidates import (
    every_weight_and_loss_is_finite,
    the_student_beats_the_majority_class,
    the_weights_are_those_that_were_trained,
    training_converged,
)
from stillhouse.stages.facts import CandidateFacts, EpochFacts, SeedFacts, TrainingFacts
from tests.checks.hand_made import FAIL, PASS, answer_of, artifact, measured
from tests.faults.bench import Fault
from tests.faults.plants import EXPORT, ONE, edit_weights, not_a_number, trained_and
from tests.faults.students import (
    nudge,
    of_a_further_seed,
    shuffled_targets,
    trained_in_secret,
    trained_twice_and,
    trained_with,
)


def trained(*losses: float, digest: str = "aa", accuracy: float | None = 0.7) -> TrainingFacts:
    epochs = tuple(
        EpochFacts(epoch=n, train_loss=loss, validation_loss=None, validation_accuracy=accuracy)
        for n, loss in enumerate(losses)
    )
    return TrainingFacts(
        epochs=epochs, examples=9, steps=9, weights_digest=digest * 32, examples_per_second=1.0, seconds=1.0
    )


def student(training: TrainingFacts | None, *seeds: TrainingFacts, right: int | None = None) -> Any:
    facts = CandidateFacts(
        labels=("a", "b"), learns_from="teacher", layers=(0,), validation_rows=10, validation_right=right,
        training=training, seeds={n: SeedFacts(training=each) for n, each in enumerate(seeds, start=7)},
    )  # fmt: skip
    return artifact(facts, stage="candidates/five_layers", batch=None)


def test_every_loss_of_every_seed_has_to_be_finite(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(checks.candidates, "finite_weights", lambda folder: 1000)
    sentence = "2,000 weights and 3 epoch losses looked at"
    assert answer_of(every_weight_and_loss_is_finite, student(trained(2.0, 1.0), trained(1.0))) == (PASS, sentence)
    for bad in (math.nan, math.inf):
        assert answer_of(every_weight_and_loss_is_finite, student(trained(2.0, 1.0), trained(bad))) == (FAIL, sentence)


def test_the_loss_has_to_fall_below_the_limit_for_each_seed() -> None:
    assert answer_of(training_converged, student(trained(1.0, 3.0, 0.79))) == (PASS, "training loss 1.0000 to 0.7900")
    assert answer_of(training_converged, student(trained(2.0, 0.5, 1.5)))[0] is PASS, "the limit is of the first loss"
    assert measured(training_converged, student(trained(2.0, 0.5, 1.5))) == (0.75, 0.8)
    assert answer_of(training_converged, student(trained(1.0, 0.5, 0.8))) == (FAIL, "training loss 1.0000 to 0.8000")
    assert answer_of(training_converged, student(trained(1.0)))[0] is PASS, "one epoch cannot show it"
    verdict, sentence = answer_of(training_converged, student(trained(1.0, 0.5), trained(2.0, 1.9)))
    assert (verdict, sentence) == (
        FAIL,
        "training loss 1.0000 to 0.5000, training loss 2.0000 to 1.9000 (seeds/7)",
    )
    nothing = "it learns from nothing: there was nothing to train"
    assert answer_of(training_converged, student(None)) == (PASS, nothing)


@pytest.mark.parametrize(("accuracy", "verdict"), [(0.5, FAIL), (0.51, PASS), (None, FAIL)])
def test_a_student_has_to_beat_the_most_frequent_class(accuracy: float | None, verdict: object) -> None:
    labels = ["a"] * 3 + ["b"] * 2 + ["c"] + ["a"] * 50
    prompts = pl.DataFrame({"label": labels, "split": ["validation"] * 6 + ["train"] * 50})
    made_from = {"prompts": artifact(frames={"prompts": prompts})}
    found = answer_of(
        the_student_beats_the_majority_class, student(trained(1.0, accuracy=accuracy)), made_from=made_from
    )
    assert found[0] is verdict
    said = f"validation accuracy {accuracy:.3f}, most frequent class 0.500" if accuracy else "there is no validation"
    assert found[1].startswith(said)


@pytest.fixture
def published(monkeypatch: pytest.MonkeyPatch) -> dict[str, str]:
    """Digest of each folder's weights, as they are on the disk."""
    digests: dict[str, str] = {}

    def digest(path: Path) -> str:
        assert path.name == "model.safetensors"
        return digests[path.parent.name] * 32

    monkeypatch.setattr(checks.candidates, "digest_of_file", digest)
    return digests


def test_the_published_weights_are_those_that_training_reported(published: dict[str, str]) -> None:
    ships, again = trained(1.0, digest="aa"), trained(1.0, digest="bb")
    gate = the_weights_are_those_that_were_trained
    published |= {"model": "aa", "7": "bb"}
    assert answer_of(gate, student(ships, again)) == (PASS, f"model trained {'a' * 12}, seeds/7 trained {'b' * 12}")
    published["7"] = "cc"
    assert answer_of(gate, student(ships, again))[0] is FAIL
    published["7"] = "aa"
    assert answer_of(gate, student(ships, ships))[0] is FAIL, "two seeds that gave the same weights are one seed"


def test_weights_that_were_not_trained_are_those_that_are_cut_once_more(
    published: dict[str, str], monkeypatch: pytest.MonkeyPatch
) -> None:
    cut: list[tuple[Any, ...]] = []
    monkeypatch.setattr(checks.candidates, "cut_from", lambda *asked: cut.append(asked))
    teacher = artifact(stage="teacher", folder=Path("/teacher"))
    made_from = {"teacher": teacher, "transfer_set": artifact(frames={"transfer_set": pl.DataFrame({"text": ["t"]})})}
    published["model"] = "aa"
    gate = the_weights_are_those_that_were_trained
    sentence = f"not trained; cut once more {'a' * 12}, published {'a' * 12}"
    assert answer_of(gate, student(None), made_from=made_from) == (PASS, sentence)
    ((model, spec, texts, _),) = cut
    assert (model, spec.name, texts.to_list()) == (Path("/teacher/model"), "five_layers", ["t"])

    def other_weights(*asked: Any) -> None:
        published["model"] = "bb"

    monkeypatch.setattr(checks.candidates, "cut_from", other_weights)
    assert answer_of(gate, student(None), made_from=made_from)[0] is FAIL


FAULTS = [
    Fault(
        "a weight is not a number", ONE, "every_weight_and_loss_is_finite",
        trained_and(ONE, lambda folder: edit_weights(folder, not_a_number)), "holds NaN or infinity", state="stale",
        refuses=EXPORT,
    ),
    Fault(
        "the learning rate is far too low", ONE, "training_converged", trained_with(epochs=2, learning_rate=1e-9),
        "training loss",
    ),
    Fault(
        "the learning rate is far too high", ONE, "the_student_beats_the_majority_class",
        trained_with(epochs=2, learning_rate=3.0, clip_norm=1e6), "most frequent class",
    ),
    Fault(
        "the loss is no longer a number", ONE, None, trained_with(epochs=1, learning_rate=1e12, clip_norm=1e12),
        "Lower learning_rate",
    ),
    Fault(
        "targets are shuffled", ONE, "the_student_beats_the_majority_class", shuffled_targets, "most frequent class",
    ),
    Fault(
        "the weights are not those that were trained", ONE, "the_weights_are_those_that_were_trained",
        trained_and(ONE, lambda folder: edit_weights(folder, nudge)), "trained",
    ),
    Fault(
        "a student that was to stay as it is was changed", ONE, "the_weights_are_those_that_were_trained",
        trained_in_secret, "not trained; cut once more",
    ),
    Fault(
        "a weight of a further seed is not a number", ONE, "every_weight_and_loss_is_finite",
        trained_twice_and(of_a_further_seed(lambda folder: edit_weights(folder, not_a_number))),
        "holds NaN or infinity", state="stale",
    ),
    Fault(
        "a further seed gave the very same weights", ONE, "the_weights_are_those_that_were_trained",
        trained_twice_and(lambda folder: None), "seeds/1 trained",
    ),
]  # fmt: skip
