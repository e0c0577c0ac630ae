"""What the document cannot say, said to schemathesis (`fuzz` loads it)."""
import schemathesis
from schemathesis.specs.openapi.checks import positive_data_acceptance

# A query parameter without a value counts as absent (the contract page sends `?status=&job_type=`): generated clients need not see that in every schema.
EMPTY = {"const": ""}

# Valid by the schema of each field, refused for what several fields say together, for the state of a job, or for what this server has no model for.
REFUSED_CODES = {"cannot_cancel", "cannot_delete", "cannot_retry", "unsupported_format"}
REFUSED_SENTENCES = (
    "cursor and offset were both given",
    "the filter has no condition",
    "nothing to do: one of",
    "is not allowed: it must be less than chunk_size",
    "of a collection needs a server",
    "the setting entity_types holds",
    "the field run_at",
    "is none of ours; use the one that a page",
    "neither an id nor a name",
    "give one source for each file",
    "two files of this request are the document",
)


@schemathesis.hook
def before_load_schema(context, raw_schema):
    for item in raw_schema["paths"].values():
        for operation in item.values():
            for parameter in operation.get("parameters", []):
                if parameter["in"] == "query" and not parameter.get("required"):
                    parameter["schema"] = {"anyOf": [parameter["schema"], EMPTY]}


@schemathesis.check
def accepted_data(ctx, response, case):
    """`positive_data_acceptance`, but for the refusals above."""
    if response.status_code in (400, 415):
        body = response.json()
        if body["code"] in REFUSED_CODES or any(sentence in body["error"] for sentence in REFUSED_SENTENCES):
            return None
    return positive_data_acceptance(ctx, response, case)
