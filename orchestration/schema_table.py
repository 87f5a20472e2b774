"""The fields of a recipe for people: a table of what its JSON schema says.

Belongs here: finding a part in the schema, and a field's values in words.
Does not: the fields and their descriptions (stillhouse/recipe/).
"""

import json
from difflib import get_close_matches
from typing import Any

from rich.table import Table
from rich.text import Text

from stillhouse.errors import StillhouseError

Schema = dict[str, Any]

_BOUNDS = {"exclusiveMinimum": ">", "minimum": ">=", "exclusiveMaximum": "<", "maximum": "<="}


def part_of(schema: Schema, part: str | None) -> Schema:
    """The schema of a part, or of one that has a single field, with the definitions that it refers to.

    Args:
        schema: of the whole.
        part: such as `teacher` or `data.provenance.date_column`; None for the whole.

    Raises:
        StillhouseError: if there is no such field; names those that there are.
    """
    found = schema
    walked: list[str] = []
    for name in part.split(".") if part else ():
        holder = _object_in(found, schema) or {}
        fields = holder.get("properties", {})
        if name not in fields:
            close = get_close_matches(name, fields, n=1)
            raise StillhouseError(
                f"there is no field {name!r}",
                where=".".join(["recipe", *walked]),
                expected=f"one of {', '.join(fields)}" if fields else "no further name, since this field has no parts",
                do=f"Did you mean {close[0]!r}?" if close else "`stillhouse schema` shows all parts.",
            )
        alone = {"properties": {name: fields[name]}, "required": [name] if name in holder.get("required", ()) else []}
        found = fields[name] if _object_in(fields[name], schema) else alone
        walked.append(name)
    described = {key: value for key, value in found.items() if key == "description"}
    defined = {"$defs": schema["$defs"]} if "$defs" in schema else {}
    return {**(_object_in(found, schema) or {}), **described, **defined}


def fields_table(schema: Schema, part: str | None) -> Table:
    """A line for each field: its name, its values, what it is when left out, and what it is for.

    Args:
        schema: as `part_of` gives it.
        part: what it is of; None for the whole recipe.
    """
    title = Text(": ".join(filter(None, (part or "recipe", schema.get("description")))))
    table = Table(title=title, title_justify="left", box=None, padding=(0, 2, 0, 0))
    table.add_column("field", no_wrap=True)
    for column in ("values", "left out"):
        table.add_column(column, overflow="fold")
    table.add_column("what it is", overflow="fold", ratio=1)
    required = schema.get("required", ())
    for name, field in schema["properties"].items():
        target = _object_in(field, schema)
        what = field.get("description") or (target or {}).get("description", "")
        if target is not None:
            what += f" See `stillhouse schema {f'{part}.' if part else ''}{name}`."
        default = "required" if name in required else _default(field, target)
        table.add_row(Text(name, "bold"), Text(_values(field, schema)), Text(default), Text(what))
    return table


def _object_in(field: Schema, schema: Schema) -> Schema | None:
    """The part that a field holds, itself, in a list or beside null; None for one without parts."""
    if "properties" in field:
        return field
    if "$ref" in field:
        return _object_in(schema["$defs"][field["$ref"].rpartition("/")[2]], schema)
    inner = [*field.get("anyOf", ()), *field.get("allOf", ()), *([field["items"]] if "items" in field else [])]
    return next((found for each in inner if (found := _object_in(each, schema)) is not None), None)


def _values(field: Schema, schema: Schema) -> str:
    if "$ref" in field:
        return _values(schema["$defs"][field["$ref"].rpartition("/")[2]], schema)
    if "enum" in field:
        return ", ".join(map(str, field["enum"]))
    if "anyOf" in field or "allOf" in field:
        return " or ".join(_values(each, schema) for each in (*field.get("anyOf", ()), *field.get("allOf", ())))
    if field.get("type") == "array":
        return f"list of: {_values(field['items'], schema)}" if "items" in field else "list"
    if "const" in field:
        return str(field["const"])
    words = {"object": "part", "string": "text", "boolean": "true, false", "integer": "whole number"}
    kind = str(field.get("type", "any"))
    return " ".join([words.get(kind, kind), *(f"{sign} {field[key]}" for key, sign in _BOUNDS.items() if key in field)])


def _default(field: Schema, target: Schema | None) -> str:
    if "default" not in field or (target is not None and isinstance(field["default"], dict)):
        return "its defaults"
    return "" if field["default"] is None else json.dumps(field["default"])
