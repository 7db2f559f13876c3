"""The OpenAPI document against what is deployed."""

import json
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode.cfn_yaml import load as load_template
from nestbox.api.access import ROUTES
from nestbox.api.openapi import openapi_document

TEMPLATE = Path(__file__).parents[3] / "template.yaml"


@pytest.fixture(scope="module")
def document() -> dict[str, Any]:
    made: dict[str, Any] = json.loads(openapi_document())
    return made


def routes_of(document: dict[str, Any]) -> set[tuple[str, str]]:
    return {(method.upper(), path) for path, item in document["paths"].items() for method in item}


def test_it_documents_exactly_the_routes_of_the_template(document: dict[str, Any]) -> None:
    deployed = {
        (event["Properties"]["Method"], event["Properties"]["Path"])
        for resource in load_template(str(TEMPLATE))["Resources"].values()
        for event in resource.get("Properties", {}).get("Events", {}).values()
        if event["Type"] == "Api"
    }
    assert routes_of(document) == deployed


def test_every_route_but_its_own_needs_a_token_and_has_a_scope(document: dict[str, Any]) -> None:
    assert document["security"] == [{"token": []}]
    patterns = [route for routes in ROUTES.values() for route in routes]
    for method, path in routes_of(document):
        operation = document["paths"][path][method.lower()]
        if path == "/openapi.json":
            assert operation["security"] == []
            continue
        assert "security" not in operation
        opened = [
            pattern
            for verb, pattern in patterns
            if verb == method
            and (path == pattern or (pattern.endswith("*") and path.startswith(pattern[:-1])))
        ]
        assert len(opened) == 1, (method, path)


def test_every_failure_has_the_one_shape(document: dict[str, Any]) -> None:
    for item in document["paths"].values():
        for operation in item.values():
            for status, response in operation["responses"].items():
                if int(status) >= 400:
                    schema = response["content"]["application/json"]["schema"]
                    assert schema == {"$ref": "#/components/schemas/ErrorView"}


def test_every_reference_is_defined(document: dict[str, Any]) -> None:
    text = json.dumps(document)
    used = {part.split('"')[0] for part in text.split("#/components/schemas/")[1:]}
    assert used <= set(document["components"]["schemas"])


def test_detection_takes_pictures_and_answers_boxes_or_a_picture(document: dict[str, Any]) -> None:
    operation = document["paths"]["/detect/{dataset}"]["post"]
    assert set(operation["requestBody"]["content"]) == {"image/jpeg", "image/png"}
    assert set(operation["responses"]["200"]["content"]) == {"application/json", "image/jpeg"}
    assert {parameter["name"] for parameter in operation["parameters"]} == {
        "dataset",
        "threshold",
        "max_boxes",
        "classes",
    }
