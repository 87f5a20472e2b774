"""The domain of Stillhouse: everything a distillation needs, importable without Dagster or Great Expectations.

Belongs here: data, teachers, students, evaluation, release, and the records that tie them together.
Does not: assets (assets/), gates (checks/), jobs, schedules, sensors and the command line (orchestration/).
"""
