"""Payments that make rings, as the ring page's tests send them."""

import random
import time
from itertools import pairwise

MARKUP = '<img src=x onerror="window.hacked=1">'
TURNED = "mallory\u202etxt.exe"  # the override makes what follows read from right to left


def transfer(
    n: int, at: int, payer: str, payee: str, amount: str, device: str | None = None
) -> dict[str, object]:
    return {
        "transaction_id": f"tx-{n}", "timestamp": at, "type": "transfer", "amount": amount,
        "currency": "EUR", "user_id": payer, "counterparty_id": payee,
        "device_id": device or f"phone-{payer[:4]}-{n}",
    }  # fmt: skip


def cycle(at: int) -> list[dict[str, object]]:
    """Four hops that come home within the hour, each a little less; ids that mean harm."""
    minute = 60_000
    return [
        transfer(1, at, "carol", "mule-1", "5210.00"),
        transfer(2, at + 9 * minute, "mule-1", MARKUP, "5000.00"),
        transfer(3, at + 21 * minute, MARKUP, TURNED, "4800.50"),
        transfer(4, at + 40 * minute, TURNED, "carol", "4600.00"),
    ]


def lesser_cycle(at: int) -> list[dict[str, object]]:
    """Three hops among others, of less money, soon after those of `cycle`."""
    return [
        transfer(11, at + 41 * 60_000, "anna", "ben", "90.00"),
        transfer(12, at + 42 * 60_000, "ben", "cleo", "85.00"),
        transfer(13, at + 43 * 60_000, "cleo", "anna", "80.00"),
    ]


def town(start: int) -> list[dict[str, object]]:
    """A morning with six rings in it, and what people do around them; ids as long as the demo's."""
    chance = random.Random(7)
    people = [f"{chance.getrandbits(48):012x}" for _ in range(60)]
    shops = [f"{chance.getrandbits(48):012x}" for _ in range(6)]
    told: list[tuple[int, dict[str, object]]] = []

    def deed(minute: float, payer: str, payee: str, euros: float, **more: object) -> None:
        at = start + round(minute * 60_000)
        to = "merchant_id" if payee in shops else "counterparty_id"
        told.append((at, {
            "transaction_id": f"town-{len(told)}", "timestamp": at,
            "type": "payment" if payee in shops else "transfer", "amount": f"{euros:.2f}",
            "currency": "EUR", "user_id": payer, to: payee, "device_id": f"phone-{payer}",
            "ip_address": f"203.0.113.{people.index(payer) % 9}", **more,
        }))  # fmt: skip

    for _ in range(130):
        payer, friend = chance.sample(people, 2)
        payee = friend if chance.random() < 0.4 else chance.choice(shops)
        deed(chance.uniform(0, 175), payer, payee, chance.uniform(5, 90))
    for first, minute in ((0, 20), (3, 60), (7, 90)):
        ring = people[first : first + 3 + first % 2]
        for n, (payer, payee) in enumerate(pairwise([*ring, ring[0]])):
            deed(minute + 7 * n, payer, payee, 3000 - 90 * n, device_id=f"farm-{first % 2}")
    for mule, minute in ((12, 100), (24, 130)):
        for n in range(11):
            deed(minute + n / 2, people[mule + 1 + n], people[mule], 300 + 7.31 * n)
        for n in range(3):
            deed(minute + 9 + n, people[mule], people[36 + n], 1000 - 40 * n, device_id="farm-1")
    for n in range(12):
        deed(150 + n, people[40 + n], shops[0], 480.50, device_id=f"farm-{2 + n % 2}")
    return [deed for _, deed in sorted(told, key=lambda each: each[0])]


def now() -> int:
    return time.time_ns() // 1_000_000
