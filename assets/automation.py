"""When an asset is requested without a person or a job asking: one named condition, with its reasons.

Belongs here: automation conditions.
Does not: sensors and schedules, which start whole jobs (orchestration/).
"""

from typing import Any

import dagster as dg

_Condition = dg.AutomationCondition[Any]

_gates_of_every_input_are_open: _Condition = ~dg.AutomationCondition.any_deps_match(
    ~dg.AutomationCondition.all_checks_match(
        dg.AutomationCondition.check_passed() | dg.AutomationCondition.will_be_requested(), blocking_only=True
    )
)

on_changed_data: _Condition = (
    dg.AutomationCondition.any_deps_match(
        dg.AutomationCondition.data_version_changed() | dg.AutomationCondition.will_be_requested()
    ).since_last_handled()
    & ~dg.AutomationCondition.any_deps_missing()
    & ~dg.AutomationCondition.any_deps_in_progress()
    & ~dg.AutomationCondition.in_progress()
    & _gates_of_every_input_are_open
).with_label("an input's content changed and every gate of every input is open")
"""Request an asset when what it is made from has changed in content, in one run with all that follows from it.

`data_version_changed` and not `newly_updated`: our data versions are content digests, so writing the same again starts
nothing. `all_checks_match` inside `~any_deps_match(~...)` and not `all_deps_blocking_checks_passed`, which one good
partition is enough to satisfy on a fan-in.
"""
