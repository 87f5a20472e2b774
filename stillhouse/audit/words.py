"""Clauses that the sentences of several modules of the audit share.

Belongs here: what is said in more than one of them.
Does not: any whole sentence.
"""

from collections.abc import Sequence


def entries_are(sequences: Sequence[int]) -> str:
    """Name entries by their numbers, with the verb that follows."""
    shown = ", ".join(map(str, sequences[:5])) + (", ..." if len(sequences) > 5 else "")
    return f"entry {shown} is" if len(sequences) == 1 else f"entries {shown} ({len(sequences)} in all) are"


def one_line(error: Exception) -> str:
    """What an error says, without line ends."""
    return " ".join(str(error).split())


def rerun(recipe: str) -> str:
    """The command that runs a recipe again."""
    return f"`stillhouse run {recipe}`"
