"""Rings, alerts, investigations and the model, read over HTTP."""

import pytest

from api import schemas
from api.importance_schemas import ImportanceOut
from tests.over_http import CYCLE, NOW, fits, problem, transfer, until


def test_rings_are_listed_the_newest_change_first(client):
    sent = fits(schemas.RingPage, client.get("/v1/rings"))
    changed = [ring["changed_at"] for ring in sent["rings"]]
    assert changed == sorted(changed, reverse=True)
    assert any("cycle" in ring["patterns"] for ring in sent["rings"])


def test_rings_are_found_by_who_is_in_them(client):
    (ring,) = client.get("/v1/rings").json()["rings"]
    detail = fits(schemas.RingDetail, client.get(f"/v1/rings/{ring['ring_id']}"))
    member = detail["members"][0]["entity"]["id"]
    found = fits(schemas.RingPage, client.get("/v1/rings", params={"member": member}))
    assert [each["ring_id"] for each in found["rings"]] == [ring["ring_id"]]
    assert client.get("/v1/rings", params={"member": member[:-1]}).json()["rings"] == []
    assert len(detail["transactions"]) == detail["transaction_count"]
    moved = sum(hop["money"]["minor"] for hop in detail["transactions"] if not hop["declined"])
    assert moved == ring["money"]["minor"]


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


def test_a_member_is_found_however_its_id_is_written(client):
    named = {"u1": "Jose\N{COMBINING ACUTE ACCENT}", "u2": "two", "u3": "three"}
    for m, (source, target, amount) in enumerate(CYCLE):
        body = transfer(
            transaction_id=f"spelled{m}",
            timestamp=NOW + 30_000_000 + m * 600_000,
            user_id=named.get(source, source),
            counterparty_id=named.get(target, target),
            amount=amount,
        )
        assert client.post("/v1/score", json=body).status_code == 200

    def found(name: str) -> list[str]:
        rings = client.get("/v1/rings", params={"member": name}).json()["rings"]
        return [each["ring_id"] for each in rings]

    until(lambda: found("Jos\N{LATIN SMALL LETTER E WITH ACUTE}"), "the ring of Jos\xe9")
    assert found(named["u1"]) == found("Jos\N{LATIN SMALL LETTER E WITH ACUTE}") == found("two")


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
