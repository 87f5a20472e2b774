"""What version 0.1.0 called gates: its waivers, recipes and verdicts keep their meaning.

Belongs here: the old names, for one version.
Does not: gates (checks/).
"""

from collections.abc import Iterable

RENAMED = {
    "it_answers": "the_bundle_loads_and_predicts",
    "it_is_worth_copying": "teacher_accuracy_reaches_the_minimum",
    "its_seeds_agree": "all_seeds_are_within_the_margin",
    "its_confidence_was_calibrated": "confidence_was_calibrated",
    "it_beats_the_most_frequent_class": "the_student_beats_the_majority_class",
    "it_pays_for_itself": "the_student_pays_for_itself",
    "it_is_right_on_the_rows_that_can_be_checked": "the_teacher_is_right_on_labelled_rows",
    "it_names_what_it_was_made_from": "the_release_names_its_inputs",
    "it_lists_what_was_waived": "the_release_lists_its_waivers",
    "no_more_rounds_were_judged_than_the_recipe_allows": "golden_rounds_are_within_the_limit",
    "the_reasons_are_those_of_the_judged_students": "the_analysis_is_of_the_judged_students",
    "the_chosen_one_is_a_candidate_and_no_control": "the_chosen_student_is_no_control",
    "every_class_the_recipe_names_is_in_the_rows": "every_named_class_is_in_the_rows",
    "the_teacher_began_with_the_pinned_weights": "the_teacher_began_with_pinned_weights",
    "somebody_else_has_approved_it": "another_person_has_approved_it",
    "int8_gives_the_same_answers": "quantisation_keeps_the_answers",
}
"""So that each name says what it is about and fits a line. To be removed in the version after this one."""


def gate_name(name: str) -> str:
    """The name of a gate as it is now."""
    return RENAMED.get(name, name)


def renamed(names: Iterable[str]) -> list[str]:
    """A line for each old name, with the new one."""
    return [f"the gate {name} is called {RENAMED[name]} now" for name in names if name in RENAMED]


def gate_address(address: str) -> str:
    """The address of a gate, such as `small/prompts[base]:every_slice_has_golden_rows`, with its name as it is now."""
    asset, colon, name = address.rpartition(":")
    return f"{asset}{colon}{gate_name(name)}"
