"""The recipe as a Dagster component, so that `dg list components`, `dg check yaml` and the UI know it.

Belongs here: the bridge between a `defs.yaml` and Definitions, and `dg scaffold defs`, which writes a first one.
Does not: the fields (stillhouse/recipe/), what is built from them (build.py), what a first recipe says (scaffold/).
"""

from contextlib import suppress
from importlib.resources import files
from pathlib import Path
from typing import Any, Self

import dagster as dg
import yaml
from pydantic import BaseModel, ConfigDict, Field

from orchestration.build import recipe_definitions
from stillhouse.data.dialect import Quoting
from stillhouse.data.table import Format
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.reading import RecipeFile

DEMO = "defs/question_routing/defs.yaml"


def _with_the_demo(schema: dict[str, Any]) -> None:
    """Put the embedded recipe on the example page, where Dagster would write `...` for every field."""
    schema["examples"] = [yaml.safe_load(files("orchestration").joinpath(DEMO).read_text("utf-8"))["attributes"]]


class RecipeWithExample(Recipe):
    """The contract of a distillation."""

    model_config = ConfigDict(json_schema_extra=_with_the_demo)


class RecipeParameters(BaseModel):
    """What `stillhouse new` asks."""

    data: str = Field(description="path or URI of the rows")
    text: str = Field(description="their text column")
    label: str = Field(description="their label column")
    golden: str | None = Field(None, description="file of rows that people labelled: it judges, and data only trains")
    teacher: str | None = Field(
        None, description="weights that are copied: a folder, package://name/folder or hf://organisation/name@commit"
    )
    base: str | None = Field(None, description="an encoder that students are cut from, where the teacher is none")
    answers: str | None = Field(None, description="file of what a model has answered; data needs no label then")
    endpoint: str | None = Field(None, description="a server that speaks OpenAI's protocol: its model is copied")
    model: str | None = Field(None, description="of the endpoint the model, as the server names it")
    usd_in: float | None = Field(None, description="its price of a million tokens read")
    usd_out: float | None = Field(None, description="its price of a million tokens written")
    usd_at_most: float | None = Field(None, description="that all calls may ever cost together")
    api_key_env: str | None = Field(None, description="variable that holds its key, where it asks for one")
    teacher_may_see: list[str] = Field([], description="privacy classes that may be sent there; open when left out")
    file_format: Format | None = Field(None, description="of the file; by its name when left out")
    encoding: str = Field("utf-8", description="of its text")
    separator: str | None = Field(None, description="between the fields of csv; looked at when left out")
    quoting: Quoting | None = Field(None, description="around the fields of csv; looked at when left out")
    columns: list[str] = Field([], description="names of the columns of csv without a header")
    pain: list[str] = Field([], description="what hurts with the teacher in production; open when left out")
    licence: str = Field("", description="under which right the rows may train a model; open when left out")
    outputs_may_train: bool | None = Field(
        None, description="whether the teacher's terms allow training on its outputs; open when left out"
    )


class RecipeScaffolder(dg.Scaffolder[RecipeParameters]):
    """Writes a first recipe for somebody's rows, as `stillhouse new` does."""

    @classmethod
    def get_scaffold_params(cls) -> type[RecipeParameters]:
        """The options of `dg scaffold defs`."""
        return RecipeParameters

    def scaffold(self, request: dg.ScaffoldRequest[RecipeParameters]) -> None:
        """Write the recipe, or nothing.

        Raises:
            StillhouseError: as `write_recipe`, or if it shall be Python.
        """
        from orchestration.scaffold.files import Reading
        from orchestration.scaffold.open_questions import AnsweredQuestions
        from orchestration.scaffold.server import server_of
        from orchestration.scaffold.writing import FilesBeside, write_recipe

        if request.scaffold_format != "yaml":
            raise StillhouseError(
                "a recipe is YAML", where="--format", expected="yaml", do="Leave out --format, or write yaml."
            )
        asked, target = request.params, request.target_path
        said = Reading(asked.file_format, asked.encoding, asked.separator, asked.quoting, tuple(asked.columns))
        answers = AnsweredQuestions(
            tuple(asked.pain), asked.licence, asked.outputs_may_train, tuple(asked.teacher_may_see)
        )
        try:
            server = server_of(
                asked.endpoint, asked.model, asked.usd_in, asked.usd_out, asked.usd_at_most, asked.api_key_env
            )
            write_recipe(
                target.parent,
                target.name,
                data=asked.data,
                text=asked.text,
                label=asked.label,
                said=said,
                answers=answers,
                beside=FilesBeside(asked.golden, asked.answers, server, asked.teacher, asked.base),
            )
        except StillhouseError:
            with suppress(OSError):
                target.rmdir()  # made by Dagster for what is not written now; stays if there is anything in it
            raise


@dg.scaffold_with(RecipeScaffolder)
class DistillationRecipe(dg.Component):
    """One distillation, from rows to a released student, gated all the way."""

    def __init__(self, file: RecipeFile) -> None:
        self.file = file

    @classmethod
    def get_model_cls(cls) -> type[BaseModel]:
        """The contract; its schema is what `dg check yaml` checks."""
        return RecipeWithExample

    @classmethod
    def load(cls, attributes: BaseModel | None, context: dg.ComponentLoadContext) -> Self:
        """Wrap a checked recipe; its name is the name of its folder."""
        assert isinstance(attributes, RecipeWithExample)  # Dagster validated against get_model_cls
        folder = Path(context.path)
        recipe = Recipe.model_validate({name: getattr(attributes, name) for name in Recipe.model_fields})
        return cls(RecipeFile(folder.name, folder / "defs.yaml", recipe))

    def build_defs(self, context: dg.ComponentLoadContext) -> dg.Definitions:
        """Everything the recipe brings into the code location."""
        return recipe_definitions(self.file)
