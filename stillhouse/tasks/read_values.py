"""Values of a record that are read and not copied, since label and text may write them in different ways.

Belongs here: what a field reads in a run of words, and all runs of a text in which it reads something.
Does not: reading one kind of value (numbers_in_texts.py, dates_in_texts.py), finding runs (words.py), records
(records.py, extraction.py).
"""

from collections.abc import Iterator, Sequence
from functools import partial

from stillhouse.recipe.record import FieldSpec
from stillhouse.tasks.dates_in_texts import readings_of_date
from stillhouse.tasks.numbers_in_texts import BEGINS_A_NUMBER, LONGEST, is_inside_a_word, readings_of_number
from stillhouse.tasks.words import runs_read


def readings(written: str, field: FieldSpec) -> tuple[str, ...]:
    """The values that a text may be, in their one spelling: none, one, or two where only people know.

    Args:
        written: a run of words, or a value of a label.
        field: one that reads its values.
    """
    if field.kind == "date":
        return readings_of_date(written, field.order)
    return readings_of_number(written, field.decimal)


def values_in(
    text: str, spans: Sequence[tuple[int, int]], longest: int, field: FieldSpec
) -> Iterator[tuple[tuple[int, int], tuple[str, ...]]]:
    """The runs of words in which a field reads something: by their first word, and then by their length.

    Args:
        text: in its one spelling.
        spans: where its words begin and end.
        longest: words of a run at most.
        field: one that reads its values.
    """
    begins = BEGINS_A_NUMBER if field.kind == "number" else None
    return runs_read(text, spans, longest, partial(readings, field=field), longest=LONGEST, begins=begins)


def has_letters_at_it(value: str, text: str, field: FieldSpec) -> bool:
    """Whether a text has a number only inside a word, as `EUR12.50`; of a date nobody looks for that."""
    return field.kind == "number" and is_inside_a_word(value, text, field.decimal)
