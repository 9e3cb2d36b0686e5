"""Bad input over HTTP is answered with a problem that helps, whatever it is."""

import json
import socket
import time
from urllib.parse import unquote

import pytest

from api import schemas
from tests.over_http import problem, raw, transfer

BAD = {
    "broken": (b'{"transaction_id":', 400),
    "empty": (b"", 400),
    "null": (b"null", 400),
    "array": (b"[]", 400),
    "number": (b"1", 400),
    "no fields": (b"{}", 422),
    "not a number": (raw().replace(b'"5.00"', b"NaN"), 400),
    "infinite": (raw().replace(b'"5.00"', b"Infinity"), 400),
    "negative": (raw(amount=-5), 422),
    "zero": (raw(amount="-0.01"), 422),
    "1e400": (raw().replace(b'"5.00"', b"1e400"), 422),
    "enormous exponent": (raw().replace(b'"5.00"', b"1e" + b"9" * 30), 422),
    "5,000 digits": (raw().replace(b'"5.00"', b"9" * 5000), 400),
    "too many decimals": (raw(amount="1.001"), 422),
    "unknown currency": (raw(currency="XXX"), 422),
    "currency without a rate": (raw(currency="JPY"), 422),
    "year 9999": (raw(timestamp="9999-12-31T23:59:59Z"), 422),
    "tomorrow's tomorrow": (raw(timestamp=int(time.time() * 1000) + 3 * 86_400_000), 422),
    "no time zone": (raw(timestamp="2026-03-01T12:00:00"), 422),
    "seconds": (raw(timestamp=1_772_366_400), 422),
    "no counterparty": (raw(counterparty_id=...), 422),
    "to oneself": (raw(counterparty_id="u1"), 422),
    "card number": (raw(card_id="4111111111111111"), 422),
    "bad ip": (raw(ip_address="300.1.1.1"), 422),
    "nul": (raw(user_id="a\0b"), 422),
    "lone surrogate": (raw(user_id="\ud800"), 400),
    "not utf-8": (b'{"user_id":"\xff\xfe"}', 400),
    "twice the same key": (b'{"user_id":"a","user_id":"b"}', 400),
    "deep arrays": (b"[" * 90_000, 400),
    "deep objects": (b'{"a":' * 30_000, 400),
    "deep attribute": (raw(extra=json.loads("[" * 40 + "]" * 40)), 422),
    "too large": (raw(extra="x" * 300_000), 413),
}


@pytest.mark.parametrize("name", BAD)
def test_bad_input_gets_a_problem_that_helps(client, name):
    body, status = BAD[name]
    headers = {"content-type": "application/json"}
    found = problem(client.post("/v1/score", content=body, headers=headers), status)
    assert found.instance == "/v1/score"
    assert "Traceback" not in found.detail


def test_an_answer_to_a_record_of_thousands_of_faults_stays_short(client):
    body = transfer(**{f"card{n}": "4111111111111111" for n in range(4_000)})
    answer = client.post("/v1/score", json=body)
    found = problem(answer, 422, "invalid-transaction")
    assert found.detail.endswith(", and more")
    assert len(found.problems) == 20
    assert len(answer.content) < 5_000


def test_a_card_number_is_not_shown_back(client):
    answer = client.post("/v1/score", json=transfer(card_id="4111111111111111"))
    assert "4111111111111111" not in answer.text


def test_everything_wrong_with_a_transaction_is_named(client):
    found = problem(client.post("/v1/score", json=transfer(amount=-1, country="Narnia")), 422)
    assert {each.field for each in found.problems} == {"amount", "country"}


@pytest.mark.parametrize(
    "headers",
    [
        {"content-type": "text/plain"},
        {"content-type": ""},
        {"content-type": "application/json", "content-encoding": "gzip"},
        {"content-type": "application/x-www-form-urlencoded"},
    ],
)
@pytest.mark.parametrize("path", ["/v1/score", "/v1/score/batch", "/v1/investigations/fan-in"])
def test_only_plain_json_is_read(client, path, headers):
    problem(client.post(path, content=b"{}", headers=headers), 415, "wrong-content-type")


@pytest.mark.parametrize(
    ("method", "path", "status"),
    [
        ("GET", "/nope", 404),
        ("POST", "/nope", 404),
        ("GET", "/v1", 404),
        ("GET", "/v1/score", 405),
        ("DELETE", "/v1/rings", 405),
        ("PATCH", "/v1/score", 405),
        ("POST", "/", 405),
        ("DELETE", "/js/text.js", 405),
        ("POST", "/js", 404),
        ("GET", "/v1/rings/", 404),
        ("POST", "/v1/score/", 404),
        ("POST", "/v1/alerts/stream", 405),
        ("GET", "/%2e%2e/%2e%2e/etc/passwd", 404),
        ("GET", "/..%5c..%5cpyproject.toml", 404),
        ("GET", "/js/%00", 404),
        ("GET", "/" + "a" * 3000, 404),
        ("GET", "/v1/rings/none", 404),
        ("GET", "/v1/rings/" + "a" * 500, 422),
        ("GET", "/v1/rings/%ff", 422),
        ("GET", "/v1/rings?limit=0", 422),
        ("GET", "/v1/rings?limit=501", 422),
        ("GET", "/v1/rings?state=asleep", 422),
        ("GET", "/v1/rings?state=merged", 422),
        ("GET", "/v1/rings?pattern=love", 422),
        ("GET", "/v1/rings?min_score=nan", 422),
        ("GET", "/v1/rings?min_score=2", 422),
        ("GET", "/v1/rings?cursor=abc", 422),
        ("GET", "/v1/rings?cursor=%00", 422),
        ("GET", "/v1/rings?cursor=WzEsMl0", 422),
        ("GET", "/v1/alerts?after=-2", 422),
        ("GET", "/v1/alerts?after=" + "9" * 30, 422),
        ("GET", "/v1/alerts?after=" + "9" * 5_000, 422),
        ("GET", "/v1/alerts?limit=x", 422),
        ("GET", "/v1/alerts/stream?after=x", 422),
        ("GET", "/v1/problems/none", 404),
    ],
)
def test_what_is_not_there_or_not_allowed_is_a_problem(client, method, path, status):
    problem(client.request(method, path), status)


@pytest.mark.parametrize(
    ("method", "path"),
    [
        ("PUT", "/v1/lists/block/user/evil%0A"),
        ("PUT", "/v1/lists/block/user/%ff"),
        ("DELETE", "/v1/lists/block/user/a%00b"),
        ("GET", "/v1/lists/block%0A"),
        ("GET", "/v1/verdicts/c0%0A"),
        ("GET", "/v1/rings/x%E2%80%A8"),
        ("GET", "/v1/profiles/user/%ED%A0%80"),
        ("POST", "/v1/score%0A"),
    ],
)
def test_a_path_that_is_no_plain_text_is_refused(client, method, path):
    body = {"json": transfer() if method == "POST" else {}} if method in ("PUT", "POST") else {}
    answer = client.request(method, path, **body)
    assert problem(answer, 422, "invalid-parameter").field == "path"
    assert answer.headers["x-content-type-options"] == "nosniff"


@pytest.mark.parametrize("name", ["%EF%BF%BD", "%E2%80%8Fabc", "a%C2%A0b", "caf%C3%A9", "a/b"])
def test_a_path_may_be_any_other_text(client, name):
    told = client.get(f"/v1/lists/block/user/{name}")
    assert told.status_code == 200
    assert told.json()["entity"]["id"] == unquote(name)


def test_a_state_that_no_listed_ring_has_is_refused_with_those_there_are(client):
    found = problem(client.get("/v1/rings?state=merged"), 422, "invalid-parameter")
    assert found.detail == "Input should be 'active', 'quiet' or 'expired'"
    assert found.value == "merged"


def test_a_wrong_method_names_the_right_one(client):
    answer = client.get("/v1/score")
    assert answer.headers["allow"] == "POST"
    assert "POST" in problem(answer, 405).remedy


@pytest.mark.parametrize(
    ("method", "path", "allowed"),
    [
        ("PATCH", "/v1/lists/block/user/x", "GET, HEAD, PUT, DELETE"),
        ("POST", "/healthz", "GET, HEAD"),
        ("POST", "/v1/rings/stream", "GET, HEAD"),
        ("HEAD", "/v1/score", "POST"),
        ("PUT", "/docs", "GET, HEAD"),
        ("PUT", "/", "GET, HEAD"),
    ],
)
def test_a_wrong_method_is_told_all_that_the_path_takes(client, method, path, allowed):
    answer = client.request(method, path)
    assert (answer.status_code, answer.headers["allow"]) == (405, allowed)
    if method != "HEAD":
        *most, last = allowed.split(", ")
        remedy = f"Use {', '.join(most)} or {last}." if most else f"Use {last}."
        assert problem(answer, 405, "wrong-method").remedy == remedy


@pytest.mark.parametrize(
    "path",
    [
        *("/", "/healthz", "/v1/rings", "/v1/rings/none", "/v1/model", "/v1/lists/block"),
        *("/v1/alerts/stream", "/v1/alerts/stream?after=x", "/v1/investigations"),
    ],
)
def test_head_is_the_head_of_get(client, path):
    answer = client.head(path)
    with client.stream("GET", path) as whole:
        assert answer.status_code == whole.status_code
        of_both = [dict(each.headers) for each in (answer, whole)]
    for headers in of_both:
        headers.pop("date")
        headers.pop("transfer-encoding", None)
    assert of_both[0] == of_both[1]
    assert answer.content == b""


@pytest.mark.parametrize(
    "asked", ["bytes=a-b", "bytes=99999999-", "lines=1-2", "bytes=0-3", "bytes"]
)
def test_the_page_comes_whole_whatever_range_of_it_is_asked_for(client, asked):
    whole = client.get("/")
    answer = client.get("/", headers={"Range": asked})
    assert (answer.status_code, answer.content) == (200, whole.content)
    assert whole.headers["accept-ranges"] == "none"


HEAD = "PUT /v1/lists/block/user/x HTTP/1.1\r\nHost: x\r\nContent-Type: application/json\r\n"


@pytest.mark.parametrize(
    ("sent", "status", "code"),
    [
        (["Transfer-Encoding: chunked\r\n\r\nzz\r\n"], 400, "malformed-request"),
        (["Transfer-Encoding: chunked\r\n\r\n", "1\r\n{\r\nzz\r\n"], 400, "malformed-request"),
        (["Transfer-Encoding: gzip\r\n\r\n"], 400, "malformed-request"),
        ([f"Content-Length: {'0' * 5_000}1\r\nConnection: close\r\n\r\n["], 400, "invalid-body"),
        (["Content-Length: 99999999\r\nConnection: close\r\n\r\n"], 413, "body-too-large"),
    ],
)
def test_a_body_that_is_no_http_is_answered_with_one_problem(client, sent, status, code):
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=30) as line:
        line.sendall(HEAD.encode())
        for part in sent:
            line.sendall(part.encode())
            time.sleep(0.1)
        got = b"".join(iter(lambda: line.recv(65_536), b""))
    assert got.count(b"HTTP/1.1 ") == 1
    head, _, body = got.partition(b"\r\n\r\n")
    assert head.startswith(b"HTTP/1.1 %d " % status)
    assert b"content-type: application/problem+json" in head
    assert b"connection: close" in head
    assert schemas.Problem.model_validate_json(body).code == code


def test_a_request_that_is_no_http_does_not_stand_for_the_answer_to_the_one_before(client):
    address = (client.base_url.host, client.base_url.port)
    with socket.create_connection(address, timeout=30) as line:
        line.sendall(b"GET /v1/model HTTP/1.1\r\nHost: x\r\n\r\nnonsense\r\n\r\n")
        got = b"".join(iter(lambda: line.recv(65_536), b""))
    assert b"malformed-request" not in got


def test_broken_json_is_a_fault_of_the_body_on_every_route(client):
    headers = {"content-type": "application/json"}
    for path in ("/v1/score", "/v1/score/batch", "/v1/investigations/fan-in"):
        answer = client.post(path, content=b'{"a":', headers=headers)
        assert problem(answer, 400).field == "body", path


@pytest.mark.parametrize("path", ["/v1/rings/stream", "/v1/alerts/stream"])
@pytest.mark.parametrize("digits", [16, 5_000])
def test_an_event_id_of_any_length_is_refused(client, path, digits):
    answer = client.get(path, headers={"Last-Event-ID": "9" * digits})
    assert problem(answer, 422, "invalid-parameter").field == "Last-Event-ID"


@pytest.mark.parametrize("last", ["x", "1.5", "-7", "9" * 40, "1\u00b2".encode("latin-1")])
def test_an_event_id_we_never_sent_is_refused(client, last):
    answer = client.get("/v1/alerts/stream", headers={"Last-Event-ID": last})
    problem(answer, 422, "invalid-parameter")
