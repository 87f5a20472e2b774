"""What is promised of a CUDA device, on one: `make test-gpu`, which says where there was none."""

import os
import signal
import subprocess
import sys
from dataclasses import replace
from pathlib import Path

import numpy as np
import polars as pl
import pytest
import torch

from orchestration.run import distil
from orchestration.terminal import Terminal
from stillhouse import progress
from stillhouse.device import CPU, Device, device_of
from stillhouse.evaluation.harness import read_evaluations
from stillhouse.models import steps
from stillhouse.models.family import FAMILIES
from stillhouse.models.predictor import TorchClassifier
from stillhouse.models.training import TrainingReport, train
from stillhouse.models.training_examples import TrainingExamples
from stillhouse.models.weights import fingerprint_of
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.training import TrainingConfig
from stillhouse.records.ledger import Ledger
from stillhouse.stages.facts import EvaluationFacts
from stillhouse.tasks.single_label import SingleLabel
from stillhouse.teachers.classifier import build_classifier
from stillhouse.teachers.signal import SignalStore, largest_change
from stillhouse.teachers.teacher import NetworkTeacher
from tests.conftest import a_place
from tests.small import small_recipe
from tests.stillhouse.models.encoders import LABELS, QUESTIONS, published

pytestmark = [
    pytest.mark.slow,
    pytest.mark.skipif(not torch.cuda.is_available(), reason="there is no CUDA device here"),
]

TASK = SingleLabel(tuple(LABELS))
TEXTS = QUESTIONS * 8
TARGETS = np.arange(len(TEXTS)) % len(LABELS)
EXAMPLES = TrainingExamples(TEXTS, TARGETS, TASK, None, None, QUESTIONS, TARGETS[: len(QUESTIONS)])
# Five batches of three widths an epoch, the last of which is not full.
HOW = TrainingConfig(
    epochs=6, batch_size=100, loss="labels", dropout=0.1, freeze_embeddings=False, max_tokens=32, learning_rate=1e-3
)


@pytest.fixture
def cuda() -> Device:
    return device_of("cuda")


def classifier(family: str, folder: Path) -> Path:
    build_classifier(published(family, folder / "published"), LABELS, folder / "classifier", 0)
    return folder / "classifier"


@pytest.mark.parametrize("family", FAMILIES)
def test_answers_are_those_of_a_cpu(family: str, cuda: Device, tmp_path: Path) -> None:
    model = classifier(family, tmp_path)
    on_cpu, on_gpu = (TorchClassifier(model, device).answer(TEXTS) for device in (CPU, cuda))
    np.testing.assert_allclose(on_gpu.logits, on_cpu.logits, atol=1e-5)
    np.testing.assert_allclose(on_gpu.embeddings, on_cpu.embeddings, atol=1e-5)


@pytest.mark.parametrize(
    ("family", "bfloat16"),
    [(name, on) for name, family in FAMILIES.items() for on in (False, True) if family.trains_in_bfloat16 or not on],
)
def test_two_trainings_give_the_same_bits(family: str, bfloat16: bool, cuda: Device, tmp_path: Path) -> None:
    model, how = classifier(family, tmp_path), HOW.model_copy(update={"bfloat16": bfloat16})
    one, two = (train(model, tmp_path / name, EXAMPLES, how, device=cuda) for name in ("one", "two"))
    assert one.weights_digest == two.weights_digest
    other = train(model, tmp_path / "other", EXAMPLES, how.model_copy(update={"seed": 1}), device=cuda)
    assert other.weights_digest != one.weights_digest


@pytest.mark.parametrize("family", [name for name, family in FAMILIES.items() if family.can_be_recorded])
def test_a_recorded_step_learns_what_a_plain_one_does(
    family: str, cuda: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    """Without dropout, whose draws depend on the width that a step is recorded at."""
    model, how = classifier(family, tmp_path), HOW.model_copy(update={"dropout": 0.0})
    recorded = train(model, tmp_path / "recorded", EXAMPLES, how, device=cuda)
    on_cpu = train(model, tmp_path / "cpu", EXAMPLES, how)
    monkeypatch.setattr(steps, "RecordedStep", lambda plain: plain)
    plain = train(model, tmp_path / "plain", EXAMPLES, how, device=cuda)

    def losses(report: TrainingReport) -> list[float]:
        return [epoch.train_loss for epoch in report.epochs]

    np.testing.assert_allclose(losses(recorded), losses(plain), rtol=1e-3)
    np.testing.assert_allclose(losses(recorded), losses(on_cpu), rtol=1e-3)
    assert losses(recorded)[-1] < losses(recorded)[0]


def test_a_recorded_step_knows_every_loss_and_weights_that_move(
    cuda: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = classifier("bert", tmp_path)
    answers = TorchClassifier(model).answer(TEXTS, layers=(0, 1))
    states, said = answers.embeddings, answers.logits
    after = {number: each[::-1].copy() for number, each in answers.layers.items()}
    taught = replace(EXAMPLES, teacher_logits=said * 20, teacher_embeddings=states[::-1].copy(), teacher_layers=after)
    how = HOW.model_copy(
        update={
            "dropout": 0.0, "loss": "dkd", "embedding_weight": 1.0, "embedding_loss": "angles",
            "mixture": (
                LossTerm(loss="kl", temperature=2.0, weight=0.0, first_weight=3.0), LossTerm(loss="standardised_kl"),
                LossTerm(loss="logit_mse", weight=0.1), LossTerm(loss="answers"), LossTerm(loss="labels"),
                LossTerm(embedding_loss="distances", weight=5.0, first_weight=0.0, ramp_share=0.5),
                LossTerm(embedding_loss="mse", layers=(1, 0)),
            ),
        }
    )  # fmt: skip
    recorded = train(model, tmp_path / "recorded", taught, how, device=cuda)
    assert train(model, tmp_path / "again", taught, how, device=cuda).weights_digest == recorded.weights_digest
    monkeypatch.setattr(steps, "RecordedStep", lambda plain: plain)
    plain = train(model, tmp_path / "plain", taught, how, device=cuda)
    losses = [[epoch.train_loss for epoch in report.epochs] for report in (recorded, plain)]
    np.testing.assert_allclose(*losses, rtol=1e-3)


def test_most_steps_are_replayed(cuda: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    replayed = []
    replay = torch.cuda.CUDAGraph.replay
    monkeypatch.setattr(torch.cuda.CUDAGraph, "replay", lambda graph: (replayed.append(1), replay(graph))[1])
    report = train(classifier("bert", tmp_path), tmp_path / "out", EXAMPLES, HOW, device=cuda)
    assert report.steps / 2 < len(replayed) < report.steps


class StoppedError(Exception):
    """Stands for whatever ends a process."""


@pytest.mark.parametrize("family", ["bert", "mpnet"])  # recorded, and not
@pytest.mark.parametrize("stopped_after", [3, 12, 27])
def test_a_training_that_was_stopped_goes_on_to_the_same_bits(
    family: str, stopped_after: int, cuda: Device, tmp_path: Path
) -> None:
    model, how = classifier(family, tmp_path), HOW.model_copy(update={"checkpoint_every": 3})
    whole = train(model, tmp_path / "whole", EXAMPLES, how, device=cuda)

    def stop(news: progress.News) -> None:
        if isinstance(news, progress.Step) and news.done == stopped_after + 1:
            raise StoppedError

    with pytest.raises(StoppedError), progress.listening(stop):
        train(model, tmp_path / "never", EXAMPLES, how, tmp_path / "checkpoints", device=cuda)
    resumed = train(model, tmp_path / "resumed", EXAMPLES, how, tmp_path / "checkpoints", device=cuda)
    assert resumed.resumed_at == stopped_after
    assert resumed.weights_digest == whole.weights_digest
    assert resumed.epochs == whole.epochs


def test_a_checkpoint_of_another_kind_of_device_is_not_continued(cuda: Device, tmp_path: Path) -> None:
    model, checkpoints = classifier("bert", tmp_path), tmp_path / "checkpoints"
    train(model, tmp_path / "cpu", EXAMPLES, HOW, checkpoints, keep_checkpoint=True)
    assert train(model, tmp_path / "gpu", EXAMPLES, HOW, checkpoints, device=cuda).resumed_at == 0


def test_texts_that_need_more_memory_than_there_is_are_asked_in_halves(
    cuda: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    model = TorchClassifier(classifier("bert", tmp_path), cuda)
    expected, forward, rows = model.logits(TEXTS), model.network.forward, []

    def short_of_memory(ids: torch.Tensor, mask: torch.Tensor) -> tuple[torch.Tensor, torch.Tensor]:
        rows.append(len(ids))
        if len(ids) > 100:
            raise torch.OutOfMemoryError
        return forward(ids, mask)

    monkeypatch.setattr(model.network, "forward", short_of_memory)
    np.testing.assert_allclose(model.logits(TEXTS), expected, atol=1e-5)
    assert max(rows) > 100 >= min(rows)


def test_a_signal_captured_on_a_gpu_is_that_of_the_teacher_anywhere(cuda: Device, tmp_path: Path) -> None:
    model = classifier("bert", tmp_path)
    prompts = pl.DataFrame({"prompt_id": [f"{place:064x}" for place in range(len(TEXTS))], "text": TEXTS})
    store = SignalStore(tmp_path / "signal", Ledger(f"sqlite:///{tmp_path}/ledger.db"))
    fingerprint = fingerprint_of(model)
    store.capture(prompts, NetworkTeacher(model, fingerprint, cuda))
    answered = prompts.join(store.read(prompts["prompt_id"].to_list(), fingerprint), on="prompt_id")
    assert largest_change(NetworkTeacher(model, fingerprint, CPU), answered) < 1e-4
    assert largest_change(NetworkTeacher(model, fingerprint, cuda), answered) < 1e-4


def test_a_killed_training_goes_on_in_another_process(cuda: Device, tmp_path: Path) -> None:
    model, script = classifier("bert", tmp_path), tmp_path / "train.py"
    script.write_text(
        "import os, signal, sys\n"
        "from pathlib import Path\n"
        "from stillhouse import progress\n"
        "from tests.gpu.test_gpu import EXAMPLES, HOW, device_of, train\n"
        "def die(news):\n"
        "    if news.done == int(sys.argv[3]): os.kill(os.getpid(), signal.SIGKILL)\n"
        "how = HOW.model_copy(update={'checkpoint_every': 4})\n"
        "with progress.listening(die):\n"
        "    folder = Path(sys.argv[2])\n"
        "    kept, on = folder / 'kept', device_of('cuda')\n"
        "    report = train(Path(sys.argv[1]), folder / 'out', EXAMPLES, how, kept, device=on)\n"
        "print(report.resumed_at, report.weights_digest)\n"
    )

    def run(name: str, killed_at: int) -> subprocess.CompletedProcess[str]:
        command = [sys.executable, script, model, tmp_path / name, str(killed_at)]
        root = Path(__file__).parents[2]
        paths = os.pathsep.join([str(root), os.environ.get("PYTHONPATH", "")])
        return subprocess.run(
            command, capture_output=True, text=True, check=False, env={**os.environ, "PYTHONPATH": paths}
        )

    whole, killed = run("whole", 0), run("killed", 18)
    assert whole.stdout.startswith("0 "), whole.stderr
    assert killed.returncode == -signal.SIGKILL, killed.stderr
    assert run("killed", 0).stdout.split() == ["16", whole.stdout.split()[1]]


def test_the_whole_way_gives_the_same_models_twice_and_names_the_card(
    cuda: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_DEVICE", cuda.name)
    stages = ("teacher", "candidates/one", "selection")
    made = []
    for name in ("first", "second"):
        with a_place(tmp_path / name) as place:
            distil(small_recipe(place.folder), place.home, Terminal(quiet=True))
            made.append({stage: place.newest(stage) for stage in stages})
    for stage in stages:
        first, second = (each[stage] for each in made)
        assert torch.cuda.get_device_name(cuda.name) in first.manifest.device == second.manifest.device
        assert stage == "selection" or first.digest == second.digest  # a selection holds times


def test_a_teacher_that_serves_on_a_gpu_is_timed_there_whatever_it_was_trained_on(
    cuda: Device, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("STILLHOUSE_DEVICE", "cpu")
    with a_place(tmp_path / "place", measured=True) as place:
        file = small_recipe(place.folder, budget__teacher_serves_on="cuda", budget__latency_ratio_at_least=0.001)
        distil(file, place.home, Terminal(quiet=True))
        card = torch.cuda.get_device_name(cuda.name)
        assert place.newest("evaluation").facts(EvaluationFacts).teacher_timed_on == card
        for each in read_evaluations(place.newest("evaluation").folder):
            assert each.latency is not None and each.latency.teacher_device == card
            said = next(claim.sentence for claim in each.claims if claim.name == "latency_ratio")
            assert f"the teacher on {card}, by wall time" in said
            assert each.footprint is not None and each.footprint.teacher_mb is None
        assert card not in place.newest("teacher").manifest.device, "it was trained on the CPU"
