"""Rings: the live list, one ring in full, and the stream of what happens to them."""

import asyncio
from base64 import urlsafe_b64decode, urlsafe_b64encode
from collections.abc import Sequence
from functools import partial
from typing import Annotated, Final, Literal

import msgspec
import networkx as nx
from fastapi import APIRouter, Header, Path, Query, Request
from starlette.responses import Response

from api.answers import answer, described, service_of, streamed
from api.board import Entry, Proof
from api.problems import InvalidParameter, UnknownResource, shorten
from api.questions import Questions
from api.routes.resume import ENDLESS, start_after
from api.schemas import RingDetail, RingEventOut, RingPage
from api.service import Service
from api.streams import EventStream
from api.views import View, counterfactual, member_role
from graph.counterfactual import Counterfactual, what_clears
from graph.evidence import Evidence, Pattern
from graph.live_ring import LiveRing
from graph.ring_book import Likelihood
from graph.ring_policy import RingPolicy
from graph.ring_roles import MemberRole, ring_roles
from graph.rings import Ring
from graph.subgraph import neighbourhood
from graph.transaction import Entity
from ingest.fields import possible_ids

router: Final = APIRouter(prefix="/v1/rings", tags=["rings"])

Listed = Literal["active", "quiet", "expired"]
"""States of rings on the board: one that merged is there as the ring it became."""


class _Cursor(msgspec.Struct, array_like=True, frozen=True):
    """Where a page ended in the live order."""

    changed_at: int
    ring_id: str


@router.get("", summary="Rings, the newest change first", responses=described(RingPage, 422, 503))
async def rings(
    request: Request,
    state: Annotated[list[Listed] | None, Query(description="Only these states.")] = None,
    min_score: Annotated[float, Query(ge=0, le=1, description="At least this score.")] = 0.0,
    pattern: Annotated[list[Pattern] | None, Query(description="Any of these.")] = None,
    member: Annotated[
        str | None, Query(max_length=256, description="Whoever, or whatever, has this id is in it.")
    ] = None,
    limit: Annotated[int, Query(ge=1, le=500)] = 50,
    cursor: Annotated[str | None, Query(max_length=200, description="`next` of a page.")] = None,
) -> Response:
    """One page of the live order.

    A ring that changes while you read moves to the front; it is never shown twice by paging on.
    """
    service = service_of(request)
    service.board.must_be_read()
    after = None if cursor is None else _read(cursor)
    named = None if member is None else possible_ids(member)
    wanted = [
        ring
        for ring in service.board.live()
        if (not state or ring.state in state)
        and ring.score >= min_score
        and (not pattern or any(each in ring.patterns for each in pattern))
        and (named is None or any(entity.id in named for entity, _ in ring.members))
        and (after is None or (-ring.changed_at, ring.ring_id) > (-after.changed_at, after.ring_id))
    ]
    page = wanted[:limit]
    following = _write(page[-1]) if len(wanted) > limit else None
    return answer({"rings": [service.views.ring(ring) for ring in page], "next": following})


@router.get(
    "/stream",
    summary="What happens to rings, as it happens",
    response_class=Response,
    responses=streamed(RingEventOut, "ring"),
)
async def stream(
    request: Request,
    after: Annotated[
        int | None, Query(ge=-1, lt=ENDLESS, description="Start after this offset.")
    ] = None,
    last_event_id: Annotated[str | None, Header()] = None,
) -> Response:
    """Ring events from `Last-Event-ID` or `after` on, else from now."""
    feed = service_of(request).rings
    return EventStream(feed, await start_after(feed, last_event_id, after))


@router.get(
    "/{ring_id}", summary="One ring in full", responses=described(RingDetail, 404, 422, 503)
)
async def ring(
    request: Request, ring_id: Annotated[str, Path(max_length=128, examples=["3f9c0d2ab8e51f77"])]
) -> Response:
    """A ring with its drawing, evidence and life. The id of a merged ring leads here too."""
    service = service_of(request)
    entry = entry_of(service, ring_id)
    explain = explanations_of(request).run
    proof = await explain(partial(service.board.proof, entry))
    evidence = proof.evidence
    drawn, policy, likelihood = await _drawn(service, entry.ring, evidence)
    roles, clears = await explain(partial(_judged, entry.ring, evidence, policy, likelihood))
    related = await explain(partial(service.board.related, entry.ring))
    return answer(_detail(service, entry, proof, drawn, roles, clears, related))


def explanations_of(request: Request) -> Questions:
    """The threads on which rings are explained."""
    explanations = request.app.state.explanations
    assert isinstance(explanations, Questions)  # noqa: S101 - what create_app put there
    return explanations


def entry_of(service: Service, ring_id: str) -> Entry:
    """A ring of the board.

    Raises:
        UnknownResource: It is not there.
        StillReading: It is not there yet, and may be in what of the log is not read.
        NoLongerReading: It is not there, and may be in what of the log is not read.
    """
    entry = service.board.get(ring_id)
    if entry is None:
        service.board.must_be_read()
        entry = service.board.get(ring_id)  # it may have been read meanwhile
    if entry is None:
        raise UnknownResource(
            "there is no such ring, or it ended long ago",
            field="ring_id",
            value=shorten(ring_id),
            remedy="List the rings with GET /v1/rings.",
        )
    return entry


async def _drawn(
    service: Service, found: Ring, evidence: list[Evidence]
) -> tuple["nx.MultiDiGraph[Entity]", RingPolicy, Likelihood | None]:
    """The ring's neighbourhood, and by what policy and whose word the engine tells rings."""
    return await asyncio.wrap_future(
        service.engine.ask(
            lambda detector: (
                neighbourhood(detector.window, found, evidence),
                detector.rings.policy,
                detector.rings.likelihood,
            )
        )
    )


def _judged(
    found: Ring, evidence: list[Evidence], policy: RingPolicy, likelihood: Likelihood | None
) -> tuple[tuple[MemberRole, ...], Counterfactual]:
    likely = None
    if likelihood is not None:
        likely = partial(_likely, found, policy, likelihood)
    return ring_roles(found.members, evidence, policy), what_clears(evidence, policy, likely)


def _likely(
    found: Ring, policy: RingPolicy, likelihood: Likelihood, evidence: Sequence[Evidence]
) -> float:
    return likelihood(LiveRing.alone(found, evidence, policy), evidence)


def _detail(
    service: Service,
    entry: Entry,
    proof: Proof,
    drawn: "nx.MultiDiGraph[Entity]",
    roles: tuple[MemberRole, ...],
    clears: Counterfactual,
    related: list[tuple[Ring, int]],
) -> View:
    found = entry.ring
    return {
        **service.views.ring(found),
        "members": [member_role(each) for each in roles],
        "clears": counterfactual(clears),
        "subgraph": service.views.subgraph(drawn, {each.entity: each.role for each in roles}),
        "evidence": [service.views.evidence(piece) for piece in proof.evidence],
        "transactions": [service.views.hop(hop) for hop in proof.hops],
        "transaction_count": len(found.transactions),
        "timeline": [told.entry for told in entry.life],
        "aliases": found.aliases,
        "split_from": found.split_from,
        "account_count": len(found.accounts),
        "related": [
            {"ring": service.views.ring(other), "shared_accounts": shared}
            for other, shared in related
        ],
        "truncated": found.truncated or len(proof.evidence) < len(found.evidence),
    }


def _write(last: Ring) -> str:
    data = msgspec.json.encode(_Cursor(last.changed_at, last.ring_id))
    return urlsafe_b64encode(data).rstrip(b"=").decode()


def _read(cursor: str) -> _Cursor:
    try:
        padded = cursor.encode() + b"=" * (-len(cursor) % 4)
        return msgspec.json.decode(urlsafe_b64decode(padded), type=_Cursor)
    except (ValueError, msgspec.DecodeError):
        raise InvalidParameter(
            "this is not a cursor",
            field="cursor",
            value=shorten(cursor),
            remedy="Pass `next` of the page before, as it came; leave it out to begin.",
        ) from None
