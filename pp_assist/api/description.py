"""The description of the whole API for programs: what FastAPI knows of requests, and what `answers` says of answers."""

import json
import sys
from typing import Any, cast

from fastapi import FastAPI
from pydantic import TypeAdapter

REFERENCE = "#/components/schemas/{model}"


def describe(app: FastAPI) -> dict[str, Any]:
    """Return the OpenAPI document of *app*, answers included."""
    from pp_assist.api.answers import ANSWERS, Problem  # only who asks for this needs them

    document: dict[str, Any] = app.openapi()
    kinds = {answer.__name__: answer for answer in (*ANSWERS.values(), Problem)}
    inputs = [(name, "serialization", TypeAdapter(kind)) for name, kind in sorted(kinds.items())]
    schemas, definitions = TypeAdapter.json_schemas(inputs, ref_template=REFERENCE)  # type: ignore[arg-type]
    known = document.setdefault("components", {}).setdefault("schemas", {})
    known |= definitions.get("$defs", {})
    known.pop("HTTPValidationError", None)
    known.pop("ValidationError", None)
    problem = _json("an error", schemas["Problem", "serialization"])
    for path, methods in document["paths"].items():
        for method, operation in methods.items():
            answer = ANSWERS.get(f"{method.upper()} {path}")
            operation["responses"] = {"default": problem}
            if answer is not None:
                shape = schemas[answer.__name__, "serialization"]
                operation["responses"] = {"200": _json("as asked", shape), "default": problem}
    document["components"]["schemas"] = dict(sorted(known.items()))
    return document


def _json(text: str, schema: Any) -> dict[str, Any]:
    return {"description": text, "content": {"application/json": {"schema": schema}}}


def document() -> str:
    """Return the description as a text that changes only with the routes: what the page's types are made of."""
    from pp_assist.api.app import MODULES

    app = FastAPI(title="PutPlace Assist", version="0")
    for module in MODULES:
        app.include_router(module.router(cast(Any, None)))  # services are used only by requests
    return json.dumps(describe(app), indent=1, sort_keys=True, ensure_ascii=False) + "\n"


if __name__ == "__main__":
    sys.stdout.write(document())
