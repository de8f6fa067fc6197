"""`/openapi.json`, made from the routes. Rule: this module adds nothing that no route says, so the two cannot differ."""

import re
from collections.abc import Iterator, Sequence
from importlib.metadata import PackageNotFoundError, version
from typing import Any

import msgspec

from domain.errors import FlashError, Invalid, Malformed, TooLarge, TooManyRequests, Unavailable
from domain.values import BIGGEST
from edge.contracts import answers
from edge.http.problems import PROBLEM_JSON, Internal, NotInTime, status_of
from edge.http.route import Route

REF = "#/components/schemas/{name}"
PARAMETERS: dict[str, dict[str, Any]] = {
    "uid": {"type": "integer", "minimum": 1, "maximum": BIGGEST},
    "handle": {"type": "string", "minLength": 1},
    "id": {"type": "string", "minLength": 1},
}


def describe(title: str, routes: Sequence[Route]) -> dict[str, Any]:
    """An OpenAPI 3.1 document of these routes."""
    routes = [route for route in routes if route.page is None]
    types = list(dict.fromkeys([answers.Problem, *(each for route in routes for each in _types(route))]))
    schemas, components = msgspec.json.schema_components(types, ref_template=REF)
    refs = dict(zip(types, schemas, strict=True))
    paths: dict[str, dict[str, Any]] = {}
    for route in routes:
        paths.setdefault(route.path, {})[route.method.lower()] = _operation(route, refs, components)
    return {
        "openapi": "3.1.0",
        "info": {"title": title, "version": _version()},
        "paths": paths,
        "components": {"schemas": components, "securitySchemes": {"token": {"type": "http", "scheme": "bearer"}}},
    }


def _version() -> str:
    try:
        return version("flash")
    except PackageNotFoundError:  # run from a checkout that is not installed
        return "0"


def _types(route: Route) -> Iterator[type]:
    if route.body is not None:
        yield route.body
    yield from (kind for kind in route.success.values() if isinstance(kind, type))


def _operation(route: Route, refs: dict[type, Any], components: dict[str, Any]) -> dict[str, Any]:
    operation: dict[str, Any] = {
        "summary": route.summary,
        "operationId": re.sub(r"\W+", "_", route.name).strip("_").lower(),
        "responses": {str(status): _response(kind, refs) for status, kind in route.success.items()} | _refusals(route, refs),
    }
    parameters = [*_path_parameters(route), *_query_parameters(route)]
    if parameters:
        operation["parameters"] = parameters
    if route.body is not None:
        operation["requestBody"] = {"required": not route.body_optional, "content": {"application/json": {"schema": refs[route.body]}}}
    if route.gate is not None:
        operation["security"] = [{"token": []}]
    return operation


def _response(kind: Any, refs: dict[type, Any]) -> dict[str, Any]:
    if kind is None:
        return {"description": "Done."}
    if isinstance(kind, tuple):
        return {"description": "Done.", "content": {media: {} for media in kind}}
    return {"description": "Done.", "content": {"application/json": {"schema": refs[kind]}}}


def refusals(route: Route) -> list[type[FlashError]]:
    """Every error that a route may answer: those that it names, and those that any request may meet."""
    return list(dict.fromkeys([*route.refusals, Malformed, NotInTime, TooLarge, Invalid, TooManyRequests, Internal, Unavailable]))


def _refusals(route: Route, refs: dict[type, Any]) -> dict[str, Any]:
    by_status: dict[int, list[str]] = {}
    for error in refusals(route):
        by_status.setdefault(status_of(error), []).append(f"`{error.code}`: {(error.__doc__ or '').splitlines()[0]}")
    return {
        str(status): {"description": " ".join(texts), "content": {PROBLEM_JSON.decode(): {"schema": refs[answers.Problem]}}}
        for status, texts in sorted(by_status.items())
    }


def _path_parameters(route: Route) -> list[dict[str, Any]]:
    return [{"name": name, "in": "path", "required": True, "schema": PARAMETERS[name]} for name in re.findall(r"\{(\w+)\}", route.path)]


def _query_parameters(route: Route) -> list[dict[str, Any]]:
    if route.query is None:
        return []
    _, components = msgspec.json.schema_components([route.query], ref_template=REF)
    properties: dict[str, Any] = components[route.query.__name__]["properties"]
    return [{"name": name, "in": "query", "required": False, "schema": schema} for name, schema in properties.items()]
