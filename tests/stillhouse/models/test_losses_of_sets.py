"""What sets of labels cost, held against the same arithmetic in numpy, row by row and label by label in float64."""

from collections.abc import Callable

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import expit

from stillhouse.models.losses import TargetTensors, combined_loss, term_costs
from stillhouse.models.temperature_scaling import calibrate_temperature, temperature_of
from stillhouse.recipe.losses import OF_SETS, LossName, LossTerm
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.multi_label import LOSSES, UNKNOWN, MultiLabel
from stillhouse.tasks.single_label import SingleLabel

N, LABELS, WIDTH = 12, 4, 3
TASK = MultiLabel(tuple("abcd"))


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, TargetTensors]:
    random = np.random.default_rng(seed)
    sets = random.integers(-1, 1 << LABELS, N)  # -1: unknown
    targets = TargetTensors(
        torch.from_numpy(sets), torch.from_numpy(sets >= 0), torch.from_numpy(random.normal(0, 3, (N, LABELS)))
    )
    return torch.from_numpy(random.normal(0, 3, (N, LABELS))), torch.from_numpy(random.normal(size=(N, WIDTH))), targets


def cross_entropy(logit: float, there: float) -> float:
    return float(-there * np.log(expit(logit)) - (1 - there) * np.log(expit(-logit)))


def mean(costs: list[float]) -> float:
    return sum(costs) / LABELS


Oracle = Callable[[np.ndarray, np.ndarray, LossTerm], float]
ORACLES: dict[str, Oracle] = {
    "bce": lambda student, teacher, how: mean([
        how.temperature**2 * cross_entropy(one / how.temperature, float(expit(other / how.temperature)))
        for one, other in zip(student, teacher, strict=True)
    ]),
    "logit_mse": lambda student, teacher, how: float(((student - teacher) ** 2).sum()) / LABELS,
    "answers": lambda student, teacher, how: mean([
        cross_entropy(one, (other > 0) * (1 - how.smoothing) + how.smoothing / 2)
        for one, other in zip(student, teacher, strict=True)
    ]),
}  # fmt: skip


def oracle(term: LossTerm, logits: np.ndarray, targets: TargetTensors) -> list[float]:
    assert targets.teacher_logits is not None and term.loss is not None
    if term.loss != "labels":
        rows = zip(logits, targets.teacher_logits.numpy(), strict=True)
        return [ORACLES[term.loss](row, said, term) for row, said in rows]
    return [
        0.0 if number == UNKNOWN else mean([cross_entropy(row[place], number >> place & 1) for place in range(LABELS)])
        for row, number in zip(logits, targets.labels.tolist(), strict=True)
    ]


def test_every_loss_of_sets_has_an_oracle_and_a_name_in_the_recipe() -> None:
    assert set(ORACLES) == set(LOSSES) == set(TASK.teacher_losses) == OF_SETS - {"labels"}


@settings(max_examples=15)
@given(seed=st.integers(0, 999), temperature=st.floats(0.5, 8))
@pytest.mark.parametrize("name", sorted(OF_SETS))
def test_a_loss_costs_each_row_what_its_formula_says(name: LossName, seed: int, temperature: float) -> None:
    term = LossTerm(loss=name, temperature=temperature, **({"smoothing": 0.3} if name == "answers" else {}))
    logits, pooled, targets = batch(seed)
    expected = oracle(term, logits.numpy(), targets)
    np.testing.assert_allclose(term_costs(term, logits, pooled, targets, TASK), expected, rtol=1e-8, atol=1e-10)
    assert targets.teacher_logits is not None
    low = TargetTensors(targets.labels, targets.known, targets.teacher_logits.float())
    costs = term_costs(term, logits.float(), pooled.float(), low, TASK)
    np.testing.assert_allclose(costs, expected, rtol=1e-4, atol=1e-4)


@pytest.mark.parametrize("temperature", [1.0, 3.0])
def test_a_student_that_is_its_teacher_costs_the_entropy_and_no_other_costs_less(temperature: float) -> None:
    _, pooled, targets = batch(1)
    teacher = targets.teacher_logits
    assert teacher is not None
    term = LossTerm(loss="bce", temperature=temperature)
    own = term_costs(term, teacher, pooled, targets, TASK)
    there = expit(teacher.numpy() / temperature)
    entropy = -(there * np.log(there) + (1 - there) * np.log(1 - there)).mean(1)
    np.testing.assert_allclose(own, temperature**2 * entropy, rtol=1e-9)
    student = teacher.clone().requires_grad_()
    (gradient,) = torch.autograd.grad(term_costs(term, student, pooled, targets, TASK).sum(), student)
    assert gradient.abs().max() < 1e-12
    moved = teacher + torch.randn(teacher.shape, generator=torch.Generator().manual_seed(0), dtype=torch.float64)
    assert (term_costs(term, moved, pooled, targets, TASK) > own).all()
    assert term_costs(LossTerm(loss="logit_mse"), teacher, pooled, targets, TASK).abs().max() == 0


@settings(max_examples=20)
@given(seed=st.integers(0, 999), cut=st.integers(1, N - 1), name=st.sampled_from(sorted(OF_SETS)))
def test_micro_batches_add_up_to_the_batch(seed: int, cut: int, name: LossName) -> None:
    config = TrainingConfig(loss=name, **({} if name == "labels" else {"label_weight": 0.4}))  # type: ignore[arg-type]
    logits, pooled, targets = batch(seed)

    def cost(rows: slice) -> float:
        return combined_loss(logits[rows], pooled[rows], targets.of(rows), task=TASK, config=config).item()

    assert cost(slice(None)) == pytest.approx(cost(slice(0, cut)) + cost(slice(cut, None)), rel=1e-12)


def test_a_row_whose_set_is_unknown_costs_exactly_nothing_and_gives_no_gradient() -> None:
    logits = torch.full((2, LABELS), 5.0, requires_grad=True)
    cost = TASK.label_loss(logits, torch.tensor([UNKNOWN, 0]))
    cost.sum().backward()
    assert cost[0].item() == 0 < cost[1].item() and logits.grad is not None
    assert logits.grad[0].abs().max() == 0 < logits.grad[1].abs().min()


def test_the_most_labels_are_told_apart_in_torch_as_well() -> None:
    task = MultiLabel.of([f"label {number:02}" for number in range(62)])
    logits = torch.full((2, 62), -8.0)
    logits[0, 61] = 8.0
    assert task.label_loss(logits, torch.tensor([1 << 61, 1 << 61]))[0] < 1e-3
    assert task.label_loss(logits, torch.tensor([1 << 61, 1 << 61]))[1] > 8 / 63


def test_one_temperature_is_fitted_on_all_labels() -> None:
    """Sets drawn with the probabilities of logits, which a model then states three times too large."""
    random = np.random.default_rng(0)
    logits = random.normal(0, 2, (4000, LABELS))
    sets = ((random.random(logits.shape) < expit(logits)) * (1 << np.arange(LABELS))).sum(axis=1)
    assert temperature_of(TASK, 3 * logits, sets) == pytest.approx(3.0, rel=0.06)


def test_of_classes_the_temperature_is_what_it_was() -> None:
    random = np.random.default_rng(1)
    logits, labels = random.normal(0, 2, (300, 3)), random.integers(0, 3, 300)
    assert temperature_of(SingleLabel(tuple("abc")), logits, labels) == calibrate_temperature(logits, labels)
