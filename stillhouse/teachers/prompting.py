"""The prompt around a text, which a recipe has in a file of its own.

Belongs here: reading it, and filling in what is the same for every text.
Does not: what a server is sent (requests.py), how fields of a record are described (asked_records.py), what a language
model of this machine reads (causal_lm.py).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile

TEXT, LABELS, FIELDS, TASK = "{text}", "{labels}", "{fields}", "{task}"
"""What stands in a prompt for what it says; the fields are those of a record, which is asked for in place of labels."""


def template_of(file: RecipeFile, part: Sequence[str | int], prompt: str | None) -> str | None:
    """The prompt that a recipe names, as it is in its file; None where it names none.

    Args:
        file: the recipe.
        part: of the recipe, whose field `prompt` it is.
        prompt: what that field says.

    Raises:
        StillhouseError: if the file cannot be read, has no place for the text, or one for labels where a record is
            asked for.
    """
    if prompt is None:
        return None
    where, path = file.where(*part, "prompt"), Path(file.located(prompt))
    try:
        template = path.read_text("utf-8")
    except (OSError, UnicodeError) as error:
        raise StillhouseError(
            f"the prompt cannot be read: {error}", where=where, expected="a text file in UTF-8", do="Correct the path."
        ) from error
    shown = FIELDS if file.recipe.gives_records else LABELS
    if TEXT not in template:
        raise StillhouseError(
            f"the prompt has no {TEXT}",
            where=f"{where}: {path}",
            expected=f"{TEXT} where each text is to stand; {shown} and {TASK} are filled in, too",
            do="Add it.",
        )
    if file.recipe.gives_records and LABELS in template:
        raise StillhouseError(
            f"the prompt has {LABELS}, and answers are records",
            where=f"{where}: {path}",
            expected=f"{FIELDS} where the fields of a record are to stand, or nothing",
            do=f"Write {FIELDS} for {LABELS}.",
        )
    return template


def filled_in(template: str, task: str, lines: Iterable[str], shown: str = LABELS) -> str:
    """A prompt with everything but the text.

    Args:
        template: with `{text}`, and perhaps `{task}` and what is shown.
        task: the recipe's sentence.
        lines: the labels as they are shown, or the fields of a record.
        shown: what stands in the template for these.
    """
    # Split first, so that a task which holds {text} is asked as it is.
    fixed = {shown: "\n".join(lines), TASK: task.replace(TEXT, "text")}
    return TEXT.join(_filled(part, fixed) for part in template.split(TEXT))


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(name, value)
    return part
