"""The champion answers requests: a small HTTP server without torch and without Dagster in its process.

Belongs here: loading a release as it is served, a request's way through it, who may ask, and following the ledger.
Does not: which release serves (records/deployments.py), the command (orchestration/commands/serving.py).
"""
