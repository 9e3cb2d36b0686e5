"""The HTTP interface over the real parts: every answer fits its schema, every failure is a problem.

One service for the whole module: three transfers that close a cycle make a ring, an alert and a
graph; a detector without a model answers.
"""

import json
import socket
import threading
import time
from contextlib import contextmanager
from pathlib import Path
from queue import Queue
from urllib.parse import unquote

import httpx
import msgspec
import pytest

from api import schemas
from api.importance_schemas import ImportanceOut
from api.problems import kinds
from api.serving import server_of
from api.settings import Settings
from api.wiring import build
from graph.errors import Incompatible
from ingest.codec import decode

NOW = 1_772_366_400_000
BASE = {
    "transaction_id": "x",
    "timestamp": NOW,
    "type": "transfer",
    "amount": "5.00",
    "currency": "EUR",
    "user_id": "u1",
    "counterparty_id": "u2",
}
CYCLE = [("u1", "u2", "5210.00"), ("u2", "u3", "5000.00"), ("u3", "u1", "4800.00")]


def transfer(**changes):
    return {k: v for k, v in {**BASE, **changes}.items() if v is not ...}


def raw(**changes) -> bytes:
    return json.dumps(transfer(**changes)).encode("utf-8", "surrogatepass")


@contextmanager
def served(service):
    """A client of a real server on a free port, on a thread of its own."""
    urls = Queue()
    server = server_of(service, urls.put)
    thread = threading.Thread(target=server.run)
    thread.start()
    try:
        with httpx.Client(base_url=urls.get(timeout=60), timeout=60) as client:
            yield client
    finally:
        server.should_exit = True
        thread.join(60)
        assert not thread.is_alive()


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    data = tmp_path_factory.mktemp("http")
    settings = {"data_dir": data, "max_body": 200_000, "max_batch": 50, "port": 0}
    return build(Settings.load({}, **settings, log_level="error"))


@pytest.fixture(scope="module")
def client(service):
    with served(service) as found:
        until(lambda: found.get("/readyz").status_code == 200, "ready")
        for n, (source, target, amount) in enumerate(CYCLE):
            body = transfer(
                transaction_id=f"c{n}",
                timestamp=NOW + n * 600_000,
                user_id=source,
                counterparty_id=target,
                amount=amount,
                device_id=f"d-{source}",
            )
            assert found.post("/v1/score", json=body).status_code == 200
        until(lambda: found.get("/v1/rings").json()["rings"], "a ring")
        yield found


def until(ready, what, seconds=120.0):
    """Poll: the parts behind HTTP are threads of their own."""
    deadline = time.monotonic() + seconds
    while not ready():
        assert time.monotonic() < deadline, f"no {what} in {seconds} s"
        time.sleep(0.05)


def fits(model, answer):
    assert answer.status_code == 200, answer.text
    assert answer.headers["content-type"] == "application/json"
    sent = answer.json()
    assert model.model_validate(sent).model_dump(mode="json", exclude_unset=True) == sent
    return sent


def problem(answer, status, code=None):
    assert answer.status_code == status, answer.text
    assert answer.headers["content-type"] == "application/problem+json"
    found = schemas.Problem.model_validate(answer.json())
    assert found.status == status
    assert found.detail
    assert found.remedy
    assert found.code in {kind.code for kind in kinds()}
    if code is not None:
        assert found.code == code
    return found


# --- scoring ------------------------------------------------------------------------------------


def test_a_verdict_fits_its_schema_and_says_what_is_missing(client):
    sent = fits(schemas.VerdictOut, client.post("/v1/score", json=transfer(transaction_id="v1")))
    assert sent["transaction_id"] == "v1"
    assert sent["degraded"] == ["model"]
    assert sent["tiers"] == ["rules", "graph"]


def test_the_transaction_that_closes_a_cycle_gets_the_witness(client):
    # Sent again: the verdict is the one it got then.
    body = transfer(
        transaction_id="c2",
        timestamp=NOW + 2 * 600_000,
        user_id="u3",
        counterparty_id="u1",
        amount="4800.00",
        device_id="d-u3",
    )
    sent = fits(schemas.VerdictOut, client.post("/v1/score", json=body))
    (cycle,) = [each for each in sent["evidence"] if each["pattern"] == "cycle"]
    assert [hop["transaction_id"] for hop in cycle["hops"]] == ["c0", "c1", "c2"]
    assert cycle["hops"][0]["money"] == {
        "minor": 521000, "currency": "EUR", "decimals": 2, "text": "€5,210.00"
    }  # fmt: skip
    assert sent["rings"]


def test_a_transaction_sent_twice_is_one_transaction(client):
    body = transfer(transaction_id="twice", timestamp=NOW + 2_000_000)
    first, second = (client.post("/v1/score", json=body) for _ in range(2))
    assert first.content == second.content


@pytest.mark.parametrize("amount", ["0.1", "0.10", 0.1])
def test_amounts_are_exact_however_they_are_written(client, amount):
    body = json.dumps(transfer(transaction_id=f"exact-{amount!r}", amount=amount))
    headers = {"content-type": "application/json; charset=utf-8"}
    fits(schemas.VerdictOut, client.post("/v1/score", content=body, headers=headers))


def test_a_batch_answers_each_by_itself_in_order(client):
    items = [transfer(transaction_id="b1"), {}, 5, transfer(transaction_id="b2", currency="XXX")]
    sent = fits(schemas.BatchOut, client.post("/v1/score/batch", json=items))
    verdicts = [each["verdict"] and each["verdict"]["transaction_id"] for each in sent["results"]]
    assert verdicts == ["b1", None, None, None]
    codes = [each["problem"] and each["problem"]["code"] for each in sent["results"]]
    assert codes == [None, "invalid-transaction", "malformed-record", "invalid-transaction"]


def test_a_batch_and_one_by_one_give_the_same_verdicts(client):
    items = [transfer(transaction_id=f"same{n}", user_id=f"s{n}") for n in range(5)]
    sent = client.post("/v1/score/batch", json=items).json()["results"]
    again = [client.post("/v1/score", json=each).json() for each in items]
    assert [each["verdict"] for each in sent] == again


@pytest.mark.parametrize("body", [b"[]", b"{}", b"[" + b"{}," * 50 + b"{}]", b"[", b"[" * 100_000])
def test_a_batch_that_is_none_is_refused_as_a_whole(client, body):
    headers = {"content-type": "application/json"}
    problem(client.post("/v1/score/batch", content=body, headers=headers), 400, "invalid-body")


# --- bad input ----------------------------------------------------------------------------------

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


# --- reading ------------------------------------------------------------------------------------


def test_rings_are_listed_the_newest_change_first(client):
    sent = fits(schemas.RingPage, client.get("/v1/rings"))
    changed = [ring["changed_at"] for ring in sent["rings"]]
    assert changed == sorted(changed, reverse=True)
    assert any("cycle" in ring["patterns"] for ring in sent["rings"])


def test_pages_of_rings_meet_without_a_gap_or_a_repetition(client):
    for n in range(3):  # three more rings
        for m, (source, target, amount) in enumerate(CYCLE):
            body = transfer(
                transaction_id=f"more{n}{m}",
                timestamp=NOW + 3_000_000 * (n + 1) + m * 600_000,
                user_id=f"{source}-{n}",
                counterparty_id=f"{target}-{n}",
                amount=amount,
            )
            assert client.post("/v1/score", json=body).status_code == 200
    until(lambda: len(client.get("/v1/rings").json()["rings"]) == 4, "fourth ring", 20)
    whole = [ring["ring_id"] for ring in client.get("/v1/rings?limit=500").json()["rings"]]
    paged, cursor = [], ""
    while cursor is not None:
        page = client.get(f"/v1/rings?limit=1{cursor and '&cursor=' + cursor}").json()
        paged += [ring["ring_id"] for ring in page["rings"]]
        cursor = page["next"]
    assert paged == whole


def test_rings_are_filtered_by_state_score_and_pattern(client):
    every = client.get("/v1/rings?limit=500").json()["rings"]
    strong = client.get("/v1/rings?min_score=0.5").json()["rings"]
    assert strong == [ring for ring in every if ring["score"] >= 0.5]
    cycles = client.get("/v1/rings?pattern=cycle&state=active&state=quiet").json()["rings"]
    assert cycles == [ring for ring in every if "cycle" in ring["patterns"]]
    assert client.get("/v1/rings?state=expired").json()["rings"] == []


def test_a_ring_has_its_drawing_its_evidence_and_its_life(client):
    # Of four cycles the first is the one that changed first.
    ring = client.get("/v1/rings?pattern=cycle").json()["rings"][-1]
    sent = fits(schemas.RingDetail, client.get(f"/v1/rings/{ring['ring_id']}"))
    nodes = {node["id"]: node for node in sent["subgraph"]["nodes"]}
    assert {"user:u1", "user:u2", "user:u3"} <= set(nodes)
    assert len(nodes) <= 200
    edges = sent["subgraph"]["edges"]
    assert all(edge["source"] in nodes and edge["target"] in nodes for edge in edges)
    assert len({edge["id"] for edge in edges}) == len(edges)
    witness = {edge["id"] for edge in edges if edge["witness"]}
    assert {"c0", "c1", "c2"} <= witness
    assert any(edge["kind"] == "shared" for edge in edges)
    (cycle,) = [each for each in sent["evidence"] if each["pattern"] == "cycle"]
    assert [hop["transaction_id"] for hop in cycle["hops"]] == ["c0", "c1", "c2"]
    assert sent["timeline"][0]["kind"] == "born"
    assert sent["timeline"][-1]["revision"] == sent["revision"]
    roles = {each["entity"]["id"]: each for each in sent["members"]}
    assert roles["u1"]["role"] == "controller"
    assert roles["u1"]["reason"].startswith("The money begins here and comes home: ")
    assert {nodes[f"user:{name}"]["role"] for name in ("u2", "u3")} == {"mule"}
    assert sent["recoverable"]["minor"] == cycle["hops"][0]["money"]["minor"]
    assert {each["entity"]["id"] for each in sent["clears"]["clearing"]} >= {"u1", "u2", "u3"}
    assert sent["split_from"] is None
    assert sent["account_count"] == sum(
        each["entity"]["kind"] in {"user", "merchant"} and each["role"] != "fringe"
        for each in sent["members"]
    )
    alerts = client.get("/v1/alerts").json()["alerts"]
    assert sent["last_alert_at"] == [a["at"] for a in alerts if a["ring_id"] == ring["ring_id"]][-1]


def test_a_ring_says_what_its_score_rests_on(client):
    ring = client.get("/v1/rings?pattern=cycle").json()["rings"][-1]
    whole = client.get(f"/v1/rings/{ring['ring_id']}").json()
    sent = fits(ImportanceOut, client.get(f"/v1/rings/{ring['ring_id']}/importance"))
    assert sent["scored_by"] == "ring_score"  # nothing was trained
    assert (sent["ring_id"], sent["revision"]) == (whole["ring_id"], whole["revision"])
    assert sent["score"] == pytest.approx(whole["score"])
    for effect in (*sent["members"], *sent["hops"], *sent["evidence"]):
        assert effect["drop"] == sent["score"] - effect["remaining"]
    (cycle,) = [each for each in whole["evidence"] if each["pattern"] == "cycle"]
    (effect,) = [e for e in sent["evidence"] if e["evidence_id"] == cycle["evidence_id"]]
    assert effect["transaction_ids"] == ["c0", "c1", "c2"]
    hops = {each["hop"]["transaction_id"]: each for each in sent["hops"]}
    assert all(hops[f"c{n}"]["falling_ids"] == [cycle["evidence_id"]] for n in range(3))
    clears = {each["entity"]["id"]: each["remaining"] for each in whole["clears"]["clearing"]}
    left = {each["entity"]["id"]: each["remaining"] for each in sent["members"]}
    assert {name: left[name] for name in clears} == pytest.approx(clears)
    short = client.get(f"/v1/rings/{ring['ring_id']}/importance?limit=1").json()
    assert (len(short["members"]), short["tried"]) == (1, sent["tried"])
    problem(client.get("/v1/rings/nobody/importance"), 404, "unknown-resource")
    problem(client.get(f"/v1/rings/{ring['ring_id']}/importance?limit=0"), 422)


def test_alerts_are_read_on_from_where_a_page_ended(client):
    until(lambda: client.get("/v1/alerts").json()["alerts"], "alert")
    every = fits(schemas.AlertPage, client.get("/v1/alerts"))
    first = fits(schemas.AlertPage, client.get("/v1/alerts?limit=1"))
    rest = fits(schemas.AlertPage, client.get(f"/v1/alerts?after={first['next']}"))
    assert first["alerts"] + rest["alerts"] == every["alerts"]
    end = fits(schemas.AlertPage, client.get(f"/v1/alerts?after={every['next']}"))
    assert end == {"alerts": [], "next": every["next"]}


def test_investigations_say_what_they_take_and_answer(client):
    sent = fits(schemas.InvestigationList, client.get("/v1/investigations"))
    by_name = {each["name"]: each for each in sent["investigations"]}
    assert len(by_name) >= 20
    until(
        lambda: client.post("/v1/investigations/ring-of-user", json={"user": "u1"}).json()["rows"],
        "ring in the graph",
    )
    answer = client.post("/v1/investigations/ring-of-user", json={"user": "u1"})
    rows = fits(schemas.InvestigationAnswer, answer)
    assert rows["columns"] == [each["name"] for each in by_name["ring-of-user"]["columns"]]
    members = {row[rows["columns"].index("member")] for row in rows["rows"]}
    assert {"u1", "u2", "u3"} <= members


@pytest.mark.parametrize("name", ["accounts-sharing-device", "fan-in", "money-trail"])
def test_the_example_of_every_investigation_runs(client, name):
    listed = client.get("/v1/investigations").json()["investigations"]
    (about,) = [each for each in listed if each["name"] == name]
    given = {each["name"]: each["example"] for each in about["parameters"] if each["required"]}
    fits(schemas.InvestigationAnswer, client.post(f"/v1/investigations/{name}", json=given))


@pytest.mark.parametrize(
    ("name", "body", "status"),
    [
        ("none", b"{}", 404),
        ("ring-of-user", b"{}", 422),
        ("ring-of-user", b'{"user": 5}', 422),
        ("ring-of-user", b'{"user": "a", "extra": 1}', 422),
        ("ring-of-user", b'{"user": "a', 400),
        ("ring-of-user", b"[]", 400),
        ("ring-of-user", b'{"user":' * 20_000, 400),
        ("money-trail", b'{"source": "a", "target": "b", "hops": 1e400}', 400),
    ],
)
def test_a_question_that_cannot_be_asked_is_refused(client, name, body, status):
    headers = {"content-type": "application/json"}
    answer = client.post(f"/v1/investigations/{name}", content=body, headers=headers)
    problem(answer, status)


def test_a_question_is_a_value_and_never_a_query(client):
    text = "x'}) DETACH DELETE n //"
    before = client.post("/v1/investigations/neighbourhood", json={"user": "u1"}).json()
    rows = client.post("/v1/investigations/neighbourhood", json={"user": text})
    assert fits(schemas.InvestigationAnswer, rows)["rows"] == []
    assert client.post("/v1/investigations/neighbourhood", json={"user": "u1"}).json() == before


def test_the_model_says_that_there_is_none(client):
    sent = fits(schemas.ModelOut, client.get("/v1/model"))
    assert sent["loaded"] is False
    assert sent["degraded"] == ["model"]


def test_alive_and_ready_answer_and_say_how_things_stand(client):
    fits(schemas.Health, client.get("/healthz"))
    sent = fits(schemas.Readiness, client.get("/readyz"))
    assert sent["missing"] == []
    assert sent["stats"]["state"] == "running"
    assert client.head("/healthz").status_code == 200


def test_the_type_of_a_problem_leads_to_what_it_means(client):
    found = client.get("/nope").json()
    sent = fits(schemas.ProblemKindOut, client.get(found["type"]))
    assert sent["code"] == found["code"]


# --- the document and the page ------------------------------------------------------------------


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


# --- not ready, broken, overloaded ---------------------------------------------------------------


def test_a_server_that_is_not_started_lives_but_is_not_ready(tmp_path: Path):
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    hold = threading.Event()
    service.warm = hold.wait
    unknown = ("/v1/rings/nobody", "/v1/rings/nobody/importance")
    with served(service) as client:
        try:
            assert client.get("/healthz").status_code == 200
            answer = client.get("/readyz")
            assert answer.status_code == 503
            missing = schemas.Readiness.model_validate(answer.json()).missing
            named = [line.split(":")[0] for line in missing]
            assert named == ["kernels", "engine", "lists", "rings"]
            refused = client.post("/v1/score", json=transfer())
            problem(refused, 503)
            assert int(refused.headers["retry-after"]) >= 1
            for path in unknown:
                told = client.get(path)  # nobody can know yet that there is no such ring
                assert problem(told, 503, "unavailable").field == "ring_id"
                assert int(told.headers["retry-after"]) >= 1
            for path in ("/v1/lists/block", "/v1/lists/block/user/nobody"):
                # nor that nobody is on a list
                assert problem(client.get(path), 503, "unavailable").field == "listing"
        finally:
            hold.set()
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        for path in unknown:
            problem(client.get(path), 404, "unknown-resource")


@pytest.mark.parametrize("state", ["recovering", "standby", "running", "stopping", "stopped"])
def test_what_passes_without_a_restart_is_no_reason_for_one(client, service, monkeypatch, state):
    told = (state, "Kafka does not answer")
    monkeypatch.setattr(service.engine, "standing", lambda: told)
    assert client.get("/healthz").status_code == 200


def test_an_engine_that_failed_for_good_is_told_of_as_no_longer_alive(tmp_path: Path):
    """Else nobody restarts it: an orchestrator asks /healthz, and the process goes on."""
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    between = service.engine._between

    def broken(done: int) -> None:
        between(done)
        raise ZeroDivisionError("by nothing")

    service.engine._between = broken
    with served(service) as client:
        until(lambda: client.get("/readyz").status_code == 200, "ready")
        assert client.get("/healthz").status_code == 200
        assert client.post("/v1/score", json=transfer()).status_code == 200  # it was written
        until(lambda: service.engine.standing()[0] == "failed", "an end")
        answer = client.get("/healthz")
        found = problem(answer, 503, "server-failed")
        assert found.field == "engine"
        assert "ZeroDivisionError: by nothing" in found.detail
        assert client.get("/readyz").status_code == 503
        assert client.head("/healthz").status_code == 503


@pytest.mark.parametrize("part", ["rings", "lists"])
def test_a_board_that_ended_is_told_of_as_well(tmp_path: Path, part: str):
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    board = service.board if part == "rings" else service.caching.lists

    def broken() -> int:
        raise ZeroDivisionError("by nothing")

    board.catch_up = broken
    with served(service) as client:
        until(lambda: client.get("/healthz").status_code == 503, "an end")
        found = problem(client.get("/healthz"), 503, "server-failed")
        assert (found.field, "ZeroDivisionError: by nothing" in found.detail) == (part, True)
        assert f"{part}: ZeroDivisionError: by nothing" in client.get("/readyz").json()["missing"]


@pytest.mark.parametrize(
    ("error", "said"),
    [
        (Incompatible("the kernels are of another version", remedy="Warm."), "another version"),
        (ZeroDivisionError("by nothing"), "ZeroDivisionError: by nothing"),
    ],
)
def test_a_start_that_failed_is_told_of_as_well(tmp_path: Path, error: Exception, said: str):
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))

    def warm() -> None:
        raise error

    service.warm = warm
    with served(service) as client:
        until(lambda: client.get("/healthz").status_code == 503, "an end")
        found = problem(client.get("/healthz"), 503, "server-failed")
        assert found.field == "start"
        assert said in found.detail
        (start, *_) = client.get("/readyz").json()["missing"]
        assert said in start


def test_what_is_stopped_before_it_began_never_begins(tmp_path: Path):
    """Else an engine would start on a log that is being closed."""
    service = build(Settings.load({}, data_dir=tmp_path, port=0, log_level="error"))
    hold = threading.Event()
    service.warm = hold.wait
    service.start()
    stopping = threading.Thread(target=service.stop)
    stopping.start()
    until(lambda: service.engine.standing()[0] == "stopping", "the stop")
    hold.set()
    stopping.join(30)
    assert not stopping.is_alive()
    assert not service.engine._thread.is_alive()
    assert service.engine._thread.ident is None


def test_a_fault_of_ours_is_a_problem_with_a_number_and_tells_nothing(client, service, monkeypatch):
    def broken(_):
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(type(service.board), "live", broken)
    found = problem(client.get("/v1/rings"), 500, "internal-error")
    assert found.field == "incident"
    assert "secret" not in found.model_dump_json()


def test_overload_is_refused_at_once_and_nothing_is_lost(client, service):
    """More than the queue holds: what is refused says so, what is taken is answered."""
    entered, leave = threading.Event(), threading.Event()

    def hold(_detector):
        entered.set()
        leave.wait(30)

    service.engine.ask(hold)
    assert entered.wait(10)
    filler = [
        msgspec.json.encode(transfer(transaction_id=f"fill{n}", user_id=f"f{n}"))
        for n in range(4_096)
    ]
    decoded = [decode(each, rates=service.rates, now=None) for each in filler]
    future = service.engine.submit(decoded, filler)
    try:
        answer = client.post("/v1/score", json=transfer(transaction_id="one-more"))
        problem(answer, 503, "overloaded")
        assert int(answer.headers["retry-after"]) >= 1
        assert client.get("/healthz").status_code == 200
    finally:
        leave.set()
    assert len(future.result(60)) == 4_096
    assert client.post("/v1/score", json=transfer(transaction_id="one-more")).status_code == 200
