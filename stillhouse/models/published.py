"""Published models as transformers reads them, with every tensor accounted for.

transformers knows the names that weights bore in earlier years, and puts shards together. What it would let pass in
silence, such as a weight that is missing and gets random numbers, is an error here.

Belongs here: a published config as transformers understands it, and a model with all of its weights.
Does not: which folders are let in at all (weights.py), our own network (network.py).
"""

import json
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Any

from stillhouse.errors import StillhouseError


def described(folder: Path, what: str) -> Any:
    """The config of a published model as transformers understands it.

    Args:
        folder: with config.json.
        what: it should be the config of, for an error.

    Raises:
        StillhouseError: if transformers refuses it.
    """
    from huggingface_hub.errors import StrictDataclassError
    from transformers import AutoConfig

    path = folder / "config.json"
    try:
        return AutoConfig.for_model(**json.loads(path.read_text("utf-8")))
    except (StrictDataclassError, TypeError, ValueError) as error:
        raise StillhouseError(
            f"transformers refuses the config ({' '.join(str(error).split())[:200]})",
            where=str(path),
            expected=f"the config of {what}",
            do="Restore the config that was published with the weights.",
        ) from error


def loaded(folder: Path, kind: Any, what: str, *, has_to_use: Callable[[str], bool], **settings: Any) -> Any:
    """A published model with all of its weights.

    Args:
        folder: the model.
        kind: the class of transformers that loads models of this kind.
        what: they should be the weights of, for an error.
        has_to_use: whether a weight of this name, which the model does not have, is a mistake.
        settings: further ones of `from_pretrained`, such as dtype.

    Raises:
        StillhouseError: if a weight is missing, of another shape, or of no use.
    """
    with _in_silence():
        model, found = kind.from_pretrained(
            folder,
            local_files_only=True,
            output_loading_info=True,
            ignore_mismatched_sizes=True,  # they are said below, and not in a table on the terminal
            use_safetensors=True,
            **settings,
        )
    wrong = {
        "missing among the weights": found["missing_keys"],
        "of another shape than in config.json": {name for name, *_ in found["mismatched_keys"]},
        "of no use to its type": set(filter(has_to_use, found["unexpected_keys"])),
    }
    for problem, names in wrong.items():
        if names:
            raise StillhouseError(
                f"{sorted(names)[0]} is {problem}",
                where=str(folder),
                expected=f"the weights of {what}, as config.json describes it",
                do="Fetch weights and config of the same revision.",
            )
    return model


@contextmanager
def _in_silence() -> Iterator[None]:
    """transformers draws a bar and a table of the weights that it left alone; what matters of that is an error here."""
    from transformers import logging

    verbosity, bars = logging.get_verbosity(), logging.is_progress_bar_enabled()
    logging.set_verbosity_error()  # type: ignore[no-untyped-call]
    logging.disable_progress_bar()  # type: ignore[no-untyped-call]
    try:
        yield
    finally:
        logging.set_verbosity(verbosity)
        if bars:
            logging.enable_progress_bar()  # type: ignore[no-untyped-call]
