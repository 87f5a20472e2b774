"""Gates on an exported student: does what ships say what was trained, and how sure it is?"""

import json
import math

from checks.gate import Finding, GateContext, gate, gates_of_module, passed_if
from stillhouse.models.temperature_scaling import COLDEST, HOTTEST, is_at_an_end
from stillhouse.stages.facts import ExportFacts
from stillhouse.stages.names import MODEL


@gate("an export that computes something else ships a model that nobody trained")
def onnx_computes_what_torch_computed(context: GateContext) -> Finding:
    """Largest difference of a logit between torch and ONNX, both in fp32, on validation texts; of each seed."""
    ships = context.artifact.facts(ExportFacts)
    difference = max(each.fp32.max_abs_logit_diff for each in (ships, *ships.seeds.values()))
    limit = context.recipe.limits.export_difference_at_most
    said = f"largest difference of a logit {difference:.2g}, limit {limit:g}"
    return passed_if(difference <= limit, said, observed=difference, limit=limit)


@gate("quantisation that changes the answers ships another model than was trained")
def quantisation_keeps_the_answers(context: GateContext) -> Finding:
    """Share of validation texts with the same answer; what it costs in accuracy is judged on the golden set.

    Of the model that ships. What a precision does to a further seed is in its own accuracy, and more seeds must not
    mean more chances to be closed out. One of several precisions that changes more is let through to be judged and
    shown: the same limit is then a claim of its evaluation that does not hold, so that it is never chosen and stops no
    other.
    """
    ships = context.artifact.facts(ExportFacts)
    agreement, others = ships.shipped.top1_agreement, [each.shipped.top1_agreement for each in ships.seeds.values()]
    limit = context.recipe.limits.int8_agreement_at_least
    detail = f"; {min(others):.3f} or more for {len(others)} further seeds" if others else ""
    said = f"{agreement:.3f} of the answers are the same, limit {limit}{detail}"
    several = context.recipe.form(context.artifact.asset.rpartition("/")[2]).student.precisions[1:]
    if agreement < limit and several:
        said += f"; judged in {ships.precision} all the same, and not to be chosen in it"
    return passed_if(agreement >= limit or bool(several), said, observed=agreement, limit=limit)


@gate("a release that has to be unpickled can run anything on the machine that loads it")
def only_onnx_and_json_ship(context: GateContext) -> Finding:
    """The folder has the three files that a server needs, and its labels."""
    folder = context.artifact.folder / MODEL
    files = sorted(path.name for path in folder.iterdir())
    labels = json.loads((folder / "config.json").read_text())["id2label"]
    expected = ["config.json", "model.onnx", "tokenizer.json"]
    fewest = 1 if context.recipe.gives_numbers else 2
    return passed_if(files == expected and len(labels) >= fewest, f"{', '.join(files)}; {len(labels)} labels")


@gate("a confidence that was fitted to nothing means nothing, and callers decide by it", about_classes=True)
def confidence_was_calibrated(context: GateContext) -> Finding:
    """The folder has the temperature, and the validation labels decided it."""
    folder, rows = context.artifact.folder / MODEL, context.artifact.facts(ExportFacts).texts
    temperature = json.loads((folder / "config.json").read_text()).get("temperature")
    is_one = isinstance(temperature, float) and math.isfinite(temperature) and temperature > 0
    if not is_one:
        return passed_if(False, f"config.json has no valid temperature (found {temperature})")
    fitted = f"temperature {temperature:.3f}, fitted on {rows:,} validation rows"
    if is_at_an_end(temperature):
        return passed_if(False, f"{fitted}: the search from {COLDEST:g} to {HOTTEST:g} ran into the end")
    return passed_if(True, fitted)


GATES = gates_of_module(__name__)
