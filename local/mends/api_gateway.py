"""REST APIs that come from an OpenAPI body, which is what SAM makes of AWS::Serverless::Api."""

from __future__ import annotations

import json
from typing import Any

from ministack.services import apigateway_v1
from ministack.services.cloudformation import provisioners

_INTEGRATION_MEMBERS = (
    "credentials",
    "requestParameters",
    "requestTemplates",
    "passthroughBehavior",
    "contentHandling",
    "timeoutInMillis",
    "connectionType",
    "cacheKeyParameters",
)
_STATE_OF_AN_API = (
    "_rest_apis",
    "_resources",
    "_stages_v1",
    "_deployments_v1",
    "_authorizers_v1",
    "_models",
    "_gateway_responses",
    "_deployed_gateway_responses",
    "_documentation_parts",
)


def install() -> None:
    """Puts the mends of this module in place."""
    import_whole_integrations()
    import_any_methods()
    import_gateway_responses()
    keep_the_id_of_a_changed_api()


def import_whole_integrations() -> None:
    """The import drops an integration's templates and responses: a CORS preflight has no headers."""
    original = apigateway_v1._import_operation

    def import_operation(
        api_id: str, resource_id: str, method: str, operation: Any, *security: Any, **named: Any
    ) -> None:
        original(api_id, resource_id, method, operation, *security, **named)
        described = (operation or {}).get("x-amazon-apigateway-integration") or {}
        imported = apigateway_v1._resources[api_id][resource_id]["resourceMethods"][method]
        integration = imported["methodIntegration"]
        if integration is None:
            return
        integration |= {member: described[member] for member in _INTEGRATION_MEMBERS if member in described}
        for pattern, response in (described.get("responses") or {}).items():
            apigateway_v1._put_integration_response(
                api_id,
                resource_id,
                method,
                str(response.get("statusCode", 200)),
                {
                    "selectionPattern": "" if pattern == "default" else pattern,
                    "responseParameters": response.get("responseParameters", {}),
                    "responseTemplates": response.get("responseTemplates", {}),
                    "contentHandling": response.get("contentHandling"),
                },
            )

    apigateway_v1._import_operation = import_operation


def import_any_methods() -> None:
    """The import knows HTTP's methods only, and loses `x-amazon-apigateway-any-method`."""
    original = apigateway_v1._import_path_item

    def import_path_item(
        api_id: str, path: str, item: dict[str, Any], schemes: Any = None, security: Any = None
    ) -> None:
        original(api_id, path, item, schemes, security)
        operation = item.get("x-amazon-apigateway-any-method")
        if operation is not None:
            resources = apigateway_v1._resources[api_id]
            resource_id = next(key for key, resource in resources.items() if resource["path"] == path)
            apigateway_v1._import_operation(api_id, resource_id, "ANY", operation, schemes, security)

    apigateway_v1._import_path_item = import_path_item


def import_gateway_responses() -> None:
    """The import ignores `x-amazon-apigateway-gateway-responses`: errors keep API Gateway's own shape."""
    original = apigateway_v1._import_rest_api

    def import_rest_api(document: dict[str, Any], base: Any = None) -> str:
        api_id: str = original(document, base)
        responses = document.get("x-amazon-apigateway-gateway-responses") or {}
        for kind, response in responses.items():
            status, _, body = apigateway_v1._put_gateway_response(api_id, kind, response)
            if status >= 400:
                raise ValueError(f"gateway response {kind}: {json.loads(body).get('message')}")
        return api_id

    apigateway_v1._import_rest_api = import_rest_api


def keep_the_id_of_a_changed_api() -> None:
    """A changed body makes a new API with a new id and URL; AWS overwrites the API and keeps both."""
    handler = provisioners._RESOURCE_HANDLERS["AWS::ApiGateway::RestApi"]
    original = handler["update"]

    def update(
        api_id: str, old: dict[str, Any], new: dict[str, Any], stack: str, logical_id: str | None = None
    ) -> Any:
        if new.get("Body") == old.get("Body"):
            return original(api_id, old, new, stack, logical_id)
        before = {name: getattr(apigateway_v1, name).get(api_id) for name in _STATE_OF_AN_API}
        apigateway_v1._delete_rest_api(api_id)
        # MiniStack takes the id of a new API from this tag.
        tags = [*new.get("Tags", []), {"Key": "ms-custom-id", "Value": api_id}]
        try:
            created = provisioners._apigw_rest_api_create(logical_id or api_id, {**new, "Tags": tags}, stack)
        except Exception:
            for name, state in before.items():
                if state is not None:
                    getattr(apigateway_v1, name)[api_id] = state
            raise
        own_tags = {tag["Key"]: tag["Value"] for tag in new.get("Tags", [])}
        apigateway_v1._rest_apis[api_id]["tags"] = own_tags
        apigateway_v1._v1_tags[apigateway_v1._rest_api_arn(api_id)] = dict(own_tags)
        for name in ("_stages_v1", "_deployments_v1", "_deployed_gateway_responses"):
            getattr(apigateway_v1, name).setdefault(api_id, {}).update(before[name] or {})
        return created

    handler["update"] = update
