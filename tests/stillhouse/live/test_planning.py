"""How long a fall of agreement goes unseen, by how many answers of the teacher are paid for."""

import pytest

from stillhouse.live.baseline import AgreementScale
from stillhouse.live.planning import AnswersPrice, live_plan
from stillhouse.live.watches import WatchKind
from tests.stillhouse.live.made import reference, terms


def days_of(times: int) -> dict[tuple[int, float], int | None]:
    """With so many times the golden rows, alike."""
    one = reference()
    assert one.agreement is not None
    scale = AgreementScale(
        edges=one.agreement.edges,
        rows=tuple(each * times for each in one.agreement.rows),
        agreed=tuple(each * times for each in one.agreement.agreed),
    )
    watches = terms().watches(one.model_copy(update={"agreement": scale}))
    watch = next(each for each in watches if each.kind is WatchKind.AGREEMENT)
    found = live_plan(scale, watch, len(watches), terms().spec, requests_a_day=1000)
    return {(each.answers_a_day, each.fall): each.days for each in found.table}


@pytest.mark.long
def test_more_answers_find_a_fall_earlier_and_a_deep_one_is_found_earlier_than_a_slight_one() -> None:
    days = days_of(20)
    for fall in (0.06, 0.10, 0.20):
        found = [days[answers, fall] or 401 for answers in (20, 50, 200, 500)]
        assert found == sorted(found, reverse=True) and found[-1] < found[0]
    # The design simulated 3 days for 6 points and 500 answers with a limit two points below; this one is 2.7.
    assert days[500, 0.06] in range(2, 8)
    assert days[20, 0.20] in range(1, 20)


def test_what_is_asked_has_its_price_with_the_canary_of_each_day() -> None:
    one = reference()
    assert one.agreement is not None
    watch = next(each for each in terms().watches(one) if each.kind is WatchKind.AGREEMENT)
    price = AnswersPrice(usd_an_answer=0.001, canary_a_day=100)
    found = live_plan(one.agreement, watch, 12, terms().spec, requests_a_day=50, price=price)
    # 30 days of (20 + 100) answers, and of (50 + 100), at a tenth of a cent.
    assert {each.answers_a_day: each.usd_a_month for each in found.table} == pytest.approx({20: 3.6, 50: 4.5})
    free = live_plan(one.agreement, watch, 12, terms().spec, requests_a_day=50)
    assert {each.usd_a_month for each in free.table} == {None} and free.cost is None


@pytest.mark.long
def test_a_fall_within_what_few_golden_rows_prove_is_never_found() -> None:
    assert days_of(1)[500, 0.04] is None
