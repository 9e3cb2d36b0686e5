"""The reference page at `/docs`: the OpenAPI document in plain HTML, with no script at all."""

import json
from collections.abc import Awaitable, Callable
from typing import Any, Final

from fastapi import FastAPI, Request
from jinja2 import Environment
from starlette.responses import HTMLResponse, Response

_PAGE: Final = Environment(autoescape=True, trim_blocks=True, lstrip_blocks=True).from_string(
    """<!doctype html>
<html lang="en">
<meta charset="utf-8">
<meta name="viewport" content="width=device-width, initial-scale=1">
<title>{{ title }} API {{ version }}</title>
<link rel="stylesheet" href="/docs.css">
<h1>{{ title }} API {{ version }}</h1>
<p>{{ description }}</p>
<p>Machine-readable: <a href="/openapi.json">/openapi.json</a></p>
{% for call in calls %}
<section>
<h2><code>{{ call.method }} {{ call.path }}</code> {{ call.summary }}</h2>
<p>{{ call.description }}</p>
{% if call.parameters %}
<table>
<tr><th>parameter</th><th>in</th><th>takes</th><th>meaning</th></tr>
{% for p in call.parameters %}
<tr><td><code>{{ p.name }}</code>{{ "" if p.required else " (optional)" }}</td><td>{{ p.in }}</td>
<td><code>{{ p.takes }}</code></td><td>{{ p.meaning }}</td></tr>
{% endfor %}
</table>
{% endif %}
{% for example in call.examples %}
<pre>{{ example }}</pre>
{% endfor %}
<p>Answers {{ call.answers }}</p>
</section>
{% endfor %}
</html>
"""
)
_STYLE: Final = """
body { font: 16px/1.5 system-ui, sans-serif; max-width: 60rem; margin: 2rem auto; padding: 0 1rem;
       color-scheme: light dark; }
section { border-top: 1px solid color-mix(in srgb, currentColor 25%, transparent); }
h2 { font-size: 1rem; }
code, pre { font-family: ui-monospace, monospace; font-size: .9em; }
pre { overflow-x: auto; padding: .75rem; border-radius: 6px;
      background: color-mix(in srgb, currentColor 8%, transparent); }
table { border-collapse: collapse; }
th, td { text-align: left; padding: .2rem .8rem .2rem 0; vertical-align: top; }
"""


def reference_page(app: FastAPI) -> Callable[[Request], Awaitable[Response]]:
    """The handler of `/docs` for an application."""

    async def page(_: Request) -> Response:
        document = app.openapi()
        calls = [
            _call(method, path, about)
            for path, methods in document["paths"].items()
            for method, about in methods.items()
        ]
        info = document["info"]
        return HTMLResponse(_PAGE.render(**info, calls=calls))

    return page


async def reference_style(_: Request) -> Response:
    """The style of the page: the policy allows no style inside it."""
    return Response(_STYLE, media_type="text/css")


def _call(method: str, path: str, about: dict[str, Any]) -> dict[str, Any]:
    body = about.get("requestBody", {}).get("content", {}).get("application/json", {})
    return {
        "method": method.upper(),
        "path": path,
        "summary": about.get("summary", ""),
        "description": about.get("description", ""),
        "parameters": [
            {
                "name": each["name"],
                "in": each["in"],
                "required": each.get("required", False),
                "takes": _takes(each["schema"]),
                "meaning": each.get("description") or each["schema"].get("description", ""),
            }
            for each in about.get("parameters", [])
        ],
        "examples": [
            json.dumps(example["value"], indent=2, ensure_ascii=False)
            for example in body.get("examples", {}).values()
        ],
        "answers": ", ".join(about["responses"]),
    }


def _takes(schema: dict[str, Any]) -> str:
    """A parameter's type in a few words."""
    kinds = schema.get("anyOf", [schema])
    named = [
        each.get("$ref", "").rpartition("/")[2]
        or (f"list of {_takes(each['items'])}" if "items" in each else each.get("type", "any"))
        for each in kinds
        if each.get("type") != "null"
    ]
    bounds = [
        f"{word} {kinds[0][key]}"
        for key, word in (("minimum", "from"), ("maximum", "to"), ("exclusiveMaximum", "below"))
        if key in kinds[0]
    ]
    return " ".join([" or ".join(named), *bounds])
