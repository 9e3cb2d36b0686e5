"""The other side of `ringfence bench kafka`: produces at a pace, and reads the verdicts.

python -m api.bench.kafka_load BOOTSTRAP PREFIX FILE PACE: FILE has one [user, transaction] a line.
"""

import asyncio
import json
import sys
import time
from pathlib import Path

import numpy as np
from aiokafka import AIOKafkaConsumer, AIOKafkaProducer, TopicPartition

_PATIENCE_S = 60.0
_TICK_S = 0.005


async def run(
    bootstrap: str, prefix: str, rows: list[tuple[str, str]], pace: int
) -> dict[str, float]:
    """Latencies in ms: from the producer's hand to the committed verdict."""
    ids = [json.loads(value)["transaction_id"] for _, value in rows]
    sent: dict[str, float] = {}
    taken: list[float] = []
    topic = TopicPartition(prefix + "verdicts", 0)
    consumer = AIOKafkaConsumer(
        bootstrap_servers=bootstrap,
        isolation_level="read_committed",
        auto_offset_reset="latest",
        enable_auto_commit=False,
        fetch_max_wait_ms=20,
    )
    producer = AIOKafkaProducer(bootstrap_servers=bootstrap, linger_ms=2)
    await consumer.start()
    consumer.assign([topic])
    await consumer.seek_to_end(topic)
    await producer.start()

    async def read() -> None:
        while len(taken) < len(rows):
            for records in (await consumer.getmany(timeout_ms=50)).values():
                now = time.perf_counter()
                taken.extend((now - sent[r.key.decode()]) * 1e3 for r in records)

    reading = asyncio.create_task(read())
    began = time.perf_counter()
    at = 0
    while at < len(rows):
        due = min(len(rows), int((time.perf_counter() - began) * pace))
        for (user, value), name in zip(rows[at:due], ids[at:due], strict=True):
            sent[name] = time.perf_counter()
            await producer.send(prefix + "transactions", value.encode(), key=user.encode())
        at = max(at, due)
        await asyncio.sleep(_TICK_S)
    produced = time.perf_counter() - began
    await asyncio.wait_for(reading, _PATIENCE_S)
    await producer.stop()
    await consumer.stop()
    p50, p99, p999 = np.percentile(taken, [50, 99, 99.9])
    return {
        "verdicts": len(taken),
        "produced_per_s": round(len(rows) / produced, 1),
        "p50_ms": round(float(p50), 1),
        "p99_ms": round(float(p99), 1),
        "p999_ms": round(float(p999), 1),
        "max_ms": round(max(taken), 1),
    }


def main() -> None:
    """Print the figures as JSON."""
    bootstrap, prefix, file, pace = sys.argv[1:]
    rows = [tuple(json.loads(line)) for line in Path(file).read_text().splitlines()]
    sys.stdout.write(json.dumps(asyncio.run(run(bootstrap, prefix, rows, int(pace)))))


if __name__ == "__main__":
    main()
