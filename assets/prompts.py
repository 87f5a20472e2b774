"""The prompt set: redacted, cleaned, without copies, split for good.

Belongs here: which rows a batch is held against, and what is shown of it.
Does not: the steps and their order (stillhouse/data/prompt_set.py).
"""

from pathlib import Path

import dagster as dg
import polars as pl

from assets.source import read_base
from assets.stage import Shown, Work, markdown_table, stage_asset, table_metadata
from stillhouse.data.declared_labels import require_named_classes
from stillhouse.data.formats import require_columns
from stillhouse.data.prompt_set import base_prompt_set, later_prompt_set
from stillhouse.data.provenance import with_provenance
from stillhouse.data.rejects import count_reasons
from stillhouse.data.splits import golden_digest
from stillhouse.recipe.reading import RecipeFile
from stillhouse.records.builds import Artifact, Facts
from stillhouse.stages.names import BASE, PROMPTS, SOURCE


def prompts(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    recipe = file.recipe

    @stage_asset(file, PROMPTS, inputs={"source": SOURCE}, kinds={"polars", "parquet"})
    def prompt_set(work: Work, source: Artifact) -> Shown:
        """Cleaned texts, each once, each on one side of the split for good, and every row not kept, with its reason."""
        base = None if work.batch == BASE else work.read(PROMPTS, BASE)

        def build(folder: Path) -> Facts:
            rows = source.frame("rows")
            for place, item in enumerate(recipe.slices):
                require_columns(rows.columns, [item.column], file.where("slices", place, "column"))
            made = (
                base_prompt_set(rows, recipe, where=file.where("data", "label"))
                if base is None
                else later_prompt_set(rows, base.frame("prompts"), recipe)
            )
            kept = made.prompts
            kept.write_parquet(folder / "prompts.parquet")
            made.rejects.write_parquet(folder / "rejects.parquet")
            return {
                "rows_in": rows.height,
                "kept": kept.height,
                "rejected": made.rejects.height,
                "redacted": made.redacted,
                "golden_digest": golden_digest(kept.filter(pl.col("split") == "golden"), recipe.judged_columns),
                "labels": sorted(kept["label"].drop_nulls().unique()),
                **{side: kept.filter(pl.col("split") == side).height for side in ("train", "validation", "golden")},
                "labelled_train": kept.filter((pl.col("split") == "train") & pl.col("label").is_not_null()).height,
            }

        config = {
            # How often the golden rows may judge changes none of them.
            "split": recipe.split.model_dump(mode="json", exclude={"golden_rounds_at_most"}),
            "max_characters": recipe.data.max_characters,
            "group": recipe.data.group,
            "hidden_label_share": recipe.data.hidden_label_share,
            "slices": [item.model_dump(mode="json") for item in recipe.slices],
            "judged_columns": list(recipe.judged_columns),
        }
        held_against = {"rows": source.digest, "base": base.digest if base else None}
        artifact = work.make(build, depends_on=held_against, config=config)
        facts = artifact.facts
        kept = artifact.frame("prompts")
        mix = kept.group_by("split", "label").len("rows").pivot("split", index="label", values="rows").sort("label")
        return Shown(
            artifact,
            {
                **table_metadata(kept),
                **{name: facts[name] for name in ("train", "validation", "golden", "labelled_train", "rejected")},
                "golden_digest": facts["golden_digest"],
                "personal_data_redacted": facts["redacted"],
                "labels_by_split": dg.MetadataValue.md(markdown_table(mix.to_dicts())),
                "rejects_by_reason": dg.MetadataValue.md(
                    markdown_table(count_reasons(artifact.frame("rejects")).to_dicts())
                ),
            },
        )

    return prompt_set


def golden_rows_to_come(file: RecipeFile) -> pl.DataFrame:
    """The golden rows that the recipe's source would give now; nothing is published.

    Raises:
        StillhouseError: if the recipe names a class that no row has, so that no number of rows would do.
    """
    rows = with_provenance(read_base(file).rows, file.recipe.data.provenance).rows
    made = base_prompt_set(rows, file.recipe, where=file.where("data", "label"))
    require_named_classes(file, made.prompts["label"].drop_nulls().unique())
    return made.prompts.filter(pl.col("split") == "golden")
