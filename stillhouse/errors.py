"""The one error a user of Stillhouse is meant to read.

Belongs here: the exception for bad input and impossible requests, and what is this machine's fault alone.
Does not: bugs of ours, which stay ordinary exceptions with a traceback.
"""

from stillhouse.addresses import without_credentials


class StillhouseError(Exception):
    """Bad input in one line: what is wrong, where, what was expected and what to do next.

    Credentials are taken out of every address that it quotes, as an error ends in logs that keep it.

    Args:
        what: what is wrong, as a clause without a final full stop.
        where: the file, line, field, row or asset that is wrong.
        expected: what would have been accepted.
        do: the next action, preferably a command.
    """

    def __init__(self, what: str, *, where: str, expected: str, do: str) -> None:
        self.what, self.where, self.expected, self.do = map(without_credentials, (what, where, expected, do))
        super().__init__(f"{self.where}: {self.what}; expected {self.expected}. {self.do}")

    def at(self, where: str) -> "StillhouseError":
        """The same error at a place that a person knows better."""
        kind = MachineError if isinstance(self, MachineError) else StillhouseError
        return kind(self.what, where=where, expected=self.expected, do=self.do)


class MachineError(StillhouseError):
    """What this machine could not do: its disk is full, may not be written to, or a database or store is away.

    It says nothing of what was looked at, so no finding may rest on it: weights that found no room are not broken, and
    a file that could not be kept is not refused.
    """
