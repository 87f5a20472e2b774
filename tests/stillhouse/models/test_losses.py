"""Losses, held against the same arithmetic written a second time in numpy, row by row in float64."""

from collections.abc import Callable, Mapping, Sequence
from dataclasses import replace

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st
from scipy.special import log_softmax, logsumexp, softmax

from stillhouse.models.losses import (
    CONTRAST_TEMPERATURE,
    EMBEDDING_LOSSES,
    TargetTensors,
    combined_loss,
    contrast,
    state_cosine,
    state_mse,
    term_costs,
)
from stillhouse.recipe.losses import SAME_WIDTH, LossTerm
from stillhouse.recipe.training import TrainingConfig
from stillhouse.tasks.single_label import LOSSES, SingleLabel, decoupled_kl, standardised_kl, temperature_kl

N, CLASSES, WIDTH = 12, 5, 7
TASK = SingleLabel(tuple("abcde"))


def batch(seed: int, teacher_width: int = WIDTH) -> tuple[torch.Tensor, torch.Tensor, TargetTensors]:
    random = np.random.default_rng(seed)
    labels = random.integers(-1, CLASSES, N)  # -1: unknown
    targets = TargetTensors(
        torch.from_numpy(labels),
        torch.from_numpy(labels >= 0),
        torch.from_numpy(random.normal(0, 4, (N, CLASSES))),
        torch.from_numpy(random.normal(size=(N, teacher_width))),
        teacher_layers=after(seed, (1, 4)),
    )
    return (
        torch.from_numpy(random.normal(0, 4, (N, CLASSES))),
        torch.from_numpy(random.normal(size=(N, WIDTH))),
        targets,
    )


def after(seed: int, layers: Sequence[int] = (0, 2)) -> dict[int, torch.Tensor]:
    """The states after some layers, of a student unless others are named."""
    random = np.random.default_rng([seed, *layers])
    return {number: torch.from_numpy(random.normal(size=(N, WIDTH))) for number in layers}


def kl(student: np.ndarray, teacher: np.ndarray, temperature: float) -> float:
    p, log_q = softmax(teacher / temperature), log_softmax(student / temperature)
    return temperature**2 * float((p * (np.log(p) - log_q)).sum())


def standardised(logits: np.ndarray) -> np.ndarray:
    return (logits - logits.mean()) / logits.std()


def dkd(student: np.ndarray, teacher: np.ndarray, how: LossTerm) -> float:
    """Zhao et al. 2022, equations 5 to 7: by probabilities, with the target taken out."""
    target, total = int(teacher.argmax()), 0.0
    p, q = softmax(teacher / how.temperature), softmax(student / how.temperature)
    for first, second in ((p[target], q[target]), (1 - p[target], 1 - q[target])):
        total += first * np.log(first / second)
    p_others, q_others = np.delete(p, target) / (1 - p[target]), np.delete(q, target) / (1 - q[target])
    return how.temperature**2 * float(total + how.non_target_weight * (p_others * np.log(p_others / q_others)).sum())


def smoothed(student: np.ndarray, teacher: np.ndarray, how: LossTerm) -> float:
    wanted = np.full(CLASSES, how.smoothing / CLASSES)
    wanted[teacher.argmax()] += 1 - how.smoothing
    return float((wanted * (logsumexp(student) - student)).sum())


OUTPUT_ORACLES: dict[str, Callable[[np.ndarray, np.ndarray, LossTerm], float]] = {
    "kl": lambda student, teacher, how: kl(student, teacher, how.temperature),
    "standardised_kl": lambda student, teacher, how: kl(standardised(student), standardised(teacher), how.temperature),
    "dkd": dkd,
    "logit_mse": lambda student, teacher, how: float(((student - teacher) ** 2).sum()) / CLASSES,
    "answers": smoothed,
}


def huber(difference: float) -> float:
    return difference**2 / 2 if abs(difference) < 1 else abs(difference) - 0.5


def relative(states: np.ndarray) -> np.ndarray:
    apart = np.array([[np.linalg.norm(a - b) for b in states] for a in states])
    return apart / (apart.sum() / (len(states) * (len(states) - 1)))


def cosine_of_angle(states: np.ndarray, at: int, one: int, other: int) -> float:
    a, b = states[one] - states[at], states[other] - states[at]
    length = np.linalg.norm(a) * np.linalg.norm(b)
    return float(a @ b / length) if length > 0 else 0.0


def distances(student: np.ndarray, teacher: np.ndarray) -> list[float]:
    wrong = relative(student) - relative(teacher)
    return [sum(map(huber, row)) / len(row) for row in wrong]


def angles(student: np.ndarray, teacher: np.ndarray) -> list[float]:
    rows = range(len(student))
    return [
        sum(
            huber(cosine_of_angle(student, at, one, other) - cosine_of_angle(teacher, at, one, other))
            for one in rows
            for other in rows
        )
        / len(student) ** 2
        for at in rows
    ]


STATE_ORACLES: dict[str, Callable[[np.ndarray, np.ndarray], list[float]]] = {
    "mse": lambda student, teacher: list(((student - teacher) ** 2).mean(1)),
    "cosine": lambda student, teacher: [
        1 - a @ b / np.linalg.norm(a) / np.linalg.norm(b) for a, b in zip(student, teacher, strict=True)
    ],
    "distances": distances,
    "angles": angles,
}


def oracle(
    term: LossTerm,
    logits: np.ndarray,
    pooled: np.ndarray,
    targets: TargetTensors,
    layers: dict[int, torch.Tensor],
) -> np.ndarray:
    """What each row costs by one term."""
    if term.embedding_loss is not None and isinstance(term.layers, tuple):
        pairs = [(own, other) for own, other in enumerate(term.layers) if other is not None]
        costs = [
            STATE_ORACLES[term.embedding_loss](layers[own].numpy(), targets.teacher_layers[other].numpy())
            for own, other in pairs
        ]
        return np.array(costs).sum(0) / len(pairs)
    if term.embedding_loss is not None:
        assert targets.teacher_embeddings is not None
        return np.array(STATE_ORACLES[term.embedding_loss](pooled, targets.teacher_embeddings.numpy()))
    if term.loss == "labels":
        labels = targets.labels.tolist()
        return np.array(
            [0.0 if label == -1 else -log_softmax(row)[label] for row, label in zip(logits, labels, strict=True)]
        )
    assert targets.teacher_logits is not None and term.loss is not None
    teacher = targets.teacher_logits.numpy()
    return np.array([OUTPUT_ORACLES[term.loss](row, said, term) for row, said in zip(logits, teacher, strict=True)])


TERMS = [
    *(LossTerm(loss=name) for name in (*LOSSES, "labels")),  # type: ignore[arg-type]
    *(LossTerm(embedding_loss=name) for name in EMBEDDING_LOSSES),
    *(LossTerm(embedding_loss=name, layers=(4, None, 1)) for name in EMBEDDING_LOSSES),
]


def hot(term: LossTerm, temperature: float) -> LossTerm:
    settings = {"answers": {"smoothing": 0.3}, "dkd": {"non_target_weight": 2.5}}.get(term.loss or "", {})
    return term.model_copy(update={"temperature": temperature, **settings})


@pytest.mark.long
@settings(max_examples=15)
@given(seed=st.integers(0, 999), temperature=st.floats(0.5, 8))
@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_a_loss_costs_each_row_what_its_formula_says(term: LossTerm, seed: int, temperature: float) -> None:
    term = hot(term, temperature)
    logits, pooled, targets = batch(seed)
    layers = after(seed)
    expected = oracle(term, logits.numpy(), pooled.numpy(), targets, layers)
    costs = term_costs(term, logits, pooled, targets, TASK, layers)
    np.testing.assert_allclose(costs, expected, rtol=1e-8, atol=1e-10)
    # what training computes in: float32
    assert targets.teacher_logits is not None and targets.teacher_embeddings is not None
    low = TargetTensors(
        targets.labels, targets.known, targets.teacher_logits.float(), targets.teacher_embeddings.float(),
        teacher_layers=in_float32(targets.teacher_layers),
    )  # fmt: skip
    costs = term_costs(term, logits.float(), pooled.float(), low, TASK, in_float32(layers))
    np.testing.assert_allclose(costs, expected, rtol=1e-4, atol=1e-4)


def in_float32(states: Mapping[int, torch.Tensor]) -> dict[int, torch.Tensor]:
    return {number: each.float() for number, each in states.items()}


MIXTURES = st.lists(st.sampled_from(TERMS), max_size=3)
SETTINGS = {
    "loss": st.sampled_from(sorted([*LOSSES, "labels"])),
    "temperature": st.floats(0.5, 8),
    "label_weight": st.floats(0, 1),
    "embedding_weight": st.sampled_from([0.0, 0.3, 10.0]),
    "embedding_loss": st.sampled_from(sorted(EMBEDDING_LOSSES)),
    "mixture": MIXTURES,
}


def configured(how: dict) -> TrainingConfig:
    """Without what does not go together."""
    kept = {**how, "mixture": tuple(term for term in how["mixture"] if term.loss != how["loss"])}
    return TrainingConfig(**(kept if how["loss"] != "labels" else {**kept, "label_weight": 0, "mixture": ()}))


def weights_of(config: TrainingConfig) -> list[torch.Tensor]:
    return [torch.tensor(0.5 + place, dtype=torch.float64) for place in range(len(config.mixture))]


@pytest.mark.long
@settings(max_examples=60)
@given(seed=st.integers(0, 999), how=st.fixed_dictionaries(SETTINGS))
def test_the_combined_loss_is_the_one_in_the_formulas(seed: int, how: dict) -> None:
    config = configured(how)
    logits, pooled, targets = batch(seed)
    layers = after(seed)
    arrays = logits.numpy(), pooled.numpy(), targets, layers
    share = config.label_weight * targets.known.numpy()
    labels = oracle(LossTerm(loss="labels"), *arrays)
    expected = (1 - share) * oracle(config.own_term, *arrays) + share * labels
    expected += config.embedding_weight * oracle(LossTerm(embedding_loss=config.embedding_loss), *arrays)
    for place, term in enumerate(config.mixture):
        expected += (0.5 + place) * oracle(term, *arrays)
    cost = combined_loss(logits, pooled, targets, task=TASK, config=config, weights=weights_of(config), layers=layers)
    assert cost.item() == pytest.approx(expected.sum(), rel=1e-8)


@settings(max_examples=20)
@given(seed=st.integers(0, 999), how=st.fixed_dictionaries(SETTINGS))
def test_an_example_counts_for_its_row_weight(seed: int, how: dict) -> None:
    """Twice a row is the row with weight two, and a row of weight zero is not there; relations see their batch all the
    same."""
    config = configured(how)
    logits, pooled, targets = batch(seed)

    def cost(row_weights: torch.Tensor) -> float:
        weighted = replace(targets, row_weights=row_weights)
        return combined_loss(
            logits, pooled, weighted.of(slice(None)), task=TASK, config=config, weights=weights_of(config),
            layers=after(seed),
        ).item()  # fmt: skip

    alone = [cost(row) for row in torch.eye(N, dtype=torch.float64)]
    row_weights = torch.from_numpy(np.random.default_rng(seed).uniform(0, 2, N))
    assert cost(row_weights) == pytest.approx(float(row_weights @ torch.tensor(alone, dtype=torch.float64)), rel=1e-9)
    unweighted = combined_loss(
        logits, pooled, targets, task=TASK, config=config, weights=weights_of(config), layers=after(seed)
    )
    assert cost(torch.ones(N, dtype=torch.float64)) == pytest.approx(unweighted.item(), rel=1e-12)


@settings(max_examples=30)
@given(seed=st.integers(0, 999), cut=st.integers(1, N - 1), how=st.fixed_dictionaries(SETTINGS))
def test_micro_batches_add_up_to_the_batch(seed: int, cut: int, how: dict) -> None:
    """But for relations between the states of a batch, see the next test."""
    mixture = [term for term in how["mixture"] if term.embedding_loss is None or term.embedding_loss in SAME_WIDTH]
    config = configured({**how, "embedding_loss": "cosine", "mixture": mixture})
    logits, pooled, targets = batch(seed)

    def part(rows: slice) -> torch.Tensor:
        layers = {number: states[rows] for number, states in after(seed).items()}
        return combined_loss(
            logits[rows], pooled[rows], targets.of(rows), task=TASK, config=config, weights=weights_of(config),
            layers=layers,
        )  # fmt: skip

    whole, parts = part(slice(None)), part(slice(0, cut)) + part(slice(cut, None))
    torch.testing.assert_close(parts, whole, rtol=1e-12, atol=1e-12)


def test_only_relations_depend_on_the_batch_and_they_say_so() -> None:
    _, pooled, targets = batch(0)
    teacher = targets.teacher_embeddings
    assert teacher is not None
    for name, loss in EMBEDDING_LOSSES.items():
        whole, part = loss.cost(pooled, teacher), loss.cost(pooled[:5], teacher[:5])
        assert torch.allclose(whole[:5], part) is not loss.relational, name
        assert loss.relational is (name not in SAME_WIDTH), name


@pytest.mark.parametrize("name", ["distances", "angles"])
def test_relations_hold_between_other_widths_and_are_blind_to_where_size_and_turn(name: str) -> None:
    """Park et al. 2019: distances in units of their mean, and angles, are the same after a similarity transform."""
    _, pooled, targets = batch(3, teacher_width=11)
    cost = EMBEDDING_LOSSES[name].cost  # type: ignore[index]
    assert cost(pooled, targets.teacher_embeddings).shape == (N,)  # type: ignore[arg-type]
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(11, 11)))
    moved = targets.teacher_embeddings @ torch.from_numpy(turn) * 3.0 + 5.0  # type: ignore[operator]
    assert cost(moved, targets.teacher_embeddings).abs().max() < 1e-12  # type: ignore[arg-type]
    assert cost(pooled, targets.teacher_embeddings).min() > 1e-3  # type: ignore[arg-type]


def contrasted(states: np.ndarray, labels: Sequence[int]) -> list[float]:
    """Khosla et al. 2020, equation 2, with the sum over texts of one label outside of the logarithm."""
    direction = states / np.linalg.norm(states, axis=1, keepdims=True)
    costs = []
    for at, label in enumerate(labels):
        others = [row for row, other in enumerate(labels) if row != at and other != -1]
        near = {row: float(direction[at] @ direction[row]) / CONTRAST_TEMPERATURE for row in others}
        alike = [] if label == -1 else [row for row in others if labels[row] == label]
        costs.append(-np.mean([near[row] - logsumexp([*near.values()]) for row in alike]) if alike else 0.0)
    return costs


@settings(max_examples=30)
@given(seed=st.integers(0, 999), weight=st.sampled_from([0.3, 2.0]))
def test_a_contrast_is_the_one_in_the_formula(seed: int, weight: float) -> None:
    logits, pooled, targets = batch(seed)
    expected = contrasted(pooled.numpy(), targets.labels.tolist())
    costs = contrast(pooled, targets.labels, targets.known.double())
    np.testing.assert_allclose(costs, expected, rtol=1e-9, atol=1e-12)
    low = contrast(pooled.float(), targets.labels, targets.known.float())
    np.testing.assert_allclose(low, expected, rtol=1e-4, atol=1e-4)

    def total(config: TrainingConfig) -> float:
        return combined_loss(logits, pooled, targets, task=TASK, config=config).item()

    alone, both = TrainingConfig(loss="labels"), TrainingConfig(loss="labels", contrast_weight=weight)
    assert total(both) - total(alone) == pytest.approx(weight * sum(expected), rel=1e-8)


def test_a_contrast_is_blind_to_turns_lengths_and_texts_without_a_label() -> None:
    _, pooled, targets = batch(3)
    turn, _ = np.linalg.qr(np.random.default_rng(0).normal(size=(WIDTH, WIDTH)))
    lengths = torch.arange(1, N + 1).double().unsqueeze(1)
    known = targets.known.double()
    costs = contrast(pooled, targets.labels, known)
    assert costs.max() > 1
    torch.testing.assert_close(contrast(lengths * pooled @ torch.from_numpy(turn), targets.labels, known), costs)
    labelled = targets.known.nonzero().squeeze(1)
    assert 0 < len(labelled) < N, "or this shows nothing"
    without = contrast(pooled[labelled], targets.labels[labelled], known[labelled])
    torch.testing.assert_close(without, costs[labelled])


@pytest.mark.parametrize("labels", [[1], [0, 1, 2, 3], [2, 2, 2, 2], [-1, -1, -1, 0]])
def test_a_batch_that_has_nothing_to_contrast_gives_finite_gradients(labels: list[int]) -> None:
    """All of other labels, all of one, or known of one text alone; and all states at one place."""
    states, classes = torch.ones(len(labels), WIDTH, requires_grad=True), torch.tensor(labels)
    costs = contrast(states, classes, (classes >= 0).float())
    costs.sum().backward()  # type: ignore[no-untyped-call]
    assert torch.isfinite(costs).all() and states.grad is not None and torch.isfinite(states.grad).all()


@pytest.mark.parametrize("name", sorted(EMBEDDING_LOSSES))
@pytest.mark.parametrize("rows", [1, 4])
def test_equal_states_give_finite_gradients(name: str, rows: int) -> None:
    """Texts that a student cannot tell apart are at one place for it; a last batch may have one row."""
    student = torch.ones(rows, WIDTH, requires_grad=True)
    teacher = torch.randn(rows, WIDTH, generator=torch.Generator().manual_seed(0))
    EMBEDDING_LOSSES[name].cost(student, teacher).sum().backward()  # type: ignore[index]
    assert student.grad is not None and torch.isfinite(student.grad).all()
    assert student.grad.abs().max() < 10


@pytest.mark.parametrize("term", TERMS, ids=lambda term: term.name)
def test_a_student_that_answers_as_its_teacher_costs_nothing(term: LossTerm) -> None:
    _, _, targets = batch(0)
    assert targets.teacher_logits is not None and targets.teacher_embeddings is not None
    layers = {0: targets.teacher_layers[4], 2: targets.teacher_layers[1]}
    costs = term_costs(hot(term, 3.0), targets.teacher_logits, targets.teacher_embeddings, targets, TASK, layers)
    holds = term.loss != "labels" and (term.loss is None or LOSSES[term.loss].zero_at_teacher)
    assert (costs.abs().max() < 1e-12) == holds
    assert holds == (term.loss not in ("labels", "answers"))


@pytest.mark.parametrize("loss", ["kl", "dkd"])
def test_t_squared_keeps_the_gradient_while_t_grows(loss: str) -> None:
    # Hinton et al. 2015, eq. 4: for large T the gradient of KL is (z - v) / (N T^2) on centred logits,
    # so T^2 KL has the gradient (z - v) / N whatever T is. DKD with both weights 1 has in its limit, by the same
    # expansion, the target's part in full and the others' as if the target were not there.
    student, _, targets = batch(1)
    student = (student - student.mean(-1, keepdim=True)).requires_grad_()
    assert targets.teacher_logits is not None
    teacher = targets.teacher_logits - targets.teacher_logits.mean(-1, keepdim=True)
    gradients = []
    for temperature in (1e3, 1e4):
        cost = (
            temperature_kl(student, teacher, temperature)
            if loss == "kl"
            else decoupled_kl(student, teacher, temperature, 2.0)
        )
        (gradient,) = torch.autograd.grad(cost.sum(), student)
        gradients.append(gradient)
        if loss == "kl":
            torch.testing.assert_close(gradient, (student - teacher).detach() / CLASSES, rtol=1e-2, atol=1e-2)
    torch.testing.assert_close(*gradients, rtol=1e-2, atol=1e-2)
    assert gradients[0].norm() > 1


def test_decoupled_kl_with_the_weight_that_kl_gives_is_kl() -> None:
    """Zhao et al. 2022, equation 6: KL = TCKD + (1 - p of the target) NCKD."""
    student, _, targets = batch(4)
    teacher = targets.teacher_logits
    assert teacher is not None
    for row in range(N):
        one, said = student[row : row + 1], teacher[row : row + 1]
        weight = 1 - torch.softmax(said / 2, -1).max().item()
        torch.testing.assert_close(decoupled_kl(one, said, 2.0, weight), temperature_kl(one, said, 2.0))


def test_a_very_sure_teacher_gives_decoupled_kl_no_infinity() -> None:
    teacher = torch.tensor([[90.0, 0.0, -90.0]])
    student = torch.tensor([[-50.0, 40.0, 3.0]], requires_grad=True)
    cost = decoupled_kl(student, teacher, 1.0, 8.0)
    cost.sum().backward()
    assert torch.isfinite(cost).all() and student.grad is not None and torch.isfinite(student.grad).all()


def test_standardised_logits_forget_mean_and_size() -> None:
    """Sun et al. 2024: of the logits only what they say of each other counts, on both sides."""
    student, _, targets = batch(5)
    teacher = targets.teacher_logits
    assert teacher is not None
    cost = standardised_kl(student, teacher, 2.0)
    torch.testing.assert_close(standardised_kl(7 * student - 3, teacher, 2.0), cost)
    torch.testing.assert_close(standardised_kl(student, 0.2 * teacher + 9, 2.0), cost)
    alike = torch.zeros(2, CLASSES, requires_grad=True)
    standardised_kl(alike, teacher[:2].float(), 2.0).sum().backward()
    assert alike.grad is not None and torch.isfinite(alike.grad).all()


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
        combined_loss(logits, pooled, nothing_known, task=TASK, config=TrainingConfig(label_weight=weight))
        for weight in (0.9, 0.0)
    )
    assert with_weight.item() == without.item()


def test_cosine_ignores_length_and_mse_does_not() -> None:
    vector = torch.randn(4, WIDTH, dtype=torch.float64)
    assert state_cosine(vector, 3 * vector).abs().max() < 1e-12
    torch.testing.assert_close(state_mse(vector, 3 * vector), (2 * vector).square().mean(-1))
