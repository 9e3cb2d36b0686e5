"""What `test_failover.py` kills: python failover_worker.py BOOTSTRAP PREFIX FOLDER TIMEOUT_S.

A worker as `ringfence serve` runs it, with the tiny detector: it leads or stands by, says its state
as it changes, and drains on SIGTERM. TIMEOUT_S is how long a transaction of Kafka may take.
"""

import sys
import threading
import time
from pathlib import Path

from ingest import codec
from ingest.currencies import RateTable
from ingest.engine import Engine, EngineConfig
from ingest.kafka import KafkaLog
from ingest.kafka_client import KafkaSettings
from ingest.lease import Lease
from ingest.recovery import Checkpoints
from ingest.worker import Worker
from tests.tiny_detector import TinyDetector

RATES = RateTable("EUR", {})


def tell(engine: Engine) -> None:
    said = ""
    while True:
        state, _ = engine.standing()
        if state != said:
            said = state
            sys.stdout.write(state + "\n")
            sys.stdout.flush()
        time.sleep(0.01)


def main(bootstrap: str, prefix: str, folder: Path, timeout_s: float) -> None:
    settings = KafkaSettings(bootstrap, prefix=prefix, transaction_timeout_s=timeout_s)
    log = KafkaLog(settings, folder / "index.db")
    engine = Engine(
        log,
        TinyDetector,
        lambda data: codec.decode(data, rates=RATES, now=None),
        checkpoints=Checkpoints(folder / "checkpoints"),
        lease=Lease(log, "engine", patience=2.0),
        config=EngineConfig(batch=32, stream_share=16, checkpoint_every=100, poll_ms=5),
    )
    threading.Thread(target=tell, args=(engine,), daemon=True).start()
    Worker(engine).run()
    log.close()


if __name__ == "__main__":
    main(sys.argv[1], sys.argv[2], Path(sys.argv[3]), float(sys.argv[4]))
