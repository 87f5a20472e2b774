"""The one printer for the terminal.

Belongs here: what may reach a person's terminal, whoever wrote the text.
Does not: what is printed (commands/, run.py).

Texts of rows, names of files and sentences that quote them are other people's data. A terminal obeys control
characters: an escape in a row's text clears the screen or paints "every gate is open". Rich obeys square brackets.
"""

import errno
import os
import re
import sys
import traceback
from collections.abc import Iterable, Iterator
from contextlib import contextmanager
from io import TextIOWrapper
from types import TracebackType
from typing import IO, Any

from rich.console import Console, ConsoleDimensions, ConsoleOptions, RenderableType
from rich.segment import Segment
from rich.text import Text

from stillhouse.errors import StillhouseError

_NOT_FOR_TERMINALS = re.compile(
    "\x1b\\[[0-?]*[ -/]*[@-~]|"  # a whole escape sequence, such as that of a colour
    "[\x00-\x08\x0b-\x1f\x7f-\x9f"  # C0 and C1 without tab and newline: escape, bell, carriage return, CSI
    "\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069"  # directions: show a text in another order than it has
    "\u2028\u2029"  # line and paragraph separators
    "\ud800-\udfff]"  # bytes of a file name that are no UTF-8: they cannot be encoded, and printing would fail
)
_NOT_ESCAPED_BY_JSON = re.compile("[\x7f-\x9f\u061c\u200e\u200f\u202a-\u202e\u2066-\u2069\u2028\u2029]")
"""Of these, what JSON leaves as it is: it may stand in texts alone."""
WIDE = 10_000
"""Columns where nobody looks at a screen; no line of ours is as long."""


def printable(text: str) -> str:
    """Leave out of a text what a terminal would obey instead of showing.

    Args:
        text: any text, with newlines and tabs, which stay.
    """
    return _NOT_FOR_TERMINALS.sub("", text)


class Terminal(Console):
    """A rich console on which data is only ever shown: no markup, no emoji codes, no control characters.

    Styles are given as `Text` or `style=`. The title of a `Panel` must be a `Text`: rich reads markup in a plain one.

    Where the output is a file or a pipe, no line is wrapped or cut, and none ends in blanks: a program reads it, or a
    person with a pager; COLUMNS sets a width all the same.

    Args:
        options: as of `rich.console.Console`, such as `stderr` or `width`.
    """

    def __init__(self, **options: Any) -> None:
        super().__init__(markup=False, emoji=False, highlight=False, **options)

    @property  # type: ignore[misc]  # rich lets it be set, which nobody does here
    def size(self) -> ConsoleDimensions:
        """Columns and lines that there are to draw on."""
        size = super().size
        wide = self._width is None and not self.is_terminal
        return ConsoleDimensions(WIDE, size.height) if wide else size

    def render(self, renderable: RenderableType, options: ConsoleOptions | None = None) -> Iterable[Segment]:
        """Clean every piece of text on its way out, however deep in a table or panel it was."""
        for segment in super().render(renderable, options):
            # Rich's own cursor movements are marked as control; nothing that comes from a text ever is.
            yield segment if segment.control else Segment(printable(segment.text), segment.style)

    def print(self, *objects: Any, **options: Any) -> None:
        """As rich does.

        Raises:
            StillhouseError: if it cannot be written, such as into a file on a full disk.
        """
        try:
            if self.is_terminal or self.record or self.quiet:
                super().print(*objects, **options)
                return
            with self.capture() as captured:
                super().print(*objects, **options)
            self.file.write("\n".join(line.rstrip(" ") for line in captured.get().split("\n")))
            self.file.flush()  # each piece as it comes, as on a terminal
        except OSError as error:
            _go_on_unread(self.file, error)

    def say(self, *lines: RenderableType, style: str = "") -> None:
        """Print lines, none of which is broken where it does not fit.

        Args:
            lines: each by itself.
            style: of those that are plain texts.
        """
        for line in lines:
            self.print(Text(line, style) if isinstance(line, str) else line, soft_wrap=True)

    def on_broken_pipe(self) -> None:
        """Go on where rich would end the process: what is said is lost, and not the work that says it."""
        _lead_nowhere(self.file)

    def show_uncaught(self, kind: type[BaseException], error: BaseException, trace: TracebackType | None) -> None:
        """Print an error that nobody caught, as `sys.excepthook`: its message may quote a row."""
        self.print("".join(traceback.format_exception(kind, error, trace)), end="", soft_wrap=True)


@contextmanager
def held_screen(console: Terminal) -> Iterator[Terminal]:
    """A terminal on the screen of another one, which keeps it while a library sends standard output elsewhere.

    Dagster captures a step's output by pointing file descriptor 1 at a file until the step ends, and copies the file to
    where the descriptor pointed before. A display of progress would stand still for as long as a step takes, and be
    painted over afterwards. So the display gets a descriptor of its own; descriptor 1 leads nowhere meanwhile, and what
    a step prints is in Dagster's log of it.

    Args:
        console: whose file is standard output; one with another file, as in a notebook, is given back as it is.
    """
    if console.file is not sys.stdout or not isinstance(sys.stdout, TextIOWrapper):
        yield console
        return
    flush_output()
    is_terminal = console.is_terminal  # asked of the descriptor, while it still leads there
    screen, printed = os.dup(sys.stdout.fileno()), sys.stdout.fileno()
    nowhere = os.open(os.devnull, os.O_WRONLY)
    try:
        with os.fdopen(os.dup(screen), "w", encoding=sys.stdout.encoding, errors="backslashreplace") as file:
            os.dup2(nowhere, printed)
            yield Terminal(file=file, force_terminal=is_terminal, color_system=console.color_system)
    finally:
        sys.stdout.flush()
        os.dup2(screen, printed)
        os.close(screen)
        os.close(nowhere)


def print_json(answer: str) -> None:
    """Print an answer for scripts: nothing is left out, and what a terminal would obey is escaped.

    Raises:
        StillhouseError: if it cannot be written, such as into a file on a full disk.
    """
    escaped = _NOT_ESCAPED_BY_JSON.sub(lambda found: f"\\u{ord(found[0]):04x}", answer)
    try:
        sys.stdout.write(f"{escaped}\n")
    except OSError as error:
        _go_on_unread(sys.stdout, error)


def flush_output() -> None:
    """Have everything that was printed reach whoever reads it, or say that it did not.

    Raises:
        StillhouseError: if it cannot be written, such as into a file on a full disk.
    """
    try:
        sys.stdout.flush()
    except OSError as error:
        _go_on_unread(sys.stdout, error)


def open_closed_streams() -> None:
    """Have a process that was started without standard input, output or error read nothing and write nowhere.

    Else the next file that is opened, such as the ledger's, gets the number of the missing one, and whatever a library
    prints is written into it.
    """
    for number, (name, mode) in enumerate((("stdin", "r"), ("stdout", "w"), ("stderr", "w"))):
        if getattr(sys, name) is None:
            _lead_nowhere_at(number)
            setattr(sys, name, os.fdopen(number, mode, encoding="utf-8", closefd=False))


def _go_on_unread(file: IO[str], error: OSError) -> None:
    """Let the rest of what is said go nowhere; what was asked for goes on where only its reader has stopped.

    Raises:
        StillhouseError: if there is somebody to read it, and it cannot be written.
    """
    # What is left would be tried again when the interpreter ends, which then has words of its own for it.
    _lead_nowhere(file)
    if error.errno != errno.EPIPE:  # as of `head`, which has read enough
        raise StillhouseError(
            f"cannot be written ({error.strerror})",
            where="standard output",
            expected="a terminal, or a file on a disk with room",
            do="Write it to another place.",
        ) from error


def _lead_nowhere(file: IO[str]) -> None:
    _lead_nowhere_at(file.fileno())


def _lead_nowhere_at(number: int) -> None:
    nowhere = os.open(os.devnull, os.O_RDWR)
    if nowhere != number:
        os.dup2(nowhere, number)
        os.close(nowhere)


out, err = Terminal(), Terminal(stderr=True)
