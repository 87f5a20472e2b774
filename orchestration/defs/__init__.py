"""Recipes: one folder with a `defs.yaml` for each."""
