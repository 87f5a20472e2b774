"""What every loss has to hold, tried on a training's own first texts before anything is learned.

Belongs here: the properties, on the student as it starts and what its teacher said. Does not: the losses (losses.py;
tests/stillhouse/models/test_losses.py holds them against other arithmetic), whether arrays fit (training.py).

A fault of a loss, of padding or of a mask trains a worse student without a word. This costs a few forward passes of
eight texts, draws no random number and changes no weight.
"""

from collections.abc import Mapping
from dataclasses import dataclass

import numpy as np
import torch
from torch import Tensor

from stillhouse.errors import StillhouseError
from stillhouse.models.batches import TokenTable
from stillhouse.models.losses import EMBEDDING_LOSSES, TargetTensors, term_costs
from stillhouse.models.network import TextClassifier
from stillhouse.recipe.losses import LossTerm
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.task import Task

ROWS = 8
MORE_PADDING = 8
"""Tokens that the texts are padded with a second time."""
OUTPUTS_ALIKE = 1e-3
"""Of the largest output: what rounding in another order may move it by; it moves some 1e-6 in fp32."""
COSTS_ALIKE = 1e-9
"""Of costs in float64, of which nothing but rounding may differ."""
HOT = 100.0
"""Temperature, in spreads of the logits, from which the gradient of a divergence times T^2 hardly depends on it."""
GRADIENTS_ALIKE = 0.1
"""Of a gradient: what doubling such a temperature may change; without T^2 it is three quarters."""
ROUNDING = 1e-13


def require_invariances(
    network: TextClassifier, texts: TokenTable, targets: TargetTensors, task: Task, config: TrainingConfig
) -> None:
    """Try padding, a batch in two parts, and what each loss says of the teacher's own answers.

    Args:
        network: the student as it starts.
        texts: n of them.
        targets: of these n.
        task: what answers and labels cost.
        config: which losses count.

    Raises:
        StillhouseError: naming the property that does not hold, and of which loss.
    """
    some = np.argsort(texts.lengths, kind="stable")[np.linspace(0, len(texts.lengths) - 1, ROWS).astype(np.int64)]
    outputs = _outputs(network, texts, some, config)
    _require_same_outputs(network, texts, some, config, outputs)
    said = _in_double(targets.of(torch.from_numpy(some).to(targets.labels.device)))
    for _, term in config.terms:
        _require_parts_add_up(term, outputs, said, task)
        _require_nothing_at_the_teacher(term, said, task)
        if term.loss is not None and term.loss != "labels":
            _require_gradients(term, said, task)


@dataclass(frozen=True)
class _Outputs:
    """What the student says to some texts, in float64."""

    logits: Tensor
    states: Tensor
    layers: Mapping[int, Tensor]

    @property
    def named(self) -> dict[str, Tensor]:
        """Each of them, as a message calls it."""
        after = {f"states after layer {number}": states for number, states in self.layers.items()}
        return {"logits": self.logits, "pooled states": self.states, **after}


def _outputs(
    network: TextClassifier,
    texts: TokenTable,
    rows: np.typing.NDArray[np.int64],
    config: TrainingConfig,
    padding: int = 0,
) -> _Outputs:
    width = min(texts.width(rows) + padding, texts.longest)
    network.eval()
    with torch.no_grad():
        asked = texts.padded(torch.from_numpy(rows).to(texts.device.name), width)
        logits, states, after = network.with_layers(*asked, config.own_layers)
    return _Outputs(logits.double().cpu(), states.double().cpu(), _all_in_double(after))


def _all_in_double(states: Mapping[int, Tensor]) -> dict[int, Tensor]:
    return {number: each.double().cpu() for number, each in states.items()}


def _in_double(targets: TargetTensors) -> TargetTensors:
    def double(array: Tensor | None) -> Tensor | None:
        return None if array is None else array.double().cpu()

    return TargetTensors(
        targets.labels.cpu(),
        targets.known.cpu(),
        double(targets.teacher_logits),
        double(targets.teacher_embeddings),
        teacher_layers=_all_in_double(targets.teacher_layers),
    )


def _require_same_outputs(
    network: TextClassifier,
    texts: TokenTable,
    some: np.typing.NDArray[np.int64],
    config: TrainingConfig,
    outputs: _Outputs,
) -> None:
    """Neither more padding nor fewer neighbours may change what a text is answered."""
    padded = _outputs(network, texts, some, config, MORE_PADDING).named
    first, second = (_outputs(network, texts, part, config).named for part in np.array_split(some, 2))
    split = {what: torch.cat([first[what], second[what]]) for what in first}
    for how, others in {"with more padding": padded, "in two batches": split}.items():
        for what, before in outputs.named.items():
            apart = float((before - others[what]).abs().max())
            if not apart <= OUTPUTS_ALIKE * (1 + float(before.abs().max())):
                raise _broken(
                    f"the student's {what} of the same texts {how} are {apart:.2g} apart",
                    "the same outputs",
                    "Choose an encoder of another type; this one does not leave padding out.",
                )


def _require_parts_add_up(term: LossTerm, outputs: _Outputs, said: TargetTensors, task: Task) -> None:
    """A batch costs what its parts do, unless a loss is about relations within the batch."""
    if term.embedding_loss is not None and EMBEDDING_LOSSES[term.embedding_loss].relational:
        return

    def cost(rows: slice) -> float:
        layers = {number: states[rows] for number, states in outputs.layers.items()}
        costs = term_costs(term, outputs.logits[rows], outputs.states[rows], said.of(rows), task, layers)
        return float(costs.sum())

    whole, parts = cost(slice(None)), cost(slice(0, 3)) + cost(slice(3, None))
    if not abs(whole - parts) <= COSTS_ALIKE * (1 + abs(whole)):
        raise _broken(
            f"{term.name} of {len(outputs.logits)} texts is {whole:.6g} at one time, and {parts:.6g} in two parts",
            "the same sum",
            "A loss has to return what each example costs by itself.",
        )


def _require_nothing_at_the_teacher(term: LossTerm, said: TargetTensors, task: Task) -> None:
    """A student that is its teacher costs nothing, where the loss is a distance."""
    if term.loss == "labels" or (term.loss is not None and not task.teacher_losses[term.loss].zero_at_teacher):
        return
    logits, states = said.teacher_logits, said.teacher_embeddings
    assert logits is not None and (states is not None or term.embedding_loss is None or term.layers is not None)
    layers = {own: said.teacher_layers[other] for own, other in term.pairs}
    costs = term_costs(term, logits, logits if states is None else states, said, task, layers)
    if not float(costs.abs().max()) <= COSTS_ALIKE * (1 + float(logits.abs().max())):
        raise _broken(
            f"{term.name} of the teacher's own answers is {float(costs.abs().max()):.6g}",
            "0",
            "Choose another loss; this one is no distance from this teacher.",
        )


def _require_gradients(term: LossTerm, said: TargetTensors, task: Task) -> None:
    """A student that answers otherwise is moved, and as much at one high temperature as at another."""
    teacher = said.teacher_logits
    assert teacher is not None
    spread = float((teacher - teacher.mean(-1, keepdim=True)).abs().max())
    if spread == 0:  # a teacher that says nothing, from which nobody differs
        return

    def gradient(how: LossTerm) -> Tensor:
        otherwise = teacher.roll(1, -1).requires_grad_()
        (found,) = torch.autograd.grad(term_costs(how, otherwise, otherwise, said, task).sum(), otherwise)
        return found

    if not float(gradient(term).abs().max()) > COSTS_ALIKE * min(spread, 1.0):
        raise _broken(
            f"{term.name} does not move a student that answers otherwise than its teacher",
            "a gradient",
            "Use kl; of two labels standardised_kl has none.",
        )
    hot = HOT * max(spread, teacher.shape[-1] ** 0.5)
    first, second = (gradient(term.model_copy(update={"temperature": each})).norm() for each in (hot, 2 * hot))
    if not abs(float(first - second)) <= GRADIENTS_ALIKE * float(first) + ROUNDING * hot:
        raise _broken(
            f"the gradient of {term.name} goes from {float(first):.3g} to {float(second):.3g} where its temperature is "
            "doubled",
            "about the same",
            "A divergence at temperature T has to be multiplied by T^2.",
        )


def _broken(what: str, expected: str, do: str) -> StillhouseError:
    return StillhouseError(what, where="trial of the losses before the training", expected=expected, do=do)
