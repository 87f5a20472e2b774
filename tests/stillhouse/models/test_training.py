"""A training learns, gives the same bits again, goes on where it was killed, and refuses what cannot be learned."""

import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path
from types import SimpleNamespace
from typing import Any

import numpy as np
import pytest
import torch
from pydantic import ValidationError

from stillhouse import progress
from stillhouse.device import CPU
from stillhouse.errors import StillhouseError
from stillhouse.models.losses import combined_loss, contrast
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import TrainingReport, _epoch_batches, _run_digest, train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.single_label import LOSSES, SingleLabel
from tests.stillhouse.conftest import LABELS
from tests.warm import WarmParent

TASK = SingleLabel(tuple(LABELS))
LABELS_ONLY = TrainingConfig(epochs=8, batch_size=8, learning_rate=3e-3, loss="labels", dropout=0.1, threads=1)


@pytest.fixture
def examples(questions: tuple[list[str], list[int]]) -> TrainingExamples:
    texts, labels = questions
    return TrainingExamples(texts[:48], np.array(labels[:48]), TASK, None, None, texts[48:], np.array(labels[48:]))


def taught(examples: TrainingExamples, teacher: Path) -> TrainingExamples:
    said = TorchClassifier(teacher).answer(examples.texts)
    return replace(examples, teacher_logits=said.logits, teacher_embeddings=said.embeddings)


@pytest.mark.long
def test_a_teacher_learns_its_labels(classifier: Path, examples: TrainingExamples, tmp_path: Path) -> None:
    report = train(classifier, tmp_path / "out", examples, LABELS_ONLY)
    assert [epoch.epoch for epoch in report.epochs] == list(range(8))
    assert report.epochs[-1].train_loss < report.epochs[0].train_loss / 2
    assert report.epochs[-1].validation_accuracy == 1.0
    predicted = TorchClassifier(tmp_path / "out").logits(examples.validation_texts).argmax(1)
    assert (predicted == examples.validation_targets).all()
    assert (report.examples, report.steps, report.resumed_at) == (48, 48, 0)


@pytest.mark.long
def test_a_student_comes_to_answer_as_its_teacher(classifier: Path, examples: TrainingExamples, tmp_path: Path) -> None:
    from stillhouse.students.pruning import drop_layers

    train(classifier, tmp_path / "teacher", examples, LABELS_ONLY)
    drop_layers(tmp_path / "teacher", [0, 2], tmp_path / "cut")
    unlabelled = taught(replace(examples, targets=np.full(48, -1)), tmp_path / "teacher")
    config = TrainingConfig(epochs=25, batch_size=8, learning_rate=2e-3, embedding_weight=1.0, threads=1)
    train(tmp_path / "cut", tmp_path / "student", unlabelled, config)
    error = {
        name: np.abs(TorchClassifier(tmp_path / name).logits(examples.texts) - unlabelled.teacher_logits).mean()
        for name in ("cut", "student")
    }
    assert error["student"] < error["cut"] / 5


@pytest.mark.long
def test_two_trainings_give_the_same_bits(classifier: Path, examples: TrainingExamples, tmp_path: Path) -> None:
    reports = [train(classifier, tmp_path / name, examples, LABELS_ONLY) for name in ("one", "two")]
    assert fingerprint_of(tmp_path / "one") == fingerprint_of(tmp_path / "two")
    assert reports[0].weights_digest == reports[1].weights_digest
    other = train(classifier, tmp_path / "other", examples, LABELS_ONLY.model_copy(update={"seed": 1}))
    assert other.weights_digest != reports[0].weights_digest


KILLED_TRAINING = """
    import os, signal, sys
    from pathlib import Path
    import numpy as np
    from stillhouse import progress
    from stillhouse.models.training import train
    from stillhouse.models.training_examples import TrainingExamples
    from stillhouse.recipe.training import TrainingConfig
    from stillhouse.tasks.single_label import LOSSES, SingleLabel

    model, checkpoints, config, arrays = sys.argv[1:]
    data = np.load(arrays)
    examples = TrainingExamples(
        data["texts"].tolist(), data["labels"], SingleLabel(tuple(data["classes"].tolist())), None, None,
        data["validation"].tolist(), data["validation_labels"],
    )

    def die(news):
        if news.done == 18:  # 6 steps are an epoch
            os.kill(os.getpid(), signal.SIGKILL)

    with progress.listening(die):
        how = TrainingConfig.model_validate_json(config)
        train(Path(model), Path(checkpoints) / "never", examples, how, Path(checkpoints))
"""


def kill_at_third_epoch(
    parent: WarmParent, model: Path, checkpoints: Path, examples: TrainingExamples, config: TrainingConfig
) -> None:
    arrays = checkpoints.parent / "examples.npz"
    np.savez(
        arrays,
        texts=np.array(examples.texts),
        labels=examples.targets,
        classes=np.array(TASK.classes),
        validation=np.array(examples.validation_texts),
        validation_labels=examples.validation_targets,
    )
    done = parent.run(KILLED_TRAINING, model, checkpoints, config.model_dump_json(), arrays)
    assert done.returncode == -signal.SIGKILL
    assert not (checkpoints / "never").exists()


def without_clock(report: TrainingReport) -> TrainingReport:
    return replace(report, seconds=0.0, examples_per_second=0.0, resumed_at=0)


@pytest.mark.long
def test_a_killed_training_resumes_to_the_same_bits(
    parent: WarmParent, classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    config = LABELS_ONLY.model_copy(update={"checkpoint_every": 5})  # not on an epoch's end: 6 steps are an epoch
    uninterrupted = train(classifier, tmp_path / "uninterrupted", examples, config)
    checkpoints = tmp_path / "checkpoints"
    kill_at_third_epoch(parent, classifier, checkpoints, examples, config)

    resumed = train(classifier, tmp_path / "resumed", examples, config, checkpoints)
    assert resumed.resumed_at == 15
    assert fingerprint_of(tmp_path / "resumed") == fingerprint_of(tmp_path / "uninterrupted")
    assert without_clock(resumed) == without_clock(uninterrupted)  # the losses of every epoch, too
    assert not list(checkpoints.glob("*.safetensors"))

    # a checkpoint of other data or another configuration is not continued
    kill_at_third_epoch(parent, classifier, checkpoints, examples, config)
    swapped = replace(examples, targets=np.roll(examples.targets, 1))
    assert train(classifier, tmp_path / "a", swapped, config, checkpoints).resumed_at == 0


@pytest.mark.long
def test_a_finished_training_that_kept_its_checkpoint_is_not_done_again(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    first, again = (
        train(classifier, tmp_path / name, examples, LABELS_ONLY, tmp_path / "checkpoints", keep_checkpoint=True)
        for name in ("first", "again")
    )
    assert (first.resumed_at, again.resumed_at) == (0, again.steps)
    assert fingerprint_of(tmp_path / "first") == fingerprint_of(tmp_path / "again")
    assert without_clock(first) == without_clock(again)
    train(classifier, tmp_path / "last", examples, LABELS_ONLY, tmp_path / "checkpoints")
    assert not list((tmp_path / "checkpoints").glob("*.safetensors"))


@pytest.mark.long
def test_checkpoints_change_nothing(classifier: Path, examples: TrainingExamples, tmp_path: Path) -> None:
    often = LABELS_ONLY.model_copy(update={"checkpoint_every": 1})
    train(classifier, tmp_path / "with", examples, often, tmp_path / "checkpoints")
    train(classifier, tmp_path / "without", examples, LABELS_ONLY)
    assert fingerprint_of(tmp_path / "with") == fingerprint_of(tmp_path / "without")


@pytest.mark.long
def test_frozen_embeddings_stay_and_others_move(classifier: Path, examples: TrainingExamples, tmp_path: Path) -> None:
    from safetensors.torch import load_file

    name = "bert.embeddings.word_embeddings.weight"
    before = load_file(classifier / "model.safetensors")
    for frozen in (True, False):
        config = LABELS_ONLY.model_copy(update={"freeze_embeddings": frozen, "epochs": 1})
        train(classifier, tmp_path / "out", examples, config)
        after = load_file(tmp_path / "out/model.safetensors")
        assert after[name].equal(before[name]) == frozen
        assert not after["classifier.weight"].equal(before["classifier.weight"])


@pytest.mark.long
def test_a_head_alone_is_trained_on_states_that_stay(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    from safetensors.torch import load_file

    config = LABELS_ONLY.model_copy(update={"freeze_embeddings": False, "learning_rate": 3e-2})
    report = train(classifier, tmp_path / "head", examples, config, head_alone=True)
    before, after = (load_file(folder / "model.safetensors") for folder in (classifier, tmp_path / "head"))
    moved = {name for name in before if not torch.equal(before[name], after[name])}
    assert moved == {"classifier.weight", "classifier.bias"}
    assert report.epochs[-1].train_loss < report.epochs[0].train_loss
    assert _run_digest(classifier, examples, config, CPU) != _run_digest(
        classifier, examples, config, CPU, head_alone=True
    )


def test_labels_alone_skip_the_rows_without_a_label(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    some = examples.targets.copy()
    some[::2] = -1
    config = LABELS_ONLY.model_copy(update={"epochs": 1})
    assert train(classifier, tmp_path / "out", replace(examples, targets=some), config).examples == 24
    with pytest.raises(StillhouseError, match="nothing to learn from"):
        train(classifier, tmp_path / "out", replace(examples, targets=np.full(48, -1)), config)


def test_every_example_comes_once_an_epoch_and_epochs_differ() -> None:
    lengths = np.array([3 + place % 11 for place in range(101)])
    config = TrainingConfig(batch_size=8)
    epochs = [_epoch_batches(lengths, config, epoch) for epoch in (0, 0, 1)]
    for batches in epochs:
        assert sorted(np.concatenate(batches).tolist()) == list(range(101))
        assert len(batches) == 13
    assert all((a == b).all() for a, b in zip(epochs[0], epochs[1], strict=True))
    assert [b.tolist() for b in epochs[0]] != [b.tolist() for b in epochs[2]]
    spread = [lengths[batch].max() - lengths[batch].min() for batch in epochs[0]]
    assert np.mean(spread) < 5  # all lengths: 10


@pytest.mark.long
@pytest.mark.parametrize(
    ("change", "said"),
    [
        ({"teacher_logits": None}, "no teacher_logits for 48 texts"),
        ({"teacher_logits": np.zeros((47, 3), np.float32)}, "47 rows of teacher_logits for 48"),
        ({"teacher_logits": np.zeros((48, 4), np.float32)}, "teacher logits of shape"),
        ({"teacher_logits": np.full((48, 3), np.nan, np.float32)}, "expected one finite row"),
        ({"teacher_embeddings": np.zeros((48, 5), np.float32)}, "teacher embeddings of shape"),
        ({"targets": np.full(48, 3)}, "label ids outside"),
        ({"targets": np.full(48, -2)}, "label ids outside"),
    ],
)
def test_targets_that_do_not_fit_are_refused_before_any_compute(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, change: dict, said: str
) -> None:
    broken = replace(taught(examples, classifier), **change)
    with pytest.raises(StillhouseError, match=said):
        train(classifier, tmp_path / "out", broken, TrainingConfig(epochs=1, embedding_weight=1.0))
    assert not (tmp_path / "out").exists()


@pytest.mark.long
def test_relations_between_states_are_learned_from_a_teacher_of_another_width(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    wide = np.random.default_rng(0).normal(size=(48, 50)).astype(np.float32)
    unlike = replace(taught(examples, classifier), teacher_embeddings=wide)
    how = TrainingConfig(epochs=6, learning_rate=3e-3, embedding_weight=20.0, embedding_loss="distances")
    losses = [epoch.train_loss for epoch in train(classifier, tmp_path / "out", unlike, how).epochs]
    assert losses[-1] < 0.9 * losses[0]
    with pytest.raises(StillhouseError, match="teacher embeddings of shape"):
        within = how.model_copy(update={"mixture": (LossTerm(embedding_loss="cosine"),)})
        train(classifier, tmp_path / "out", unlike, within)


@pytest.mark.long
def test_layers_of_a_student_come_near_to_those_that_they_learn(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    from stillhouse.students.pruning import drop_layers

    said = TorchClassifier(classifier).answer(examples.texts, layers=(1, 2))
    drop_layers(classifier, [0, 2], tmp_path / "cut")
    taught = replace(examples, teacher_logits=said.logits, teacher_layers=said.layers)
    how = TrainingConfig(epochs=8, batch_size=8, learning_rate=3e-3, threads=1)
    term = LossTerm(embedding_loss="mse", weight=20.0, layers=(1, 2))
    apart = {}
    for name, mixture in (("alone", ()), ("matched", (term,)), ("again", (term,))):
        train(tmp_path / "cut", tmp_path / name, taught, how.model_copy(update={"mixture": mixture}))
        own = TorchClassifier(tmp_path / name).answer(examples.texts, layers=(0, 1)).layers
        apart[name] = [float(((own[layer] - said.layers[layer + 1]) ** 2).mean()) for layer in (0, 1)]
    assert all(near < 0.7 * far for near, far in zip(apart["matched"], apart["alone"], strict=True)), apart
    assert fingerprint_of(tmp_path / "matched") == fingerprint_of(tmp_path / "again")


@pytest.mark.parametrize(
    ("layers", "states", "says"),
    [
        ((None, 1), {}, "no states after layer 1 of the teacher for 48 texts"),
        ((None, 1), {1: (47, 32)}, "47 rows of states after layer 1 of the teacher for 48 texts"),
        ((None, 1), {1: (48, 16)}, r"states after the teacher's layers of shape \(16,\); expected the student's width"),
        ((None, None, None, 1), {1: (48, 32)}, "a layer 3 that learns another; expected one of 3 layers"),
    ],
)
def test_layers_that_have_nothing_to_learn_are_refused_before_any_compute(
    classifier: Path, examples: TrainingExamples, tmp_path: Path,
    layers: tuple[int | None, ...], states: dict[int, tuple[int, int]], says: str,
) -> None:  # fmt: skip
    after = {number: np.zeros(shape, np.float32) for number, shape in states.items()}
    broken = replace(taught(examples, classifier), teacher_layers=after)
    with pytest.raises(StillhouseError, match=says):
        how = TrainingConfig(epochs=1, mixture=(LossTerm(embedding_loss="mse", layers=layers),))
        train(classifier, tmp_path / "out", broken, how)
    assert not (tmp_path / "out").exists()


def test_a_training_of_other_states_is_another_run(classifier: Path, examples: TrainingExamples) -> None:
    how = TrainingConfig(epochs=1, mixture=(LossTerm(embedding_loss="mse", layers=(1,)),))
    some, others = (replace(examples, teacher_layers={1: np.full((48, 32), n, np.float32)}) for n in (0, 1))
    assert _run_digest(classifier, some, how, CPU) != _run_digest(classifier, others, how, CPU)


def test_a_term_without_layers_is_written_as_before_there_were_any() -> None:
    assert "layers" not in LossTerm(embedding_loss="mse").model_dump(mode="json"), "else another digest"


@pytest.mark.long
def test_the_weight_of_a_term_moves_in_a_line_and_a_resumed_training_goes_on_in_it(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    ramp = LossTerm(loss="labels", weight=0.8, first_weight=0.2, ramp_share=0.5)
    assert [ramp.weight_at(share) for share in (0, 0.25, 0.5, 1)] == pytest.approx([0.2, 0.5, 0.8, 0.8])
    down = LossTerm(embedding_loss="mse", weight=0.0, first_weight=3.0)
    assert [down.weight_at(share) for share in (0, 0.5, 1)] == [3.0, 1.5, 0.0]
    weighed: list[list[float]] = []

    def seen(*asked: Any, weights: Any, **how: Any) -> Any:
        weighed.append([float(weight) for weight in weights])
        return combined_loss(*asked, weights=weights, **how)

    how = TrainingConfig(epochs=2, batch_size=16, mixture=(ramp, down), threads=1, checkpoint_every=2)
    rows = taught(examples, classifier)
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr("stillhouse.models.steps.combined_loss", seen)
        whole = train(classifier, tmp_path / "whole", rows, how)
    assert np.array(weighed) == pytest.approx(
        np.array([[0.2, 0.44, 0.68, 0.8, 0.8, 0.8], [3.0, 2.4, 1.8, 1.2, 0.6, 0.0]]).T
    )

    class StoppedError(Exception):
        pass

    def stop(news: progress.News) -> None:
        if isinstance(news, progress.Step) and news.done == 5:
            raise StoppedError

    with pytest.raises(StoppedError), progress.listening(stop):
        train(classifier, tmp_path / "never", rows, how, tmp_path / "checkpoints")
    resumed = train(classifier, tmp_path / "resumed", rows, how, tmp_path / "checkpoints")
    assert (resumed.resumed_at, resumed.weights_digest) == (4, whole.weights_digest)


def test_a_loss_that_is_not_finite_stops_the_training(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    huge = replace(taught(examples, classifier), teacher_logits=np.full((48, 3), 1e30, np.float32))
    with pytest.raises(StillhouseError, match="the loss is inf"):
        train(classifier, tmp_path / "out", huge, TrainingConfig(epochs=1))


@pytest.mark.long
def test_whoever_watches_hears_of_every_step_and_how_the_epochs_went(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    heard: list[progress.News] = []
    with progress.listening(heard.append):
        report = train(classifier, tmp_path / "out", examples, LABELS_ONLY)
    steps = [news for news in heard if isinstance(news, progress.Step)]
    assert [(news.done, news.total) for news in steps] == [(done, 48) for done in range(1, 49)]
    assert steps[0].note == "epoch 1 of 8"
    last = report.epochs[-1]
    assert steps[-1].note.startswith(f"epoch 8 of 8: loss {last.train_loss:.4f}, validation accuracy ")


@pytest.mark.long
def test_the_trained_folder_truncates_where_training_did(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    train(classifier, tmp_path / "out", examples, LABELS_ONLY.model_copy(update={"epochs": 1, "max_tokens": 6}))
    answers = TorchClassifier(tmp_path / "out").answer(["how many many many many many kings"])
    assert answers.tokens.tolist() == [6]


@pytest.mark.parametrize(
    ("settings", "says"),
    [
        ({"loss": "labels", "label_weight": 0.5}, "label_weight mixes labels into a teacher's loss"),
        ({"loss": "labels", "mixture": [{"loss": "kl"}]}, "mixture adds to a teacher's loss"),
        ({"loss": "kl", "contrast_weight": 1}, "contrast_weight: belongs to loss labels"),
        ({"loss": "kl", "mixture": [{"loss": "kl"}]}, "mixture: kl is the loss already"),
        ({"loss": "kl", "smoothing": 0.2}, "smoothing: belongs to loss answers"),
        ({"loss": "kl", "non_target_weight": 2}, "non_target_weight: belongs to loss dkd"),
        ({"mixture": [{"loss": "dkd", "smoothing": 0.2}]}, "smoothing: belongs to loss answers"),
        ({"mixture": [{"weight": 1.0}]}, "loss, embedding_loss: one of them must be given"),
        ({"mixture": [{"loss": "kl", "embedding_loss": "mse"}]}, "one of them must be given, and not both"),
        ({"mixture": [{"loss": "kl", "layers": "as_cut"}]}, "layers: belongs to embedding_loss"),
        ({"mixture": [{"embedding_loss": "mse", "layers": [None, None]}]}, "layers: at least one has to learn another"),
        ({"mixture": [{"embedding_loss": "mse", "layers": []}]}, "layers: at least one has to learn another"),
        ({"mixture": [{"embedding_loss": "mse", "layers": [-1]}]}, "greater than or equal to 0"),
        (
            {"batch_size": 2, "mixture": [{"embedding_loss": "angles", "layers": [0]}]},
            "batch_size: at least 3 where distances or angles",
        ),
        ({"mixture": [{"loss": "kl", "weight": 0}]}, "first_weight: must be given where weight is 0"),
        ({"mixture": [{"loss": "kl", "ramp_share": 0.5}]}, "first_weight: must be given where"),
        ({"batch_size": 2, "embedding_weight": 1, "embedding_loss": "angles"}, "batch_size: at least 3"),
    ],
)
def test_losses_that_do_not_go_together_are_a_mistake(settings: dict[str, object], says: str) -> None:
    with pytest.raises(ValidationError, match=says):
        TrainingConfig.model_validate(settings)


def test_a_recipe_of_0_1_0_calls_the_loss_of_labels_cross_entropy() -> None:
    assert TrainingConfig.model_validate({"loss": "cross_entropy"}).loss == "labels"


def test_a_loss_that_the_task_does_not_have_is_refused_with_those_it_has(
    classifier: Path, examples: TrainingExamples, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.delitem(LOSSES, "dkd")
    for how in (TrainingConfig(loss="dkd"), TrainingConfig(mixture=(LossTerm(loss="dkd"),))):
        with pytest.raises(StillhouseError, match=r"no loss 'dkd'.*expected labels, kl, standardised_kl, logit_mse"):
            train(classifier, tmp_path / "out", taught(examples, classifier), how)


def test_a_contrast_brings_texts_of_one_label_nearer_than_labels_alone(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    def apart(weight: float) -> float:
        """How far texts of one label are from each other, beside those of others."""
        config = LABELS_ONLY.model_copy(update={"epochs": 4, "learning_rate": 1e-3, "contrast_weight": weight})
        train(classifier, tmp_path / f"by {weight}", examples, config)
        states = torch.from_numpy(TorchClassifier(tmp_path / f"by {weight}").answer(examples.texts).embeddings)
        labels = torch.from_numpy(np.asarray(examples.targets))
        return contrast(states, labels, torch.ones(len(labels))).mean().item()

    without, by = apart(0.0), apart(1.0)
    assert by < 0.95 * without


def test_answers_that_are_no_classes_have_nothing_to_contrast(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    config = LABELS_ONLY.model_copy(update={"contrast_weight": 1.0})
    amounts = SimpleNamespace(classes=None, teacher_losses={})
    with pytest.raises(StillhouseError, match=r"training.contrast_weight: .*no two texts share one"):
        train(classifier, tmp_path / "out", replace(examples, task=amounts), config)  # type: ignore[arg-type]


def test_answers_of_another_task_than_the_networks_are_refused(
    classifier: Path, examples: TrainingExamples, tmp_path: Path
) -> None:
    other = replace(examples, task=SingleLabel(("a", "b", "c")))
    with pytest.raises(StillhouseError, match="answers of a, b, c; expected those of the network: number, person"):
        train(classifier, tmp_path / "out", other, LABELS_ONLY)


@pytest.mark.long
def test_importing_the_configuration_costs_no_torch() -> None:
    script = "import sys, stillhouse.models.training; assert not {'torch', 'transformers'} & set(sys.modules)"
    subprocess.run([sys.executable, "-c", script], check=True)


def test_a_checkpoint_is_of_the_code_the_torch_and_the_threads_that_made_it(
    classifier: Path, examples: TrainingExamples, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Each of them may give other bits, and the manifest names one of each."""

    def digest() -> str:
        return _run_digest(classifier, examples, LABELS_ONLY, CPU)

    before = digest()
    assert digest() == before
    threads = torch.get_num_threads()
    torch.set_num_threads(threads + 1)
    assert digest() != before
    torch.set_num_threads(threads)
    for name, value in (("torch.__version__", "9.9.9"), ("stillhouse.models.training.closure_digest", lambda _: "x")):
        with monkeypatch.context() as patches:
            patches.setattr(name, value)
            assert digest() != before, name
