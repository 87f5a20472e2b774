"""The one error a user of Stillhouse is meant to read.

Belongs here: the exception for bad input and impossible requests, and nothing else.
Does not: bugs of ours, which stay ordinary exceptions with a traceback.
"""


class StillhouseError(Exception):
    """Bad input, told in one line: what is wrong, where, what was expected and what to do next.

    Args:
        what: what is wrong, as a clause without a final full stop.
        where: the file, line, field, row or asset that is wrong.
        expected: what would have been accepted.
        do: the next action, preferably a command.
    """

    def __init__(self, what: str, *, where: str, expected: str, do: str) -> None:
        self.what, self.where, self.expected, self.do = what, where, expected, do
        super().__init__(f"{where}: {what}; expected {expected}. {do}")
