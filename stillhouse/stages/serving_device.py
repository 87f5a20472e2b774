"""Where a teacher is timed: on the device that its callers have it on.

Belongs here: finding that device on this machine, before anything is computed.
Does not: what an installation trains on (stillhouse/device.py), timing (bench.py).
"""

from stillhouse.device import CPU, Device, device_of
from stillhouse.errors import MachineError, StillhouseError
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import BuildStore


def serving_device(file: RecipeFile, builds: BuildStore) -> Device:
    """The device of `budget.teacher_serves_on`: the one that the installation computes on if it is of that kind.

    Raises:
        MachineError: if there is none here. Another one is never taken in its place: its times would say nothing.
    """
    kind = file.recipe.budget.teacher_serves_on
    if kind == "cpu":
        return CPU
    try:
        return builds.device if builds.device.kind == kind else device_of(kind)
    except StillhouseError as error:
        raise MachineError(
            f"the teacher serves on {kind}, and {error.what}",
            where=file.where("budget", "teacher_serves_on"),
            expected=f"a machine with {kind}, where the teacher can be timed",
            do="Run the recipe on such a machine, or say `cpu` if that is what answers its callers.",
        ) from error
