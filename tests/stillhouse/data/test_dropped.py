"""Reading a dropped file, which has to have the columns of its recipe."""

from pathlib import Path

import pytest

from stillhouse.data.dropped import every_column_in_a_drop
from stillhouse.errors import StillhouseError
from stillhouse.home import CHECKOUT
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import read_recipe
from tests.stillhouse.data.options import read_with


@pytest.fixture(scope="module")
def recipe() -> Recipe:
    """The demo's: text `question`, label `service`, and `kind` for its slices."""
    return read_recipe(CHECKOUT / "orchestration" / "defs" / "question_routing" / "defs.yaml").recipe


@pytest.mark.experiment("E2", "E3")
@pytest.mark.parametrize(
    ("header", "sentence"),
    [
        (
            "question,Service,kind",
            "there is no column 'service', which `data.label` of the recipe names; expected one of 'question', "
            "'Service', 'kind'. Did you mean 'Service'? `data.allow_missing_columns` lists what files may lack.",
        ),
        (
            "question,service",
            "there is no column 'kind', which `slices.0.column` of the recipe names; expected one of 'question', "
            "'service'. Call the column so in the file. `data.allow_missing_columns` lists what files may lack.",
        ),
        ("Question,service,kind", "there is no column 'question', which `data.text` of the recipe names"),
    ],
)
def test_a_dropped_file_without_a_column_of_the_recipe_is_refused_with_what_allows_it(
    tmp_path: Path, recipe: Recipe, header: str, sentence: str
) -> None:
    """Regression: 150 labelled rows became 149 unlabelled ones, and no gate closed."""
    (tmp_path / "b.csv").write_text(f"{header}\n{header}\n")
    columns = {"text": "question", "label": "service", "keep": recipe.kept_columns, "root": tmp_path}
    with pytest.raises(StillhouseError) as refused, every_column_in_a_drop(recipe):
        read_with("b.csv", **columns, optional=recipe.data.allow_missing_columns)  # type: ignore[arg-type]
    assert sentence in str(refused.value) and "b.csv, line 1" in refused.value.where
    assert ("allow_missing_columns" in refused.value.do) == ("data.text" not in sentence)


def test_a_dropped_file_may_lack_what_the_recipe_allows(tmp_path: Path, recipe: Recipe) -> None:
    (tmp_path / "b.csv").write_text("question\nWho ?\n")
    allowed = recipe.model_copy(
        update={"data": recipe.data.model_copy(update={"allow_missing_columns": ("service", "kind")})}
    )
    columns = {"text": "question", "label": "service", "keep": allowed.kept_columns, "root": tmp_path}
    with every_column_in_a_drop(allowed):
        read = read_with("b.csv", **columns, optional=allowed.data.allow_missing_columns)  # type: ignore[arg-type]
    assert read.rows.select("text", "label", "kind").rows() == [("Who ?", None, None)]
