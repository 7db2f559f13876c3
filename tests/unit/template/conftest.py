"""template.yaml as data."""

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from cfnlint.decode.cfn_yaml import load as load_yaml

ROOT = Path(__file__).parents[3]


@dataclass(frozen=True)
class Template:
    """The template; intrinsic functions stay as they are: ``{"Ref": …}``, ``{"Fn::GetAtt": […]}``."""

    text: str
    data: dict[str, Any]

    def of_type(self, kind: str) -> dict[str, dict[str, Any]]:
        """Properties of the resources of a type, by logical id."""
        return {
            name: resource.get("Properties", {})
            for name, resource in self.data["Resources"].items()
            if resource["Type"] == kind
        }

    @property
    def functions(self) -> dict[str, dict[str, Any]]:
        """Properties of the functions, by logical id."""
        return self.of_type("AWS::Serverless::Function")

    def role_of(self, function: str) -> str:
        """Logical id of a function's role."""
        role: str = self.functions[function]["Role"]["Fn::GetAtt"][0]
        return role

    def statements(self, role: str) -> list[dict[str, Any]]:
        """The statements of a role's policies."""
        policies = self.data["Resources"][role]["Properties"]["Policies"]
        return [statement for policy in policies for statement in policy["PolicyDocument"]["Statement"]]

    def environment(self, function: str) -> dict[str, Any]:
        """The environment that a function's own section sets."""
        variables: dict[str, Any] = self.functions[function]["Environment"]["Variables"]
        return variables


@pytest.fixture(scope="session")
def template() -> Template:
    """The project's template."""
    path = ROOT / "template.yaml"
    return Template(path.read_text(encoding="utf-8"), load_yaml(str(path)))
