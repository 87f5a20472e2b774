"""The one printer for the terminal.

Belongs here: what may reach a person's terminal, whoever wrote the text.
Does not: what is printed (cli.py, run.py), JSON for scripts, which escapes by itself.

Texts of rows, names of files and sentences that quote them are other people's data. A terminal obeys control
characters: an escape in a row's text clears the screen or paints "every gate is open". Rich obeys square brackets.
"""

import re
import traceback
from collections.abc import Iterable
from types import TracebackType
from typing import Any

from rich.console import Console, ConsoleOptions, RenderableType
from rich.segment import Segment

_NOT_FOR_TERMINALS = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]|"  # a whole escape sequence, such as that of a colour
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 without tab and newline: escape, bell, carriage return, CSI
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions: show a text in another order than it has
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff]"  # bytes of a file name that are no UTF-8: they cannot be encoded, and printing would fail
)


def printable(text: str) -> str:
    """Leave out of a text what a terminal would obey instead of showing.

    Args:
        text: any text, with newlines and tabs, which stay.
    """
    return _NOT_FOR_TERMINALS.sub("", text)


class Terminal(Console):
    """A rich console on which data is only ever shown: no markup, no emoji codes, no control characters.

    Styles are given as `Text` or `style=`. The title of a `Panel` must be a `Text`: rich reads markup in a plain one.

    Args:
        options: as of `rich.console.Console`, such as `stderr` or `width`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Clean every piece of text on its way out, however deep in a table or panel it was."""
        for segment in super().render(renderable, options):
            # Rich's own cursor movements are marked as control; nothing that comes from a text ever is.
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def show_uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Print an error that nobody caught, as `sys.excepthook`: its message may quote a row."""
        self.print("".join(traceback.format_exception(kind, error, trace)), end="", soft_wrap=True)


out, err = Terminal(), Terminal(stderr=True)
