"""What is said of how a file is read, before any of it is."""

import pytest

from orchestration.scaffold.files import Reading
from stillhouse.errors import StillhouseError


@pytest.mark.parametrize("separator", [";;", "", '"', "\n"])
def test_a_separator_that_no_recipe_can_have_is_refused(separator: str) -> None:
    """Regression: `stillhouse new --separator ';;'` ended with a traceback of the csv module."""
    with pytest.raises(StillhouseError, match=r"--separator: .* is not a separator"):
        Reading(separator=separator)


@pytest.mark.parametrize("separator", [None, ";", "\t", " "])
def test_one_character_is_a_separator_and_a_tab_has_a_name(separator: str | None) -> None:
    assert Reading(separator=separator).separator == separator
    assert Reading(separator="tab").separator == Reading(separator=r"\t").separator == "\t"
