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
        when: under which condition, as the beginning of a sentence; may be empty.
        otherwise: what helps where the setting is right and the file is wrong, as a sentence; may be empty.
    """

    def __init__(
        self,
        what: str,
        *,
        where: str,
        expected: str,
        field: str,
        value: str = "",
        when: str = "",
        otherwise: str = "",
    ) -> None:
        self.field, self.value, self.when, self.otherwise = field, value, when, otherwise
        setting = f"`data.{field}: {value}`" if value else f"`data.{field}`"
        verb = "raise" if field.startswith("limits.") else "set"
        super().__init__(what, where=where, expected=expected, do=self.advise(f"{verb} {setting} in the recipe"))

    def advise(self, step: str) -> str:
        """What to do, where the setting is changed by this step."""
        begun = f"{self.when} {step}" if self.when else step[0].upper() + step[1:]
        return f"{begun}. {self.otherwise}".rstrip()
