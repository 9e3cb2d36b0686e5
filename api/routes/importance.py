"""Importance: what a ring's score rests on, by what removing each part of it does."""

import asyncio
from functools import partial
from typing import Annotated, Final

from fastapi import APIRouter, Path, Query, Request
from starlette.responses import Response

from api.answers import answer, described, service_of
from api.importance_schemas import ImportanceOut
from api.routes.rings import entry_of, explanations_of
from api.views import View, Views, entity, timestamp
from gnn.explain import GraphScorer, HopEffect, Importance, MemberEffect, PieceEffect, own_score
from gnn.explain import importance as ranked
from gnn.ring_graph import ring_graph
from graph.evidence import Evidence
from graph.rings import Ring

router: Final = APIRouter(prefix="/v1/rings", tags=["rings"])


@router.get(
    "/{ring_id}/importance",
    summary="What a ring's score rests on",
    responses=described(ImportanceOut, 404, 422, 503),
)
async def importance(
    request: Request,
    ring_id: Annotated[str, Path(max_length=128, examples=["3f9c0d2ab8e51f77"])],
    limit: Annotated[int, Query(ge=1, le=200, description="At most so many in each list.")] = 10,
) -> Response:
    """Members, transactions and evidence by what removing each does to the ring's score.

    Each is taken away with what cannot stand without it, and the rest is scored anew: a drop is a
    difference of two scores, not an estimate. Drops do not add up: of two pieces of evidence that
    say the same, neither is missed alone.
    """
    service = service_of(request)
    entry = entry_of(service, ring_id)
    explain = explanations_of(request).run
    evidence, _ = await explain(partial(service.board.proof, entry))
    policy = await asyncio.wrap_future(service.engine.ask(lambda detector: detector.rings.policy))
    scorer = service.ring_head or own_score(policy)
    found = await explain(partial(_ranked, entry.ring, evidence, scorer))
    scored_by = "ring_score" if service.ring_head is None else "ring_head"
    said = {"ring_id": entry.ring.ring_id, "revision": entry.ring.revision, "scored_by": scored_by}
    return answer(said | view(found, service.views, limit))


def _ranked(ring: Ring, evidence: list[Evidence], scorer: GraphScorer) -> Importance:
    return ranked(ring_graph(ring, evidence), scorer)


def view(found: Importance, views: Views, limit: int) -> View:
    """`ImportanceOut`, but for what names the ring."""
    return {
        "score": found.score,
        "members": [_member(each) for each in found.members[:limit]],
        "hops": [_hop(each, views) for each in found.hops[:limit]],
        "evidence": [_piece(each) for each in found.pieces[:limit]],
        "tried": len(found.members) + len(found.hops) + len(found.pieces),
        "truncated": found.truncated,
    }


def _member(found: MemberEffect) -> View:
    return {
        "remaining": found.remaining,
        "drop": found.drop,
        "entity": entity(found.entity),
        "evidence_ids": found.evidence,
        "transaction_ids": found.transactions,
    }


def _hop(found: HopEffect, views: Views) -> View:
    return {
        "remaining": found.remaining,
        "drop": found.drop,
        "hop": views.hop(found.hop),
        "evidence_ids": found.evidence,
        "falling_ids": found.falling,
    }


def _piece(found: PieceEffect) -> View:
    piece = found.piece
    return {
        "remaining": found.remaining,
        "drop": found.drop,
        "evidence_id": piece.evidence_id,
        "pattern": piece.pattern,
        "seen_at": timestamp(piece.seen_at),
        "transaction_ids": [hop.transaction_id for hop in piece.hops],
        "members": [entity(each) for each in found.members],
    }
