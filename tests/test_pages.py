"""What two pages say of the same thing is the same."""

import re

from stillhouse.home import CHECKOUT

NUMBERS = {"one": 1, "two": 2, "three": 3, "four": 4, "five": 5, "six": 6}


def test_an_addition_touches_as_many_files_by_the_map_of_the_code_as_by_the_steps_to_follow() -> None:
    """The steps themselves are followed in test_contributing.py."""
    steps = re.findall(r"^## (An? [^,\n]+), in (\w+) files?", (CHECKOUT / "CONTRIBUTING.md").read_text(), re.MULTILINE)
    architecture = (CHECKOUT / "docs" / "architecture.md").read_text()
    rows = re.findall(r"^\| (an? [^,|]+?)(?:,[^|]*)? \| (\d) \|", architecture, re.MULTILINE)
    assert {what.lower(): NUMBERS[files] for what, files in steps} == {what: int(files) for what, files in rows}
    assert len(rows) == 7
