# ruff: noqa: SLF001 - to touch private names is what this file is for
"""CloudFormation: templates are read, and nested stacks deployed, as AWS does."""

import re
from collections.abc import Callable
from contextvars import ContextVar
from typing import Any

from local_aws.ministack.hooks import Ministack

S3_ADDRESS = "https://s3.amazonaws.com/"
_NESTED_HERE = re.compile(r"""(TemplateURL["']?: *["']?)http://(?:127\.0\.0\.1|localhost):\d+/""")
"""Where a nested template is, as SAM writes it when AWS_ENDPOINT_URL names this server or a proxy before it."""

_VARIABLE = re.compile(r"\$\{([^!][^}]*)\}")


def complete_nested_stacks(ministack: Ministack) -> None:
    """Give nested stacks what CloudFormation gives them: transforms, and attributes that outlive an update.

    By itself ministack applies no transform to a nested template, and an update of a nested stack forgets the
    attributes of every resource that keeps its physical id: GetAtt then finds nothing.
    """
    nested: ContextVar[bool] = ContextVar("nested", default=False)
    parse, update = ministack.templates._parse_template, ministack.provisioners._update_resource

    def parse_template(body: str) -> dict[str, Any]:
        template: dict[str, Any] = parse(body)
        return ministack.templates._apply_transforms(template) if nested.get() else template

    def update_resource(  # noqa: PLR0917 - called by position
        kind: str, physical_id: str, old: Any, new: Any, stack: str, logical_id: str | None = None, *rest: Any
    ) -> tuple[str, dict[str, Any]]:
        known = ministack.cloudformation._stacks.get(stack, {}).get("_resources", {}).get(logical_id, {})
        updated, attributes = update(kind, physical_id, old, new, stack, logical_id, *rest)
        if updated == physical_id:
            attributes = {**known.get("Attributes", {}), **(attributes or {})}
        return updated, attributes

    def of_nested(handler: Callable[..., Any]) -> Callable[..., Any]:
        def handle(*arguments: Any) -> Any:
            token = nested.set(True)
            try:
                return handler(*arguments)
            finally:
                nested.reset(token)

        return handle

    ministack.templates._parse_template = parse_template
    ministack.provisioners._update_resource = update_resource
    handlers = ministack.provisioners._RESOURCE_HANDLERS["AWS::CloudFormation::Stack"]
    handlers |= {name: of_nested(handlers[name]) for name in ("create", "update")}


def read_templates_as_cloudformation(ministack: Ministack) -> None:
    """Read in a template what CloudFormation reads: texts and lists in conditions, and a nested template's address.

    By itself ministack takes no Fn::Join, Fn::Split or Fn::Sub in a condition. And where AWS_ENDPOINT_URL names this
    server, SAM writes it into TemplateURL, but deletes a stack only where it finds S3's own address there.
    """
    evaluate, resolve = ministack.templates._evaluate_conditions, ministack.resolving[0]._resolve_template

    def evaluate_conditions(template: dict[str, Any], parameters: dict[str, Any]) -> dict[str, bool]:
        conditions = _plain(template.get("Conditions", {}), parameters)
        decided: dict[str, bool] = evaluate({**template, "Conditions": conditions}, parameters)
        return decided

    def resolve_template(given: Any) -> tuple[Any, Any]:
        body, error = resolve(given)
        return (_NESTED_HERE.sub(rf"\1{S3_ADDRESS}", body) if isinstance(body, str) else body), error

    for module in (ministack.templates, ministack.deploying, *ministack.resolving):
        module._evaluate_conditions = evaluate_conditions
    for module in ministack.resolving:
        module._resolve_template = resolve_template


def _plain(value: Any, parameters: dict[str, Any]) -> Any:
    """A part of the section Conditions with the functions of texts and lists in Fn::Equals worked out."""
    match value:
        case {"Fn::Join": _} | {"Fn::Sub": _} | {"Fn::Select": _}:
            return _text(value, parameters)
        case dict():
            return {key: _plain(member, parameters) for key, member in value.items()}
        case list():
            return [_plain(member, parameters) for member in value]
        case _:
            return value


def _text(value: Any, parameters: dict[str, Any]) -> str:
    match value:
        case {"Ref": str(name)}:
            given = parameters[name]["Value"]
            return ",".join(given) if isinstance(given, list) else str(given)
        case {"Fn::Sub": str(text)}:
            return _VARIABLE.sub(lambda found: _text({"Ref": found[1]}, parameters), text)
        case {"Fn::Join": [str(separator), members]}:
            return separator.join(_members(members, parameters))
        case {"Fn::Select": [index, members]}:
            found = _members(members, parameters)
            if int(index) >= len(found):
                raise ValueError(f"Template error: Fn::Select cannot select nonexistent value at index {index}")
            return found[int(index)]
        case _:
            return str(value)


def _members(value: Any, parameters: dict[str, Any]) -> list[str]:
    match value:
        case {"Fn::Split": [str(separator), text]}:
            return _text(text, parameters).split(separator)
        case list():
            return [_text(each, parameters) for each in value]
        case _:
            return [each.strip() for each in _text(value, parameters).split(",")]
