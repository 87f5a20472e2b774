"""The prompt set: redacted, cleaned, without copies, split for good.

Belongs here: which rows a batch is held against, what is kept of it, and how much of it models will read.
Does not: the steps and their order (stillhouse/data/prompt_set.py).
"""

import json
from collections.abc import Sequence
from pathlib import Path

import numpy as np
import polars as pl

from stillhouse.data.prompt_set import base_prompt_set, later_prompt_set
from stillhouse.data.splits import golden_digest
from stillhouse.data.table import require_columns
from stillhouse.errors import StillhouseError
from stillhouse.recipe.contract import Recipe
from stillhouse.recipe.data import SEPARATOR
from stillhouse.recipe.reading import RecipeFile
from stillhouse.recipe.teacher import TeacherKind
from stillhouse.recipe.weights import WeightsSpec
from stillhouse.records.builds import Artifact, BuildStore, Plan
from stillhouse.stages.facts import CoverageFacts, PromptFacts
from stillhouse.stages.names import CONTRACT
from stillhouse.tasks import label_names

TOKENIZER, ENCODER_CONFIG = "tokenizer.json", "config.json"
_WHOLE = 0.99
_STEP = 32
"""Limits on tokens are rounded to these steps, so that a few rows more or less do not change them."""


def plan(file: RecipeFile, source: Artifact, base: Artifact | None, builds: BuildStore) -> Plan[PromptFacts]:
    """Clean the rows of a batch; each row not kept is written down with its reason.

    Args:
        file: the recipe.
        source: the rows of the batch as they came.
        base: the prompt set of the base batch, which a later one is held against; None for the base batch itself.
        builds: with the tokenizer that the contract took in.
    """
    recipe = file.recipe
    encoder = _encoder_of(builds, source, recipe.weights)
    members = {} if recipe.data.query is None else _encoders_of_members(builds, source, recipe)
    # A classifier of pairs has tokens of its own between two texts, and reads those (teachers/classifier.py).
    reads_two_texts = recipe.data.query is not None and recipe.teacher.kind is TeacherKind.CLASSIFIER

    def build(folder: Path) -> PromptFacts:
        if recipe.data.query is not None:
            for each in filter(None, (None if reads_two_texts else encoder, *members.values())):
                _require_a_separator(builds, each, file.where("data", "query"))
        rows = source.frame("rows")
        for index, item in enumerate(recipe.slices):
            require_columns(rows.columns, [item.column], file.where("slices", index, "column"))
        made = (
            base_prompt_set(rows, recipe, where=file.where(*recipe.data.names_the_labels))
            if base is None
            else later_prompt_set(rows, base.frame("prompts"), recipe)
        )
        kept = made.prompts
        kept.write_parquet(folder / "prompts.parquet")
        made.rejects.write_parquet(folder / "rejects.parquet")
        train, validation, golden = (kept.filter(pl.col("split") == side) for side in ("train", "validation", "golden"))
        return PromptFacts(
            rows_in=rows.height,
            kept=kept.height,
            rejected=made.rejects.height,
            redacted=made.redacted,
            golden_digest=golden_digest(golden, recipe.judged_columns),
            labels=label_names(recipe.data.answer, kept["label"]),
            train=train.height,
            validation=validation.height,
            golden=golden.height,
            labelled_train=train["label"].count(),
            coverage=_coverage(builds, encoder, kept["text"].to_list(), recipe),
        )

    config = {
        # How often the golden rows may judge changes none of them.
        "split": recipe.split.model_dump(mode="json", exclude={"golden_rounds_at_most"}),
        "max_characters": recipe.data.max_characters,
        "group": recipe.data.group,
        # Two that are mapped to themselves change no row, and open a gate.
        "labels": recipe.data.labels,
        "hidden_label_share": recipe.data.hidden_label_share,
        "slices": [item.model_dump(mode="json") for item in recipe.slices],
        "judged_columns": list(recipe.judged_columns),
        **({"reads_two_texts": True} if reads_two_texts else {}),
        **({"golden_file": True} if recipe.data.golden else {}),
        **({} if recipe.data.answer == "single_label" else {"answer": recipe.data.answer}),
        **({} if recipe.data.record is None else {"record": recipe.data.record.model_dump(mode="json")}),
        "max_tokens": recipe.shortest_reading,
    }
    depends_on = {"rows": source.digest, "base": base.digest if base else None, "encoder": encoder}
    return Plan(build, {**depends_on, **({"members": members} if members else {})}, config=config)


def coverage(tokenizer: Path, config: Path, texts: Sequence[str], max_tokens: int | None) -> CoverageFacts:
    """Count what an encoder reads of texts.

    Args:
        tokenizer: the encoder's tokenizer.json.
        config: its config.json.
        texts: as they would be asked.
        max_tokens: what the recipe lets in; None for the least that lets nearly all texts in whole.
    """
    from stillhouse.models.coverage import count_tokens

    counts = count_tokens(tokenizer, config, texts)
    needed = int(np.quantile(counts.lengths, _WHOLE, method="inverted_cdf")) if len(texts) else 0
    enough = _STEP * max(1, -(-needed // _STEP))
    limit = min(enough if max_tokens is None else max_tokens, counts.positions)
    return CoverageFacts(
        texts=len(texts),
        max_tokens=limit,
        positions=counts.positions,
        cut=int((counts.lengths > limit).sum()),
        enough=enough,
        pieces=counts.pieces,
        unknown=counts.unknown,
    )


def _encoders_of_members(builds: BuildStore, source: Artifact, recipe: Recipe) -> dict[str, dict[str, str] | None]:
    """Of the members of an ensemble that learn from the rows, by name; see `_encoder_of`."""
    members = {name: each for name, each in recipe.teacher.networks.items() if name}
    learn = {name: each for name, each in members.items() if each.kind is not TeacherKind.CLASSIFIER}
    return {name: _encoder_of(builds, source, each) for name, each in learn.items()}


def _encoder_of(builds: BuildStore, source: Artifact, weights: WeightsSpec) -> dict[str, str] | None:
    """Digests of the tokenizer and config that the contract took in; None where it refused the weights."""
    (contract,) = builds.inputs_of(source, CONTRACT)
    kept = contract.manifest.external_inputs
    names = {name: f"{weights.address}/{name}" for name in (TOKENIZER, ENCODER_CONFIG)}
    return {name: kept[uri] for name, uri in names.items()} if kept.keys() >= set(names.values()) else None


def _require_a_separator(builds: BuildStore, encoder: dict[str, str], where: str) -> None:
    """Refuse a tokenizer to which query and document would run into each other."""
    description = json.loads(builds.store.kept(encoder[TOKENIZER]).read_bytes())
    if SEPARATOR not in {token["content"] for token in description.get("added_tokens") or ()}:
        raise StillhouseError(
            f"the tokenizer of the weights has no token {SEPARATOR}, by which query and document are kept apart",
            where=where,
            expected="an encoder that was pretrained with that token between two texts, such as one of type bert",
            do="Choose another encoder, or put both texts into one column and leave `query` out.",
        )


def _coverage(
    builds: BuildStore, encoder: dict[str, str] | None, texts: Sequence[str], recipe: Recipe
) -> CoverageFacts | None:
    if encoder is None:
        return None
    tokenizer, config = (builds.store.kept(encoder[name]) for name in (TOKENIZER, ENCODER_CONFIG))
    return coverage(tokenizer, config, texts, recipe.shortest_reading)
