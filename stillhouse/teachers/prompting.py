"""The prompt around a text, which a recipe has in a file of its own.

Belongs here: reading it, and filling in what is the same for every text.
Does not: what a server is sent (requests.py), what a language model of this machine reads (causal_lm.py).
"""

from collections.abc import Iterable, Sequence
from pathlib import Path

from stillhouse.errors import StillhouseError
from stillhouse.recipe.reading import RecipeFile

TEXT, LABELS, TASK = "{text}", "{labels}", "{task}"
"""What stands in a prompt for what it says."""


def template_of(file: RecipeFile, part: Sequence[str | int], prompt: str | None) -> str | None:
    """The prompt that a recipe names, as it is in its file; None where it names none.

    Args:
        file: the recipe.
        part: of the recipe, whose field `prompt` it is.
        prompt: what that field says.

    Raises:
        StillhouseError: if the file cannot be read, or has no place for the text.
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
    if TEXT not in template:
        raise StillhouseError(
            f"the prompt has no {TEXT}",
            where=f"{where}: {path}",
            expected=f"{TEXT} where each text is to stand; {LABELS} and {TASK} are filled in, too",
            do="Add it.",
        )
    return template


def filled_in(template: str, task: str, labels: Iterable[str]) -> str:
    """A prompt with everything but the text.

    Args:
        template: with `{text}`, and perhaps `{labels}` and `{task}`.
        task: the recipe's sentence.
        labels: as they are shown, each on a line.
    """
    # Split first, so that a task which holds {text} is asked as it is.
    fixed = {LABELS: "\n".join(labels), TASK: task.replace(TEXT, "text")}
    return TEXT.join(_filled(part, fixed) for part in template.split(TEXT))


def _filled(part: str, values: dict[str, str]) -> str:
    for name, value in values.items():
        part = part.replace(name, value)
    return part
