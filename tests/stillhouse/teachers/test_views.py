from hypothesis import given
from hypothesis import strategies as st

from stillhouse.teachers.views import views_of

QUESTIONS = [
    f"what is the {thing} of {place} in {year} ?"
    for thing in ("river", "king")
    for place in ("Rome", "Oslo")
    for year in (1, 2, 3)
]
TEXTS = st.lists(st.text(alphabet="ab C\t", max_size=12), max_size=12)


@given(texts=TEXTS, never=TEXTS, seed=st.integers(0, 9), per_text=st.integers(0, 3))
def test_views_are_new_distinct_and_bounded(texts: list[str], never: list[str], seed: int, per_text: int) -> None:
    views = views_of(texts, seed=seed, per_text=per_text, never=never)
    folded = [" ".join(view.casefold().split()) for view in views]
    assert len(set(folded)) == len(folded) <= per_text * len(texts)
    assert not set(folded) & {" ".join(text.casefold().split()) for text in [*texts, *never, ""]}


def test_views_do_not_depend_on_the_order_of_the_texts() -> None:
    assert views_of(QUESTIONS, seed=1) == views_of(QUESTIONS[::-1], seed=1)
    assert views_of(QUESTIONS, seed=1) != views_of(QUESTIONS, seed=2)


def test_a_text_that_is_added_changes_only_its_neighbours_view() -> None:
    before, after = views_of(QUESTIONS, seed=1), views_of([*QUESTIONS, "who wrote the song about the sea ?"], seed=1)
    assert len(set(before) - set(after)) <= 1


def test_a_view_is_made_of_the_words_of_two_texts() -> None:
    words = {word for text in QUESTIONS for word in text.split()}
    views = views_of(QUESTIONS, seed=3, per_text=2)
    assert len(views) > len(QUESTIONS) // 2
    assert all(set(view.split()) <= words for view in views)
