import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, softmax

from stillhouse.models.losses import TargetTensors, combined_loss, embedding_match
from stillhouse.tasks.single_label import LOSSES, SingleLabel, temperature_kl

N, CLASSES, WIDTH = 12, 5, 7
TASK = SingleLabel(tuple("abcde"))


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor, TargetTensors]:
    random = np.random.default_rng(seed)
    labels = random.integers(-1, CLASSES, N)  # -1: unknown
    targets = TargetTensors(
        torch.from_numpy(labels),
        torch.from_numpy(labels >= 0),
        torch.from_numpy(random.normal(0, 4, (N, CLASSES))),
        torch.from_numpy(random.normal(size=(N, WIDTH))),
    )
    return (
        torch.from_numpy(random.normal(0, 4, (N, CLASSES))),
        torch.from_numpy(random.normal(size=(N, WIDTH))),
        targets,
    )


def oracle(
    logits: np.ndarray,
    pooled: np.ndarray,
    targets: TargetTensors,
    loss: str,
    temperature: float,
    label_weight: float,
    embedding_weight: float,
    embedding_loss: str,
) -> float:
    """The combined_loss, written from the formulas in float64, one example at a time."""
    total = 0.0
    for row in range(len(logits)):
        label = int(targets.labels[row])
        cross_entropy = 0.0 if label == -1 else -log_softmax(logits[row])[label]
        teacher = targets.teacher_logits.numpy()[row]  # type: ignore[union-attr]
        p, log_q = softmax(teacher / temperature), log_softmax(logits[row] / temperature)
        cost = {
            "kl": temperature**2 * float((p * (np.log(p) - log_q)).sum()),
            "logit_mse": float(((logits[row] - teacher) ** 2).sum()) / CLASSES,
            "labels": cross_entropy,
        }[loss]
        if loss != "labels" and label != -1:
            cost = (1 - label_weight) * cost + label_weight * cross_entropy
        a, b = pooled[row], targets.teacher_embeddings.numpy()[row]  # type: ignore[union-attr]
        distance = {"mse": ((a - b) ** 2).mean(), "cosine": 1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b)}
        total += cost + embedding_weight * distance[embedding_loss]
    return total


SETTINGS = {
    "loss": st.sampled_from(sorted([*LOSSES, "labels"])),
    "temperature": st.floats(0.5, 8),
    "label_weight": st.floats(0, 1),
    "embedding_weight": st.sampled_from([0.0, 0.3, 10.0]),
    "embedding_loss": st.sampled_from(["mse", "cosine"]),
}


@settings(max_examples=60)
@given(seed=st.integers(0, 999), how=st.fixed_dictionaries(SETTINGS))
def test_the_combined_loss_is_the_one_in_the_formulas(seed: int, how: dict) -> None:
    logits, pooled, targets = batch(seed)
    expected = oracle(logits.numpy(), pooled.numpy(), targets, **how)
    assert combined_loss(logits, pooled, targets, task=TASK, **how).item() == pytest.approx(expected, rel=1e-9)
    # what training computes in: float32
    low = TargetTensors(
        targets.labels, targets.known, targets.teacher_logits.float(), targets.teacher_embeddings.float()
    )  # type: ignore[union-attr]
    assert combined_loss(logits.float(), pooled.float(), low, task=TASK, **how).item() == pytest.approx(
        expected, rel=1e-4, abs=1e-4
    )


@settings(max_examples=30)
@given(seed=st.integers(0, 999), cut=st.integers(1, N - 1), how=st.fixed_dictionaries(SETTINGS))
def test_micro_batches_add_up_to_the_batch(seed: int, cut: int, how: dict) -> None:
    logits, pooled, targets = batch(seed)

    def part(rows: slice) -> torch.Tensor:
        return combined_loss(logits[rows], pooled[rows], targets.of(rows), task=TASK, **how)

    whole, parts = part(slice(None)), part(slice(0, cut)) + part(slice(cut, None))
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


@pytest.mark.parametrize("loss", ["kl", "logit_mse"])
def test_a_student_that_answers_as_its_teacher_costs_nothing(loss: str) -> None:
    _, _, targets = batch(0)
    cost = combined_loss(
        targets.teacher_logits,
        targets.teacher_embeddings,
        targets,  # type: ignore[arg-type]
        task=TASK,
        loss=loss,
        temperature=3.0,
        embedding_weight=5.0,  # type: ignore[arg-type]
    )
    assert abs(cost.item()) < 1e-12


def test_t_squared_keeps_the_gradient_while_t_grows() -> None:
    # Hinton et al. 2015, eq. 4: for large T the gradient of KL is (z - v) / (N T^2) on centred logits,
    # so T^2 KL has the gradient (z - v) / N whatever T is
    student, _, targets = batch(1)
    student = (student - student.mean(-1, keepdim=True)).requires_grad_()
    teacher = targets.teacher_logits - targets.teacher_logits.mean(-1, keepdim=True)  # type: ignore[union-attr]
    for temperature in (1e3, 1e4):
        (gradient,) = torch.autograd.grad(temperature_kl(student, teacher, temperature).sum(), student)
        torch.testing.assert_close(gradient, (student - teacher).detach() / CLASSES, rtol=1e-2, atol=1e-2)


def test_an_unknown_label_costs_exactly_nothing_and_teaches_nothing() -> None:
    logits = torch.randn(3, CLASSES, dtype=torch.float64, requires_grad=True)
    cost = TASK.label_loss(logits, torch.tensor([2, -1, 0]))
    cost.sum().backward()
    assert cost[1].item() == 0.0
    assert logits.grad is not None and not logits.grad[1].any() and logits.grad[0].any()


def test_label_weight_does_not_thin_the_teacher_where_the_label_is_unknown() -> None:
    logits, pooled, targets = batch(2)
    nothing_known = TargetTensors(
        torch.full((N,), -1), torch.zeros(N, dtype=torch.bool), targets.teacher_logits, targets.teacher_embeddings
    )
    with_weight, without = (
        combined_loss(logits, pooled, nothing_known, task=TASK, loss="logit_mse", label_weight=weight)
        for weight in (0.9, 0.0)
    )
    assert with_weight.item() == without.item()


def test_cosine_ignores_length_and_mse_does_not() -> None:
    vector = torch.randn(4, WIDTH, dtype=torch.float64)
    assert embedding_match(vector, 3 * vector, "cosine").abs().max() < 1e-12
    torch.testing.assert_close(embedding_match(vector, 3 * vector, "mse"), (2 * vector).square().mean(-1))
