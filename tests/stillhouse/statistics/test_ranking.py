"""nDCG and reciprocal ranks: by hand, as scikit-learn has them, and what holds for all rankings."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st
from sklearn.metrics import ndcg_score

from stillhouse.statistics.ranking import Queries

DOCUMENTS = st.lists(st.tuples(st.integers(0, 3), st.integers(-4, 4), st.integers(0, 4)), min_size=1, max_size=40)
"""Of each its gain, its score and its query."""


def taken(documents: list[tuple[int, int, int]]) -> tuple[np.ndarray, np.ndarray, np.ndarray]:
    gains, scores, queries = (np.array(each) for each in zip(*documents, strict=True))
    return gains.astype(float), scores.astype(float), queries


def test_ndcg_by_hand() -> None:
    """Gains 3, 2, 0, 1 in the order answered; the ideal order is 3, 2, 1, 0."""
    queries = Queries.of(np.array([3.0, 2.0, 0.0, 1.0]), np.zeros(4, int), at=10)
    found = 3 + 2 / math.log2(3) + 1 / math.log2(5)
    ideal = 3 + 2 / math.log2(3) + 1 / math.log2(4)
    assert queries.ndcg(np.array([4.0, 3.0, 2.0, 1.0])) == pytest.approx([found / ideal])


def test_only_the_first_places_count() -> None:
    """The relevant document in the third place is worth a half at 3 places, and nothing at 2."""
    gains, scores = np.array([0.0, 0.0, 1.0]), np.array([3.0, 2.0, 1.0])
    assert Queries.of(gains, np.zeros(3, int), at=3).ndcg(scores) == pytest.approx([0.5])
    assert Queries.of(gains, np.zeros(3, int), at=2).ndcg(scores) == pytest.approx([0.0])


def test_equal_scores_are_worth_the_mean_of_their_orders() -> None:
    """Two documents of one score, one of them relevant: it is in the first place or in the second."""
    queries = Queries.of(np.array([0.0, 1.0]), np.zeros(2, int), at=10)
    assert queries.ndcg(np.zeros(2)) == pytest.approx([(1 + 1 / math.log2(3)) / 2])


@given(DOCUMENTS, st.integers(1, 8))
def test_ndcg_is_that_of_scikit_learn(documents: list[tuple[int, int, int]], at: int) -> None:
    gains, scores, codes = taken(documents)
    queries = Queries.of(gains, codes, at=at)
    expected = [ndcg_score(gains[rows][None], scores[rows][None], k=at) for rows in queries.rows]
    assert queries.ndcg(scores) == pytest.approx(expected, abs=1e-12)


@given(DOCUMENTS, st.randoms(use_true_random=False))
def test_the_order_of_rows_and_the_names_of_queries_change_nothing(
    documents: list[tuple[int, int, int]], random: object
) -> None:
    gains, scores, codes = taken(documents)
    moved = np.random.default_rng(random.randrange(1000)).permutation(len(gains))  # type: ignore[attr-defined]
    first, other = Queries.of(gains, codes, at=5), Queries.of(gains[moved], 10 - codes[moved], at=5)
    for of in (Queries.ndcg, Queries.reciprocal_ranks):
        assert sorted(of(first, scores)) == pytest.approx(sorted(of(other, scores[moved])))


@given(DOCUMENTS)
def test_only_the_order_of_scores_counts(documents: list[tuple[int, int, int]]) -> None:
    gains, scores, codes = taken(documents)
    queries = Queries.of(gains, codes, at=5)
    for changed in (scores * 3 - 7, np.exp(scores), scores**3):
        assert queries.ndcg(changed) == pytest.approx(queries.ndcg(scores))
        assert queries.reciprocal_ranks(changed).tolist() == queries.reciprocal_ranks(scores).tolist()


@given(DOCUMENTS, st.integers(1, 8))
def test_no_order_is_better_than_the_perfect_one_or_worse_than_the_lowest(
    documents: list[tuple[int, int, int]], at: int
) -> None:
    gains, scores, codes = taken(documents)
    queries = Queries.of(gains, codes, at=at)
    assert queries.ndcg(gains) == pytest.approx(np.ones(len(queries)))
    assert queries.reciprocal_ranks(gains).tolist() == [1.0] * len(queries)
    found = queries.ndcg(scores)
    assert (found <= 1 + 1e-12).all() and (found >= queries.lowest_ndcg - 1e-12).all()


@given(DOCUMENTS)
def test_a_query_without_an_order_to_get_right_does_not_count(documents: list[tuple[int, int, int]]) -> None:
    gains, _, codes = taken(documents)
    queries = Queries.of(gains, codes, at=5)
    different = {code for code in codes.tolist() if len(set(gains[codes == code])) > 1}
    assert len(queries) == len(different)
    assert queries.documents == sum(int((codes == code).sum()) for code in different)


def test_the_first_relevant_document_decides_a_reciprocal_rank_and_ties_count_against_it() -> None:
    gains, codes = np.array([0.0, 1.0, 2.0, 0.0, 1.0, 0.0]), np.array([0, 0, 0, 1, 1, 1])
    queries = Queries.of(gains, codes, at=10)
    assert queries.reciprocal_ranks(np.array([3.0, 2.0, 1.0, 5.0, 5.0, 5.0])).tolist() == [1 / 2, 1 / 3]


@pytest.mark.parametrize(
    ("gains", "codes", "at"),
    [([1.0, -1.0], [0, 0], 5), ([1.0], [0, 0], 5), ([1.0, 0.0], [0, 0], 0), ([math.nan], [0], 1)],
)
def test_what_is_no_gain_or_no_place_is_refused(gains: list[float], codes: list[int], at: int) -> None:
    with pytest.raises(ValueError, match="need"):
        Queries.of(np.array(gains), np.array(codes), at=at)


def test_there_may_be_no_query_at_all() -> None:
    queries = Queries.of(np.zeros(3), np.arange(3), at=5)
    assert len(queries) == 0 and queries.ndcg(np.zeros(3)).size == 0 and queries.lowest_ndcg.size == 0
    assert len(Queries.of(np.zeros(0), np.zeros(0, int), at=5)) == 0
