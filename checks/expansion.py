"""The template as CloudFormation gets it: SAM's own transform, run here, with the state machines' definitions inlined.

Linters read a template behind the transform only in part: a definition in its own file, generated roles and the
actions in a function's `Policies` stay unseen.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import boto3
from samtranslator.model.exceptions import InvalidDocumentException
from samtranslator.parser.parser import Parser
from samtranslator.translator.translator import Translator

from checks.faults import SourceError

REGION = "us-east-1"
PACKAGED_CODE = "s3://packaged-code/archive.zip"
"""Stands for what `sam package` uploads: the transform takes no local folder."""


def expand(template: dict[str, Any], definitions: Mapping[str, dict[str, Any]]) -> dict[str, Any]:
    """Run the SAM transform.

    Args:
        template: The template, functions in their long form.
        definitions: The definition of each state machine by its logical id.

    Returns:
        A plain CloudFormation template; each state machine has its definition as the object `Definition`.

    Raises:
        SourceError: SAM refuses the template.
    """
    packaged = copy.deepcopy(template)
    for name, resource in packaged["Resources"].items():
        properties = resource.setdefault("Properties", {})
        match resource.get("Type"):
            case "AWS::Serverless::Function":
                properties["CodeUri"] = PACKAGED_CODE
            case "AWS::Serverless::LayerVersion":
                properties["ContentUri"] = PACKAGED_CODE
            case "AWS::Serverless::StateMachine":
                properties.pop("DefinitionUri", None)
                properties["Definition"] = copy.deepcopy(definitions[name])
    translator = Translator({}, Parser(), boto_session=boto3.Session(region_name=REGION))
    try:
        expanded: dict[str, Any] = translator.translate(packaged, {})
    except InvalidDocumentException as error:
        causes = "; ".join(str(cause.message) for cause in error.causes)
        raise SourceError(f"template.yaml: SAM refuses it: {causes}") from error
    for name, definition in definitions.items():
        properties = expanded["Resources"][name]["Properties"]
        del properties["DefinitionString"]
        properties["Definition"] = definition
    return expanded
