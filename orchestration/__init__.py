"""When and how a recipe runs: definitions, jobs, schedules, sensors, resources and the command line.

Belongs here: everything that knows about runs.
Does not: what a stage does (assets/ and stillhouse/), whether its result is good enough (checks/).
"""
