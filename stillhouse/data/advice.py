"""What to do about a file that is not as the recipe's `data` says, for whoever has a recipe and whoever has none yet.

Belongs here: the error that names a setting, from which each says it in its own terms.
Does not: the settings (recipe/data.py), the options of a command (orchestration/).
"""

from stillhouse.errors import StillhouseError


class SettingError(StillhouseError):
    """A file that could be read under another setting of `data`.

    Args:
        what: see `StillhouseError`.
        where: see `StillhouseError`.
        expected: see `StillhouseError`.
        field: the setting, a field below `data` such as `quoting` or `limits.file_mb_at_most`.
        value: what it should probably be, as it is written in a recipe; empty where only a person knows.
        otherwise: what helps where the setting is right and the file is wrong, as a sentence; may be empty.
    """

    def __init__(
        self, what: str, *, where: str, expected: str, field: str, value: str = "", otherwise: str = ""
    ) -> None:
        self.field, self.value, self.otherwise = field, value, otherwise
        setting = f"data.{field}: {value}" if value else f"data.{field}"
        # A limit is no mistake, most of the time it is met for a good reason.
        is_limit = field.startswith("limits.")
        do = f"If the file is as it should be, raise `{setting}`" if is_limit else f"Set `{setting}`"
        do = f"{do} in the recipe. {otherwise}".rstrip()
        super().__init__(what, where=where, expected=expected, do=do)
