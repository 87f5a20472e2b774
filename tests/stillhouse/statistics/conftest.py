"""The exact world of the harness, for what is said of its judgements."""

from tests.stillhouse.evaluation.conftest import golden, latency, probed, run, subject

__all__ = ["golden", "latency", "probed", "run", "subject"]
