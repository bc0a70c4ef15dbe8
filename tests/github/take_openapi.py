"""Makes `github-openapi.json` again: `npm pack @octokit/openapi@VERSION`, unpack it, and give the folder `package`.

    python tests/github/take_openapi.py package

It takes the operations that neontest uses out of GitHub's public description (MIT), with the schemas that these refer
to, without prose: 13 MB become a few hundred kB. Answers keep one example each, from which the loopback GitHub answers.
"""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Any

OPERATIONS = (
    ("/repos/{owner}/{repo}/issues/{issue_number}/comments", "get"),
    ("/repos/{owner}/{repo}/issues/{issue_number}/comments", "post"),
    ("/repos/{owner}/{repo}/issues/comments/{comment_id}", "patch"),
    ("/repos/{owner}/{repo}/statuses/{sha}", "post"),
    ("/repos/{owner}/{repo}/commits/{ref}/statuses", "get"),
    ("/repos/{owner}/{repo}/commits/{commit_sha}/pulls", "get"),
    ("/repos/{owner}/{repo}/pulls", "get"),
    ("/repos/{owner}/{repo}/pulls/{pull_number}", "get"),
    ("/user", "get"),
)
PROSE = {"description", "summary", "externalDocs", "x-github", "x-githubCloudOnly", "tags", "deprecated"}


def without_prose(value: Any, *, names: bool = False) -> Any:
    """The same without prose and examples; `names`: the keys here are the API's own, such as a field "description"."""
    if isinstance(value, list):
        return [without_prose(each) for each in value]
    if not isinstance(value, dict):
        return value
    return {
        key: without_prose(each, names=key == "properties" and not names)
        for key, each in value.items()
        if names or key not in PROSE | {"example", "examples"}
    }


def refs(value: Any) -> set[str]:
    if isinstance(value, list):
        return set().union(*map(refs, value)) if value else set()
    if not isinstance(value, dict):
        return set()
    own = {value["$ref"]} if isinstance(value.get("$ref"), str) else set()
    return own.union(*map(refs, value.values()))


def resolved(document: dict[str, Any], ref: str) -> Any:
    value: Any = document
    for part in ref.removeprefix("#/").split("/"):
        value = value[part]
    return value


def answers(document: dict[str, Any], operation: dict[str, Any]) -> dict[str, Any]:
    """The operation's answers; those that are good, with an example."""
    told: dict[str, Any] = {}
    for status, response in operation["responses"].items():
        response = resolved(document, response["$ref"]) if "$ref" in response else response
        content = response.get("content", {}).get("application/json")
        told[status] = {}
        if content is None or not status.startswith("2"):
            continue
        told[status] = {"content": {"application/json": {"schema": without_prose(content["schema"])}}}
        for example in list(content.get("examples", {}).values())[:1]:
            example = resolved(document, example["$ref"]) if "$ref" in example else example
            told[status]["example"] = example["value"]
    return told


def main(package: Path) -> None:
    document = json.loads((package / "generated" / "api.github.com.json").read_text())
    taken: dict[str, Any] = {
        "openapi": document["openapi"],
        "info": {"title": "GitHub's REST API", "version": document["info"]["version"], "license": "MIT"},
        "x-source": f"npm @octokit/openapi {document['info']['version']}, by tests/github/take_openapi.py",
        "paths": {},
        "components": {},
    }
    for path, method in OPERATIONS:
        operation = document["paths"][path][method]
        taken["paths"].setdefault(path, {})[method] = {
            "operationId": operation["operationId"],
            "parameters": without_prose(operation.get("parameters", [])),
            **({"requestBody": without_prose(operation["requestBody"])} if "requestBody" in operation else {}),
            "responses": answers(document, operation),
        }
    waiting, seen = refs(taken["paths"]), set()
    while waiting:
        ref = waiting.pop()
        seen.add(ref)
        kind, name = ref.removeprefix("#/components/").split("/")
        value = without_prose(resolved(document, ref))
        taken["components"].setdefault(kind, {})[name] = value
        waiting |= refs(value) - seen
    text = json.dumps(taken, indent=1, sort_keys=True, ensure_ascii=False) + "\n"
    Path(__file__).with_name("github-openapi.json").write_text(text, encoding="utf-8")


if __name__ == "__main__":
    main(Path(sys.argv[1]))
