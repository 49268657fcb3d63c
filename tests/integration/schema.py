"""The part of JSON Schema 2020-12 that doc/openapi.yaml uses. A keyword that is not known here is an error, so that nothing in
the document goes unchecked."""

import datetime
import re
import urllib.parse

TYPES = {"object": dict, "array": list, "string": str, "boolean": bool, "integer": int}
NOTES = {"description", "default", "examples"}


class Mismatch(AssertionError):
    """Where and how a value does not fit."""


def _integer(value):
    return isinstance(value, int) and not isinstance(value, bool)


def _check_format(name, value, where):
    if name == "date-time":
        if not re.fullmatch(r"\d{4}-\d\d-\d\dT\d\d:\d\d:\d\d(\.\d{1,6})?Z", value):
            raise Mismatch(f"{where}: {value!r} is no time in UTC")
        datetime.datetime.fromisoformat(value.replace("Z", "+00:00"))
    elif name == "uri":
        if not urllib.parse.urlsplit(value).scheme:
            raise Mismatch(f"{where}: {value!r} is no absolute URL")
    else:
        raise Mismatch(f"{where}: format {name} is not known here")


class Checker:
    def __init__(self, document):
        self.document = document

    def resolve(self, node):
        """Follows $ref; keywords beside it apply too."""
        while "$ref" in node:
            target = self.document
            for part in node["$ref"].removeprefix("#/").split("/"):
                target = target[part]
            node = {**target, **{key: value for key, value in node.items() if key != "$ref"}}
        return node

    def check(self, schema, value, where="$"):
        schema = self.resolve(schema)
        for keyword, wanted in schema.items():
            if keyword in NOTES or keyword in ("properties", "additionalProperties", "required", "items"):
                continue
            self._keyword(keyword, wanted, value, where)
        if isinstance(value, dict):
            self._object(schema, value, where)
        if isinstance(value, list):
            for index, item in enumerate(value):
                self.check(schema.get("items", {}), item, f"{where}[{index}]")

    def _keyword(self, keyword, wanted, value, where):
        fits = {
            "type": lambda: _integer(value) if wanted == "integer" else isinstance(value, TYPES[wanted]),
            "enum": lambda: value in wanted,
            "const": lambda: value == wanted and isinstance(value, type(wanted)),
            "pattern": lambda: re.search(wanted, value) is not None,
            "minLength": lambda: len(value) >= wanted,
            "maxLength": lambda: len(value) <= wanted,
            "minimum": lambda: value >= wanted,
            "maximum": lambda: value <= wanted,
            "minItems": lambda: len(value) >= wanted,
            "maxItems": lambda: len(value) <= wanted,
        }
        if keyword == "format":
            _check_format(wanted, value, where)
        elif keyword not in fits:
            raise Mismatch(f"{where}: keyword {keyword} is not known here")
        elif not fits[keyword]():
            raise Mismatch(f"{where}: {value!r} does not fit {keyword} {wanted!r}")

    def _object(self, schema, value, where):
        properties, others = schema.get("properties", {}), schema.get("additionalProperties", True)
        for name in schema.get("required", []):
            if name not in value:
                raise Mismatch(f"{where}: {name} is missing")
        for name, member in value.items():
            if name in properties:
                self.check(properties[name], member, f"{where}.{name}")
            elif others is False:
                raise Mismatch(f"{where}: {name} is not in the document")
            elif isinstance(others, dict):
                self.check(others, member, f"{where}.{name}")
