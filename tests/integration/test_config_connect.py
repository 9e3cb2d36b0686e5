"""`ringfence config check --connect` against real servers: what answers and what is said if not."""

import asyncio

import pytest

from api.probes import Answer, ask_all
from api.settings import Settings


@pytest.fixture(autouse=True)
def in_an_empty_folder(tmp_path, monkeypatch):
    """No settings file of the developer's."""
    monkeypatch.chdir(tmp_path)


def asked(**flags: object) -> Answer:
    (answer,) = asyncio.run(ask_all(Settings.load({}, **flags)))
    return answer


def secure(kafka_secure, **changed):
    return {
        "kafka": kafka_secure.url,
        "kafka_security": "sasl-tls",
        "kafka_user": kafka_secure.user,
        "kafka_password": kafka_secure.password,
        "kafka_ca": kafka_secure.ca,
        "kafka_prefix": "there-is-none.",
        **changed,
    }


def test_kafka_answers(kafka_url):
    answer = asked(kafka=kafka_url, kafka_prefix="there-is-none.")
    assert answer.ok, answer
    assert answer.said == "1 broker, no topics named there-is-none.*"


@pytest.mark.parametrize("mechanism", ["SCRAM-SHA-512", "SCRAM-SHA-256"])
def test_kafka_answers_over_tls_to_a_user_it_knows(kafka_secure, mechanism):
    answer = asked(**secure(kafka_secure, kafka_mechanism=mechanism))
    assert answer.ok, answer


def test_a_wrong_password_of_kafka_is_said_to_be_that(kafka_secure):
    answer = asked(**secure(kafka_secure, kafka_password="hunter2"))  # noqa: S106 - made up
    assert not answer.ok
    assert "invalid credentials" in answer.said
    assert "kafka_password" in answer.remedy
    assert "hunter2" not in str(answer)


def test_an_authority_that_is_not_kafkas_is_said_to_be_that(kafka_secure):
    answer = asked(**secure(kafka_secure, kafka_ca=None))
    assert not answer.ok
    assert "certificate verify failed" in answer.said
    assert "kafka_ca" in answer.remedy


def test_a_file_without_a_certificate_is_said_to_be_that(kafka_secure, tmp_path):
    path = tmp_path / "ca.pem"
    path.write_text("nothing")
    answer = asked(**secure(kafka_secure, kafka_ca=path))
    assert not answer.ok
    assert "holds no certificate" in answer.said


@pytest.mark.parametrize("security", ["plaintext", "tls", "sasl"])
def test_the_wrong_way_to_speak_to_kafka_names_every_cause(kafka_secure, security):
    given = secure(kafka_secure, kafka_security=security)
    for name in {"plaintext": ("user", "password", "ca"), "tls": ("user", "password")}.get(
        security, ("ca",)
    ):
        del given[f"kafka_{name}"]
    answer = asked(**given)
    assert not answer.ok
    for cause in ("host and port", "kafka_security", "kafka_ca", "kafka_user", "kafka_password"):
        assert cause in answer.remedy


def test_a_user_where_none_is_asked_for_names_every_cause(kafka_secure, kafka_url):
    answer = asked(**secure(kafka_secure, kafka=kafka_url))
    assert not answer.ok
    for cause in ("host and port", "kafka_security", "kafka_ca", "kafka_user", "kafka_password"):
        assert cause in answer.remedy


def test_neo4j_answers_with_its_version(neo4j_url, neo4j_auth):
    user, password = neo4j_auth
    answer = asked(neo4j=neo4j_url, neo4j_user=user, neo4j_password=password)
    assert answer.ok, answer
    assert answer.said.startswith("Neo4j 5.")
    assert "with Graph Data Science" in answer.said


@pytest.mark.parametrize(
    ("changed", "says", "remedy"),
    [
        ({"neo4j_password": "hunter2"}, "not let in", "neo4j_password"),
        ({"neo4j_password": None}, "asks for a password", "neo4j_password"),
        ({"neo4j_database": "no-such-database"}, "no-such-database", "SHOW DATABASES"),
    ],
)
def test_what_neo4j_refuses_is_said_with_its_remedy(neo4j_url, neo4j_auth, changed, says, remedy):
    given = {"neo4j_user": neo4j_auth[0], "neo4j_password": neo4j_auth[1], **changed}
    answer = asked(neo4j=neo4j_url, **given)
    assert not answer.ok
    assert says in answer.said
    assert remedy in answer.remedy
    assert "hunter2" not in str(answer)


def test_redis_answers_with_its_version(redis_url):
    answer = asked(redis=redis_url)
    assert answer.ok, answer
    assert answer.said.startswith("Redis ")


def test_a_wrong_password_of_redis_is_said_to_be_that(redis_url):
    answer = asked(redis=redis_url.replace("redis://", "redis://nobody:hunter2@"))
    assert not answer.ok
    assert "not let in" in answer.said
    assert "hunter2" not in str(answer)


def test_a_database_that_redis_does_not_have_is_said_to_be_that(redis_url):
    answer = asked(redis=redis_url.rpartition("/")[0] + "/9999")
    assert not answer.ok
    assert "0 it has" in answer.remedy
