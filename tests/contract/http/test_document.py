"""The OpenAPI document, the reference page and the headers of every answer."""

import json

import pytest


def test_every_reference_in_the_document_leads_somewhere(client):
    document = client.get("/openapi.json").json()
    text = json.dumps(document)
    for part in text.split('"$ref": "#/components/schemas/')[1:]:
        assert part.split('"')[0] in document["components"]["schemas"]
    assert document["openapi"].startswith("3.1")


def test_every_route_documents_its_answer(client):
    for path, methods in client.get("/openapi.json").json()["paths"].items():
        for method, about in methods.items():
            assert about["summary"], (method, path)
            assert about["description"], (method, path)
            content = about["responses"]["200"]["content"]
            assert all(each["schema"] for each in content.values()), (method, path)
            assert "Allow" in about["responses"]["405"]["headers"], (method, path)
            assert "default" in about["responses"], (method, path)


def test_the_reference_page_lists_every_route(client):
    page = client.get("/docs").text
    for path in client.get("/openapi.json").json()["paths"]:
        assert path in page
    assert "<script" not in page
    assert client.get("/docs.css").headers["content-type"].startswith("text/css")


@pytest.mark.parametrize("path", ["/", "/docs", "/healthz", "/nope", "/v1/rings"])
def test_every_answer_carries_the_security_headers(client, path):
    headers = client.get(path).headers
    assert headers["content-security-policy"].startswith("default-src 'self'")
    assert headers["x-content-type-options"] == "nosniff"
    assert headers["x-frame-options"] == "DENY"
    assert headers["referrer-policy"] == "no-referrer"
    assert "server" not in headers


def test_the_page_is_served_whole_from_here(client):
    page = client.get("/")
    assert page.status_code == 200
    assert page.headers["cache-control"] == "no-cache"
    assert "https://" not in page.text


def test_answers_are_not_kept_by_caches(client):
    assert client.get("/v1/rings").headers["cache-control"] == "no-store"
