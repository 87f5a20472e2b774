"""From which number on a gate closes, where the number is a matter of judgement and not of the bar.

Belongs here: every such number, with why it is that one; a recipe may set another.
Does not: what a student has to prove (bar.py), limits on what is read at all (data.py), how wrong a verdict may be
(stillhouse/statistics/).
"""

from typing import Annotated

from pydantic import Field

from stillhouse.recipe.fields import Part

Share01 = Annotated[float, Field(ge=0, le=1)]


class GateLimits(Part):
    """Limits of gates, each a share from 0 to 1 unless it says otherwise."""

    unreadable_lines_at_most: Share01 = Field(
        0.01, description="of all lines; a hundredth may be a stray quote, more is a file in another format or encoding"
    )
    garbled_texts_at_most: Share01 = Field(
        0.01, description="of all texts; mojibake in a text or two was typed that way, more is a wrong encoding"
    )
    rows_without_provenance_at_most: Share01 = Field(
        0.2, description="of the readable rows; above a fifth the column is most likely misnamed"
    )
    rejected_rows_at_most: Share01 = Field(
        0.2, description="of a batch; more than a fifth rejected usually means a broken export"
    )
    cut_texts_at_most: Share01 = Field(
        0.1,
        description="of all texts; one long mail in ten may lose its end, more and the ends decide too many answers",
    )
    unknown_pieces_at_most: Share01 = Field(
        0.05,
        description="of all word pieces; a text of twenty then has one that says nothing, more is another language",
    )
    traffic_days: int = Field(
        28,
        ge=1,
        exclude_if=lambda days: days == 28,  # so that a recipe without the field keeps its digest
        description="whole days of live traffic that the rows are held against where data.traffic is `live`; four "
        "weeks have each day of the week as often, and feedback about most of them has come",
    )
    thin_slice_rows: int = Field(
        30, ge=1, description="golden rows below which a slice is thin; 24 of 30 right is 63 to 90 %"
    )
    class_training_rows_at_least: int = Field(
        3, ge=0, description="labelled rows of a class; of one or two nothing is learned, and it is never answered"
    )
    class_golden_rows_at_least: int = Field(
        3, ge=0, description="rows of a class; of two, both right is a recall of 34 % or of 100 %"
    )
    thin_classes_at_most: Share01 = Field(
        0.2, description="of the classes; one rare class in five can be lived with, more is another task"
    )
    training_rows_at_least: int = Field(
        20, ge=1, description="rows of the base batch; with fewer no split leaves anything to learn from"
    )
    lost_share_at_most: Share01 = Field(
        0.2, description="of the training rows of one class or slice that may be lost between prompts and transfer set"
    )
    lost_share_rows: int = Field(
        20, ge=1, description="training rows from which a slice is looked at for lost ones; of 20 a row is 5 points"
    )
    unanswered_prompts_at_most: Share01 = Field(
        0.05, description="of a batch; a stored teacher may lack one in twenty, more is a file of other texts"
    )
    label_mass_at_least: Share01 = Field(
        0.9,
        description="of a teacher's probability, in the middle of the validation rows; with less on the labels, or on "
        "their letters, what is left says little of how sure it is",
    )
    canary_prompts: int = Field(
        16, ge=1, description="prompts that the teacher is asked again; another teacher changes all answers"
    )
    canary_difference_at_most: float = Field(
        1e-3, gt=0, description="of a logit; adding up in another order moves one by far less than another weight"
    )
    canary_difference_bfloat16_at_most: float = Field(
        1.0,
        gt=0,
        description="the same of a language model in bfloat16, whose larger logits move by an eighth at once",
    )
    canary_flips_prompts: int = Field(
        48,
        ge=1,
        description="prompts that an endpoint is asked again, once a day; where three in ten answers have changed, of "
        "so many about 14 differ, and 6 may by chance where none did in the pilot",
    )
    training_loss_falls_to: Share01 = Field(
        0.8, description="of the first epoch's loss; one that hardly falls has wrong targets"
    )
    export_difference_at_most: float = Field(
        1e-3, gt=0, description="of a logit between torch and float32 ONNX; rounding gives at most 5e-6"
    )
    int8_agreement_at_least: Share01 = Field(
        0.97,
        description="of validation texts that are answered alike in the precision that ships; what it costs is judged "
        "on golden rows",
    )
    repeated_mistakes_at_most: Share01 = Field(
        0.1,
        exclude_if=lambda share: share == 0.1,  # so that a recipe without the field keeps its digest
        description="of golden rows, mistakes of the teacher that a student repeats; above one row in ten they are "
        "more than a usual bar lets a student lose",
    )
    input_alarm_chance: float = Field(
        0.01,
        gt=0,
        lt=0.25,
        exclude_if=lambda chance: chance == 0.01,
        description="that a day is reported whose watched shares of inputs are all exactly at their limits; with more "
        "than one such report in a hundred days, people stop reading them",
    )
