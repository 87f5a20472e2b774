"""The prompt set: cleaned, without copies, split for good.

Belongs here: the order of cleaning, splitting and hiding labels.
Does not: those steps (stillhouse/data/).
"""

from pathlib import Path

import dagster as dg
import polars as pl

from assets.keys import PROMPTS, SOURCE
from assets.source import BASE
from assets.stage import Shown, Work, markdown_table, stage_asset, table_metadata
from stillhouse.data.cleaning import clean, label_problems
from stillhouse.data.formats import require_columns
from stillhouse.data.rejects import all_rejects, count_reasons
from stillhouse.data.splits import assign_splits, hide_labels, split_digest
from stillhouse.recipe import RecipeFile
from stillhouse.workshop import Artifact, Facts


def prompts(file: RecipeFile) -> dg.AssetsDefinition:
    """Build the asset."""
    recipe = file.recipe

    @stage_asset(file, PROMPTS, inputs={"source": SOURCE}, code=("data",), kinds={"polars", "parquet"})
    def prompt_set(work: Work, source: Artifact) -> Shown:
        """Cleaned texts, each once, each on one side of the split for good, and every row not kept, with its reason."""
        rows = source.frame("rows")

        def build(folder: Path) -> Facts:
            cleaned = clean(rows, max_characters=recipe.data.max_characters, frozen_batches=(BASE,))
            labelled = label_problems(cleaned.kept, where=file.where("data", "label"), frozen_batches=(BASE,))
            split = assign_splits(
                labelled.kept,
                golden_share=recipe.split.golden_share,
                validation_share=recipe.split.validation_share,
                key=recipe.split.key,
                group=recipe.data.group,
                frozen_batches=(BASE,),
            )
            kept = hide_labels(split.prompts, share=recipe.data.hidden_label_share, key=recipe.split.key)
            for place, item in enumerate(recipe.slices):
                require_columns(kept.columns, [item.column], file.where("slices", place, "column"))
            rejects = all_rejects([cleaned.rejects, labelled.rejects, split.rejects])
            kept.write_parquet(folder / "prompts.parquet")
            rejects.write_parquet(folder / "rejects.parquet")
            return {
                "rows_in": rows.height,
                "kept": kept.height,
                "rejected": rejects.height,
                "golden_digest": split_digest(kept, "golden"),
                "labels": sorted(kept["label"].drop_nulls().unique()),
                **{side: kept.filter(pl.col("split") == side).height for side in ("train", "validation", "golden")},
                "labelled_train": kept.filter((pl.col("split") == "train") & pl.col("label").is_not_null()).height,
            }

        config = {
            "split": recipe.split.model_dump(mode="json"),
            "max_characters": recipe.data.max_characters,
            "group": recipe.data.group,
            "hidden_label_share": recipe.data.hidden_label_share,
            "slices": [item.model_dump(mode="json") for item in recipe.slices],
        }
        artifact = work.make(build, depends_on={"rows": source.digest}, config=config)
        facts = artifact.facts
        kept = artifact.frame("prompts")
        mix = kept.group_by("split", "label").len("rows").pivot("split", index="label", values="rows").sort("label")
        return Shown(
            artifact,
            {
                **table_metadata(kept),
                **{name: facts[name] for name in ("train", "validation", "golden", "labelled_train", "rejected")},
                "golden_digest": facts["golden_digest"],
                "labels_by_split": dg.MetadataValue.md(markdown_table(mix.to_dicts())),
                "rejects_by_reason": dg.MetadataValue.md(
                    markdown_table(count_reasons(artifact.frame("rejects")).to_dicts())
                ),
            },
        )

    return prompt_set
