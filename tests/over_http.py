"""What a client sends over HTTP, and what every answer to it must be."""

import json
import time

from api import schemas
from api.problems import kinds

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
