"""Free Cypher over HTTP: nobody without the setting, nobody without the token, and on record."""

import asyncio
import logging
import threading
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from queue import Queue

import httpx
import pytest

from api import schemas
from api.questions import MOST, Questions, TooManyQuestions
from api.serving import server_of
from api.settings import Settings
from api.wiring import build
from cypher import casebook

TOKEN = "correct-horse-battery-staple"  # noqa: S105 - of this test
STATEMENT = "MATCH (u:User {id: $user})-[p:PAID]->(n) RETURN n.id AS payee ORDER BY payee"
ASKED = {"query": STATEMENT, "parameters": {"user": "paul"}}


@contextmanager
def served(folder: Path, **settings: object) -> Iterator[httpx.Client]:
    """A client of a real server that has the casebook in its graph."""
    service = build(Settings.load({}, data_dir=folder, port=0, log_level="error", **settings))
    service.graph.write(casebook.batch())
    urls: Queue[str] = Queue()
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
def client(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(tmp_path_factory.mktemp("open"), cypher_token=TOKEN) as found:
        yield found


@pytest.fixture(scope="module")
def closed(tmp_path_factory: pytest.TempPathFactory) -> Iterator[httpx.Client]:
    with served(tmp_path_factory.mktemp("closed")) as found:
        yield found


def bearer(token: str = TOKEN) -> dict[str, str]:
    return {"Authorization": f"Bearer {token}"}


def test_without_the_setting_nobody_may_and_it_says_how(closed: httpx.Client) -> None:
    for headers in ({}, bearer(), bearer("None"), bearer("x")):
        answer = closed.post("/v1/cypher", json=ASKED, headers=headers)
        found = schemas.Problem.model_validate(answer.json())
        assert (answer.status_code, found.code, found.field) == (403, "forbidden", "cypher_token")
        assert "RINGFENCE_CYPHER_TOKEN" in (found.remedy or "")


def test_an_investigation_says_which_ring_an_old_id_leads_to(client: httpx.Client) -> None:
    old, now = (
        client.post("/v1/investigations/ring-members", json={"ring": ring}).json()
        for ring in ("r-phone", "r-circle")
    )
    schemas.InvestigationAnswer.model_validate(old)
    assert (old["became"], now["became"]) == ({"r-phone": "r-circle"}, {})
    assert old["rows"] == now["rows"] != []


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"Authorization": TOKEN},
        {"Authorization": f"Basic {TOKEN}"},
        bearer(TOKEN[:-1]),
        bearer(TOKEN + "x"),
        {"Authorization": "Bearer"},
        {"Authorization": b"Bearer \xff\xfe"},
    ],
)
def test_without_the_token_nobody_may(client: httpx.Client, headers: dict[str, str]) -> None:
    answer = client.post("/v1/cypher", json=ASKED, headers=headers)
    found = schemas.Problem.model_validate(answer.json())
    assert (answer.status_code, found.code) == (401, "unauthorised")
    assert answer.headers["www-authenticate"] == 'Bearer realm="ringfence"'
    assert TOKEN not in answer.text


def test_who_holds_the_token_is_answered_and_each_use_is_on_record(
    client: httpx.Client, caplog: pytest.LogCaptureFixture
) -> None:
    with caplog.at_level(logging.INFO, "ringfence.audit"):
        answer = client.post("/v1/cypher", json=ASKED, headers=bearer())
        client.post("/v1/cypher", json={"query": "CREATE (n)"}, headers=bearer())
        client.post("/v1/cypher", json=ASKED, headers=bearer("wrong"))
    assert answer.status_code == 200, answer.text
    schemas.InvestigationResult.model_validate(answer.json())
    assert answer.json() == {
        "columns": ["payee"],
        "rows": [["anna"], ["fun-shop"], ["grocer"]],
        "truncated": False,
    }
    asked, refused, turned_away = [
        r.getMessage() for r in caplog.records if r.name.endswith("audit")
    ]
    assert "role=cypher" in asked
    assert "rows=3" in asked
    assert "outcome=answered" in asked
    assert len(asked.split("statement=")[1].split()[0]) == 16
    assert "outcome=not-reading" in refused
    assert "refused=unauthorised" in turned_away
    assert all(TOKEN not in line and "MATCH" not in line for line in (asked, refused, turned_away))


@pytest.mark.parametrize(
    ("body", "status", "field"),
    [
        ({"query": "MATCH (n) SET n.x = 1 RETURN n.id"}, 422, "query"),
        ({"query": "LOAD CSV FROM 'file:///etc/passwd' AS l RETURN l"}, 422, "query"),
        ({"query": "CALL db.labels()"}, 422, "query"),
        ({"query": "MATCH (n RETURN n"}, 422, "query"),
        ({"query": STATEMENT}, 422, "query"),
        ({"query": "RETURN 1;RETURN 2"}, 422, "query"),
        ({"query": 5}, 400, "query"),
        ({}, 400, "query"),
        ({"query": STATEMENT, "parameters": ["paul"]}, 400, "parameters"),
        ({"query": STATEMENT, "limit": 10_000}, 400, "limit"),
    ],
)
def test_what_is_no_reading_statement_is_a_problem(
    client: httpx.Client, body: dict[str, object], status: int, field: str
) -> None:
    answer = client.post("/v1/cypher", json=body, headers=bearer())
    found = schemas.Problem.model_validate(answer.json())
    assert (answer.status_code, found.field) == (status, field), answer.text
    assert found.remedy


def test_an_answer_is_capped(client: httpx.Client) -> None:
    many = {"query": "UNWIND range(1, 10000) AS n RETURN n"}
    answer = client.post("/v1/cypher", json=many, headers=bearer()).json()
    assert (len(answer["rows"]), answer["truncated"]) == (500, True)


def test_the_list_says_what_the_graph_in_use_understands(client: httpx.Client) -> None:
    listed = client.get("/v1/investigations").json()["investigations"]
    schemas.InvestigationList.model_validate({"investigations": listed})
    unavailable = {each["name"] for each in listed if not each["available"]}
    assert unavailable == {each["name"] for each in listed if each["needs"] == "neo4j"}
    answer = client.post(
        "/v1/investigations/layering", json={"source": "a", "target": "b", "since": 0}
    )
    assert (answer.status_code, answer.json()["code"]) == (422, "wrong-dialect")


def test_more_questions_than_allowed_are_sent_away_at_once_and_the_rest_answered() -> None:
    hold = threading.Event()

    async def crowd() -> None:
        questions = Questions()
        running = [asyncio.create_task(questions.run(hold.wait)) for _ in range(MOST)]
        await asyncio.sleep(0)
        with pytest.raises(TooManyQuestions):
            await questions.run(hold.wait)
        running[0].cancel()  # its asker left; its thread goes on and still counts
        await asyncio.sleep(0)
        with pytest.raises(TooManyQuestions):
            await questions.run(hold.wait)
        hold.set()
        assert all(await asyncio.gather(*running[1:]))
        assert await questions.run(hold.wait)
        questions.close()

    asyncio.run(crowd())
