"""Runs in `.venv/deploy`: what the rules of failed deployments find in the templates on standard input, as JSON.

cdk-preflight ships its rules in a package of JavaScript: an array of JSON objects, which is read here without Node.js.
"""

import json
import sys
import tarfile
from importlib.metadata import files
from typing import Any

from cloudformation_validate import (
    EngineConfig,
    ExternalRuleSource,
    RegoEngine,
    Severity,
    TemplateContent,
    ValidateConfig,
)

RULES = "package/lib/rules.generated.js"


def main() -> None:
    """Read `{name: template}` and print a list of objects: template, rule, resource, message."""
    templates: dict[str, Any] = json.load(sys.stdin)
    types = {resource["Type"] for template in templates.values() for resource in template["Resources"].values()}
    engine = RegoEngine(EngineConfig(custom_rules=rules(types)))
    found = []
    for name, template in templates.items():
        report = engine.validate_template(
            TemplateContent(json.dumps(template), name=name), ValidateConfig(severity_level=Severity.WARN)
        )
        for diagnostic in report.diagnostics:
            resource = diagnostic.entity.logical_id if diagnostic.entity else ""
            found.append({
                "template": name, "rule": diagnostic.rule_id, "resource": resource, "message": diagnostic.message,
            })  # fmt: skip
    json.dump(found, sys.stdout)


def rules(types: set[str]) -> list[ExternalRuleSource]:
    """The rules about resources of these types, and the functions that they share."""
    (archive,) = (file.locate() for file in files("cdk-preflight") or () if file.name.endswith(".tgz"))
    with tarfile.open(str(archive)) as package:
        member = package.extractfile(RULES)
        text = member.read().decode() if member else ""
    shared, listed = array(text, "BUNDLED_LIBS"), array(text, "BUNDLED_RULES")
    # A retired rule is one that cloudformation-validate has taken over.
    wanted = [rule for rule in listed if types.intersection(rule["resourceTypes"]) and rule["upstream"] != "retired"]
    if not wanted:
        sys.exit("the package has no rule for any resource of the template")
    return [
        *(ExternalRuleSource(name=part["name"], content=part["rego"]) for part in shared),
        *(ExternalRuleSource(name=rule["id"], content=rule["rego"]) for rule in wanted),
    ]


def array(text: str, name: str) -> list[dict[str, Any]]:
    """One of the arrays that the JavaScript file exports."""
    beginning = f"exports.{name} = "
    found: list[dict[str, Any]] = json.JSONDecoder().raw_decode(text, text.index(f"{beginning}[") + len(beginning))[0]
    return found


if __name__ == "__main__":
    main()
