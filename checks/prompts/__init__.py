"""The gates on the prompt set of a batch, in the order in which they are shown and written into docs/gates.md.

    records.py        whether rows were lost on the way in
    split.py          whether what is trained on and what is judged by are apart
    personal_data.py  whether personal data went further than the file of rows
    labels.py         whether the labels are the classes that are meant, and can be learned
    golden_rows.py    whether the rows that judge are the right ones, enough of them, and the same as before
    coverage.py       how much of the texts models will read
    mix.py            whether the mix of rows is the one that production asks
    base_batch.py     what these look at beside their own batch

Belongs here: one line for each gate.
Does not: a gate, the expectations on single columns (expectations/prompts.py).
"""

from checks.expectations.prompts import SUITE
from checks.gate import StageGates
from checks.prompts.coverage import few_texts_are_cut, few_word_pieces_are_unknown
from checks.prompts.golden_rows import (
    every_golden_label_is_in_the_source,
    every_slice_has_golden_rows,
    golden_rows_are_of_the_golden_file,
    no_golden_row_has_changed,
    no_slice_is_thin,
    the_golden_set_can_support_the_margin,
)
from checks.prompts.labels import (
    classes_have_enough_rows,
    every_named_class_is_in_the_rows,
    labels_have_one_spelling_each,
    labels_name_one_class_each,
    no_batch_brings_a_new_label,
    nothing_in_a_text_gives_its_label_away,
)
from checks.prompts.mix import (
    synthetic_rows_are_diverse_enough,
    the_batch_is_like_the_base,
    the_mix_matches_recent_traffic,
    the_synthetic_share_is_under_its_cap,
)
from checks.prompts.personal_data import no_column_names_people, no_personal_data_is_left
from checks.prompts.records import few_rows_of_the_batch_were_rejected, kept_and_rejected_are_all_that_came_in
from checks.prompts.split import (
    no_golden_text_is_inside_a_training_text,
    no_group_is_on_two_sides,
    no_near_duplicate_is_on_two_sides,
    no_text_is_on_both_sides_of_a_split,
)

GATES = StageGates(
    (
        kept_and_rejected_are_all_that_came_in,
        no_text_is_on_both_sides_of_a_split,
        no_near_duplicate_is_on_two_sides,
        no_golden_text_is_inside_a_training_text,
        no_group_is_on_two_sides,
        no_personal_data_is_left,
        no_column_names_people,
        nothing_in_a_text_gives_its_label_away,
        few_rows_of_the_batch_were_rejected,
        every_named_class_is_in_the_rows,
        golden_rows_are_of_the_golden_file,
        every_golden_label_is_in_the_source,
        labels_have_one_spelling_each,
        few_texts_are_cut,
        few_word_pieces_are_unknown,
        classes_have_enough_rows,
        labels_name_one_class_each,
        every_slice_has_golden_rows,
        no_slice_is_thin,
        no_batch_brings_a_new_label,
        the_mix_matches_recent_traffic,
        the_batch_is_like_the_base,
        the_synthetic_share_is_under_its_cap,
        synthetic_rows_are_diverse_enough,
        no_golden_row_has_changed,
        the_golden_set_can_support_the_margin,
    ),
    SUITE,
)
