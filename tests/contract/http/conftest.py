"""One service for each of these files, which a detector without a model answers for.

Three transfers that close a cycle make a ring, an alert and a graph.
"""

import pytest

from api.settings import Settings
from api.wiring import build
from tests.over_http import CYCLE, NOW, transfer, until
from tests.served import running


@pytest.fixture(scope="module")
def service(tmp_path_factory):
    data = tmp_path_factory.mktemp("http")
    settings = {"data_dir": data, "max_body": 200_000, "max_batch": 50, "port": 0}
    return build(Settings.load({}, **settings, log_level="error"))


@pytest.fixture(scope="module")
def client(service):
    with running(service) as found:
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
