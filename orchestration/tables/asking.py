"""What was written for a batch API, and what became of its replies, as lines."""

from collections.abc import Iterator
from pathlib import Path

from rich.text import Text

from orchestration.asking import Asked
from stillhouse.economics import amount
from stillhouse.recipe.reading import RecipeFile
from stillhouse.teachers.batch_api import BatchRead


def asked_lines(path: Path, asked: Asked, file: RecipeFile, of: str | None) -> Iterator[Text]:
    """What was written for a batch API, and what to do with it.

    Args:
        path: of the file.
        asked: what is in it.
        file: the recipe, as if who is asked were its teacher.
        of: who is asked, where that is not the teacher itself.
    """
    said = f"{asked.requests:,} requests for {asked.prompts:,} prompts, {asked.characters:,} characters of text"
    yield Text(f"{path}: {said}")
    if asked.usd_at_most is None or asked.tokens_at_most is None or asked.usd_left is None:
        yield Text(f"When they are answered, put the replies into {file.recipe.teacher.source}", "dim")
        return
    yield Text(
        f"at most {asked.tokens_at_most:,} tokens and {amount(asked.usd_at_most)} USD at the prices of the recipe; "
        f"{amount(max(asked.usd_left, 0.0))} USD are left of its usd_at_most"
    )
    if asked.left_for_calls:
        yield Text(
            f"{asked.left_for_calls:,} golden rows are left for calls of the next run, which are timed: nobody knows "
            "how long an answer of a batch took"
        )
    named = f" --of {of}" if of else ""
    yield Text(
        f"When they are answered: `stillhouse ask {file.name}{named} --read FILE`. The next run then asks only what is "
        "still missing; before a student is trained, the gates of the pilot look at the replies to validation rows.",
        "dim",
    )


def batch_read_lines(path: Path, found: BatchRead) -> Iterator[Text]:
    """What became of the replies of a batch."""
    yield Text(
        f"{path}: {found.taken:,} of {found.replies:,} replies are new in the log of calls, booked as "
        f"{amount(found.usd)} USD: their usage at the prices of the recipe. What a batch is billed is not known here."
    )
    if found.there_already:
        yield Text(f"{found.there_already:,} are to requests that have a reply in the log, and are not booked again")
    for failure, replies in found.failures.items():
        yield Text(f"{replies:,} of the new ones: {failure}. They are paid for, and not asked again", "yellow")
    for each in found.left_out:
        yield Text(f"{each.lines:,} left out, as {each.why}: {'; '.join(each.first)}", "yellow")
        if each.do:
            yield Text(f"  {each.do}", "dim")
    if found.booked_beside:
        yield Text(
            f"{found.booked_beside:,} lines whose reply is not used are billed all the same, and booked as "
            f"{amount(found.usd_beside)} USD",
            "yellow",
        )
    if found.over_counted:
        yield Text(
            f"for {found.over_counted:,} the server counts more tokens than a call can take. Raise tokens_around if "
            "its template is that long; else do not trust it",
            "yellow",
        )
    if found.is_beyond_the_cap:
        yield Text(
            f"{amount(found.usd_spent)} USD are spent, and usd_at_most is {found.usd_at_most:g}: no run makes a call "
            "until you raise it",
            "yellow",
        )
    yield Text(
        f"{found.missing:,} requests have no reply yet; the next run makes them, or `--write` writes them again"
        if found.missing
        else "every request has a reply"
    )
