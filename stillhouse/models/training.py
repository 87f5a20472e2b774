"""One training loop, for teachers (labels) and students (what a teacher said).

Belongs here: the loop, its report, checkpoint and resume.
Does not: what it learns from (training_examples.py), losses (losses.py), the network (network.py), capture of teacher
answers (teachers/signal.py): no teacher runs here, its answers come in as arrays.

The same examples and configuration give bit-equal weights on the same machine and kind of device, also when the run was
killed and resumed.
"""

import hashlib
import json
import math
import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np

from stillhouse import progress
from stillhouse.arrays import Float32Array, IntArray
from stillhouse.device import CPU, Device
from stillhouse.errors import StillhouseError
from stillhouse.models.checkpoint import EpochReport, Progress, discard_checkpoint, resume, save_checkpoint
from stillhouse.models.losses import TargetTensors
from stillhouse.models.tokenization import Reader, batches_by_length, tokenizer_text
from stillhouse.models.training_examples import TrainingExamples, require_fitting, require_range, usable
from stillhouse.recipe.training import TrainingConfig
from stillhouse.source_code import closure_digest

if TYPE_CHECKING:
    from torch import Tensor

    from stillhouse.models.batches import TokenTable
    from stillhouse.models.network import TextClassifier
    from stillhouse.models.steps import StepOf


@dataclass(frozen=True, slots=True)
class TrainingReport:
    """How a training went.

    Attributes:
        epochs: one report each.
        examples: rows trained on; fewer than given when only labelled rows can be used.
        steps: optimiser steps in all.
        resumed_at: the step a checkpoint continued from, 0 for a run from the start.
        examples_per_second: over the steps of this process.
        seconds: wall time of this process, loading and saving included.
        weights_digest: sha256 of the final model.safetensors.
    """

    epochs: list[EpochReport]
    examples: int
    steps: int
    resumed_at: int
    examples_per_second: float
    seconds: float
    weights_digest: str


def train(
    model: Path,
    out: Path,
    examples: TrainingExamples,
    config: TrainingConfig,
    checkpoints: Path | None = None,
    *,
    keep_checkpoint: bool = False,
    head_alone: bool = False,
    device: Device = CPU,
) -> TrainingReport:
    """Train a model folder into another.

    Args:
        model: where to start from.
        out: the model folder to write.
        examples: what to learn from.
        config: how.
        checkpoints: folder for the checkpoint of a run under way; None keeps none. A checkpoint of other data, another
            model or configuration is ignored, and a finished run leaves none.
        keep_checkpoint: let a finished run leave one all the same, so that it is not trained again when what it is a
            part of is killed later; whoever asks for it discards it.
        head_alone: train the classifier and leave the whole encoder as it is.
        device: where it is trained.

    Raises:
        StillhouseError: if examples and configuration do not fit, or the loss stops being finite.
    """
    examples = usable(examples, config)
    with _reproducible(config, device):
        return _train(model, out, examples, config, checkpoints, keep_checkpoint, head_alone, device)


def _train(
    model: Path,
    out: Path,
    examples: TrainingExamples,
    config: TrainingConfig,
    checkpoints: Path | None,
    keep_checkpoint: bool,
    head_alone: bool,
    device: Device,
) -> TrainingReport:
    import torch

    from stillhouse.models import network as networks
    from stillhouse.models.batches import TokenTable
    from stillhouse.models.preflight import require_invariances
    from stillhouse.models.steps import PlainStep, RecordedStep

    start = time.perf_counter()
    run = _run_digest(model, examples, config, device, head_alone=head_alone)
    network = networks.load(model, dropout=config.dropout)
    require_fitting(examples, network, config)
    require_range(config, network)
    network.to(device.name)
    _freeze(network, config, head_alone=head_alone)

    limit, pad_id = min(config.max_tokens, network.longest_text), int(network.config["pad_token_id"])
    read = Reader(model, limit)
    texts = TokenTable(read(examples.texts), pad_id, limit, device)
    watched = TokenTable(read(examples.validation_texts), pad_id, limit, device)
    plain = PlainStep(network, texts, _targets(examples, device), examples.task, config)
    learn: StepOf = RecordedStep(plain) if device.kind == "cuda" and network.family.can_be_recorded else plain
    steps_per_epoch = math.ceil(len(texts.lengths) / config.batch_size)
    steps = steps_per_epoch * config.epochs

    require_invariances(network, texts, plain.targets, examples.task, config)
    state = resume(checkpoints, run, plain.trained, plain.optimizer, device) if checkpoints else Progress()
    resumed_at, seen, loop_start = state.step, 0, time.perf_counter()
    batches: list[tuple[Tensor, int]] = []
    unread: list[Tensor] = []  # reading a loss waits for the device: it is done once for many steps
    while state.step < steps:
        epoch, batch_index = divmod(state.step, steps_per_epoch)
        if batch_index == 0 or not batches:
            order = _epoch_batches(texts.lengths, config, epoch)
            batches = [(torch.from_numpy(rows).to(device.name), texts.width(rows)) for rows in order]
            _prepare_epoch(network, head_alone=head_alone)
        rows, width = batches[batch_index]
        rate = config.learning_rate * _schedule(state.step, steps, config.warmup_share)
        unread.append(learn(rows, width, rate, state.step / max(steps - 1, 1)))
        state.step += 1
        seen += len(rows)

        epoch_ends, checkpoint_due = batch_index + 1 == steps_per_epoch, state.step % config.checkpoint_every == 0
        if epoch_ends or checkpoint_due:
            state.epoch_loss = _summed(state.epoch_loss, torch.stack(unread).tolist(), state.step)
            unread.clear()
        if epoch_ends:
            mean_loss = state.epoch_loss / len(texts.lengths)
            state.epochs.append(_close_epoch(network, watched, examples, mean_loss, epoch))
            state.epoch_loss = 0.0
        progress.step("training", state.step, steps, _note(state.epochs, config.epochs))
        if checkpoints and checkpoint_due and state.step < steps:
            save_checkpoint(checkpoints, run, state, plain.trained, plain.optimizer, device)
    loop_seconds = time.perf_counter() - loop_start

    networks.save(network.cpu().state_dict(), network.config, tokenizer_text(model, limit), out)
    if checkpoints and keep_checkpoint:
        save_checkpoint(checkpoints, run, state, plain.trained, plain.optimizer, device)
    elif checkpoints:
        discard_checkpoint(checkpoints)
    return TrainingReport(
        epochs=state.epochs,
        examples=len(texts.lengths),
        steps=steps,
        resumed_at=resumed_at,
        examples_per_second=seen / loop_seconds if seen else 0.0,
        seconds=time.perf_counter() - start,
        weights_digest=hashlib.sha256((out / "model.safetensors").read_bytes()).hexdigest(),
    )


@contextmanager
def _reproducible(config: TrainingConfig, device: Device) -> Iterator[None]:
    """Seed torch, hold it to algorithms that add up in one order, and leave its settings as they were."""
    import torch

    threads, deterministic = torch.get_num_threads(), torch.are_deterministic_algorithms_enabled()
    memory: Any = torch.utils.deterministic  # a module with a property, of which mypy knows nothing
    filling = memory.fill_uninitialized_memory
    torch.manual_seed(config.seed)
    torch.use_deterministic_algorithms(True)
    memory.fill_uninitialized_memory = False  # what is read was written before; only the sums' order matters
    torch.set_num_threads(config.threads or threads)
    try:
        with _own_stream(device):
            yield
    finally:
        torch.use_deterministic_algorithms(deterministic)
        memory.fill_uninitialized_memory = filling
        torch.set_num_threads(threads)


@contextmanager
def _own_stream(device: Device) -> Iterator[None]:
    """Work on a stream of the device that is not its default one, on which no step can be recorded."""
    if device.kind != "cuda":
        yield
        return
    import torch

    with torch.cuda.device(device.name), torch.cuda.stream(torch.cuda.Stream()):  # type: ignore[no-untyped-call]
        yield


def _prepare_epoch(network: "TextClassifier", *, head_alone: bool) -> None:
    """Turn dropout on, but for an encoder that is not trained: its states are those that a caller gets."""
    network.train()
    if head_alone:
        network.encoder.eval()


def _freeze(network: "TextClassifier", config: TrainingConfig, *, head_alone: bool) -> None:
    """Leave what is not trained as it is."""
    if head_alone:
        network.encoder.requires_grad_(False)
    elif config.freeze_embeddings:
        network.embeddings.requires_grad_(False)


def _targets(examples: TrainingExamples, device: Device) -> TargetTensors:
    import torch

    def tensor(array: Float32Array | None) -> "Tensor | None":
        return None if array is None else torch.from_numpy(array).to(device.name)

    return TargetTensors(
        labels=torch.from_numpy(examples.targets).to(device.name),
        known=torch.from_numpy(examples.task.known(examples.targets)).to(device.name),
        teacher_logits=tensor(examples.teacher_logits),
        teacher_embeddings=tensor(examples.teacher_embeddings),
        row_weights=tensor(examples.row_weights),
        teacher_layers={
            number: torch.from_numpy(states).to(device.name) for number, states in examples.teacher_layers.items()
        },
    )


def _epoch_batches(tokens: IntArray, config: TrainingConfig, epoch: int) -> list[IntArray]:
    """Batches of similar length in random order, another composition each epoch.

    Sorting alone would put the same texts together for ever; up to a few tokens of jitter mixes neighbours and costs
    little padding.
    """
    random = np.random.default_rng([config.seed, epoch])
    lengths = tokens + random.uniform(0, 4, len(tokens))
    order = np.argsort(lengths, kind="stable")
    batches = [order[start : start + config.batch_size] for start in range(0, len(order), config.batch_size)]
    return [batches[index] for index in random.permutation(len(batches))]


def _schedule(step: int, steps: int, warmup_share: float) -> float:
    """Share of the peak learning rate: up in a line, then down in a line to just above zero at the last step."""
    warmup = math.ceil(steps * warmup_share)
    if step < warmup:
        return (step + 1) / warmup
    return (steps - step) / (steps - warmup)


def _close_epoch(
    network: "TextClassifier", watched: "TokenTable", examples: TrainingExamples, train_loss: float, epoch: int
) -> EpochReport:
    import torch

    if not len(watched.lengths):
        return EpochReport(epoch, train_loss, None, None)
    task, device = examples.task, watched.device
    loss, correct = 0.0, 0
    network.eval()
    with torch.inference_mode():
        for rows in batches_by_length(watched.lengths, device.texts_at_once):
            ids, mask = watched.padded(torch.from_numpy(rows).to(device.name), watched.width(rows))
            logits = network(ids, mask)[0].cpu()
            truth = examples.validation_targets[rows]
            loss += task.label_loss(logits, torch.from_numpy(truth)).sum().item()
            correct += int(task.right(logits.numpy(), truth).sum())
    return EpochReport(epoch, train_loss, loss / len(watched.lengths), correct / len(watched.lengths))


def _note(epochs: Sequence[EpochReport], planned: int) -> str:
    """How far it is in epochs, and how good the model was at the end of the last one."""
    if not epochs:
        return f"epoch 1 of {planned}"
    last = epochs[-1]
    known = "" if last.validation_accuracy is None else f", validation accuracy {last.validation_accuracy:.3f}"
    return f"epoch {len(epochs)} of {planned}: loss {last.train_loss:.4f}{known}"


def _summed(loss: float, losses: Sequence[float], step: int) -> float:
    """Add the losses of the steps up to `step`, in their order."""
    for number, each in enumerate(losses, start=step - len(losses) + 1):
        if not math.isfinite(each):
            raise StillhouseError(
                f"the loss is {each}",
                where=f"training step {number}",
                expected="a finite number",
                do="Lower learning_rate, or look for broken rows in the teacher signal.",
            )
        loss += each
    return loss


def _run_digest(
    model: Path, examples: TrainingExamples, config: TrainingConfig, device: Device, *, head_alone: bool = False
) -> str:
    """Identity of a run: what must be equal for a checkpoint to be continued to the bits that it would have had.

    Besides what is learned that is the code of this loop, with all that it imports, torch, and on a CPU its threads.
    """
    import torch

    digest = hashlib.sha256(config.model_dump_json(exclude={"checkpoint_every"}).encode())
    made_by = [device.kind, torch.__version__, closure_digest(__name__), *(["head alone"] if head_alone else [])]
    if device.kind == "cpu":
        made_by.append(str(torch.get_num_threads()))
    digest.update(json.dumps(made_by).encode())
    for name in ("model.safetensors", "tokenizer.json", "config.json"):
        digest.update((model / name).read_bytes())
    digest.update(json.dumps([list(examples.texts), list(examples.validation_texts)]).encode())
    learned = (examples.targets, examples.teacher_logits, examples.teacher_embeddings, examples.row_weights)
    layers = (examples.teacher_layers[number] for number in sorted(examples.teacher_layers))
    for array in (*learned, *layers, examples.validation_targets):
        digest.update(b"none" if array is None else array.tobytes())
    return digest.hexdigest()
