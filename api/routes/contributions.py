"""Contributions: why a transaction got its score, exactly, while its feature row is held."""

import asyncio
import math
from typing import Final

from fastapi import APIRouter, Request
from starlette.responses import Response

from api.answers import answer, described, service_of
from api.contribution_schemas import ContributionsOut
from api.problems import UnknownResource, shorten
from api.routes.verdicts import TransactionId, id_of, verdict_in
from api.views import View, timestamp
from scorer.artefact import TrainedModel
from scorer.explanation import Contribution, Explanation, explain
from scorer.kept_rows import MOST, KeptRow
from scorer.verdict import Verdict

router: Final = APIRouter(prefix="/v1/contributions", tags=["scoring"])


@router.get(
    "/{transaction_id:path}",
    summary="Why a transaction got its score, feature by feature",
    responses=described(ContributionsOut, 404, 422, 503),
)
async def contributions(
    request: Request,
    transaction_id: TransactionId,
) -> Response:
    """Exact contributions (TreeSHAP) of the model, and the terms of the blend.

    The engine holds the rows of the last 4,096 verdicts that were not approved or completed
    evidence. Others cannot be explained any more: their verdict has its reasons. After a restart
    it holds those it has judged again since its checkpoint.
    """
    service = service_of(request)
    transaction_id = id_of(transaction_id)
    told = await asyncio.to_thread(verdict_in, service.log, transaction_id)
    held, model = await asyncio.wrap_future(
        service.engine.ask(lambda detector: (detector.kept.find(transaction_id), detector.model))
    )
    if held is None or not _same(held, told):
        raise _not_held(told)
    return answer(view(await asyncio.to_thread(_explained, model, held)))


def _same(held: KeptRow, told: Verdict) -> bool:
    """Whether the row led to the verdict that was given.

    It may not: after a restart with another model, verdicts are judged again by that one.
    """
    again = held.verdict
    return (again.model_version, again.score) == (told.model_version, told.score)


def _not_held(told: Verdict) -> UnknownResource:
    if told.model_version is None:
        what, remedy = "no model answered", "Serve with a model: `ringfence serve --model DIR`."
    else:
        what = (
            f"its feature row is not held: only those of the last {MOST:,} verdicts that were not "
            "approved or completed evidence, since the last start"
        )
        remedy = "Read the reasons of its verdict with GET /v1/verdicts/{transaction_id}."
    return UnknownResource(
        f"this score cannot be taken apart: {what}",
        field="transaction_id",
        value=shorten(told.transaction_id),
        remedy=remedy,
    )


def _explained(model: TrainedModel, held: KeptRow) -> Explanation:
    return explain(model, held)


def view(found: Explanation) -> View:
    """`ContributionsOut`."""
    verdict = found.verdict
    return {
        "transaction_id": verdict.transaction_id,
        "timestamp": timestamp(verdict.timestamp),
        "decision": verdict.decision,
        "score": verdict.score,
        "model_version": verdict.model_version,
        "base": found.base,
        "features": [_feature(each) for each in found.contributions],
        "rest": {"features": found.rest_count, "contribution": found.rest},
        "margin": found.margin,
        "model_score": found.probability,
        "terms": [
            {
                "name": term.name,
                "value": term.value,
                "weight": term.weight,
                "contribution": term.added,
            }
            for term in found.terms
        ],
        "log_odds": found.log_odds,
    }


def _feature(found: Contribution) -> View:
    feature = found.feature
    return {
        "name": feature.name,
        "family": feature.family,
        "unit": feature.unit,
        "meaning": feature.meaning,
        "value": None if math.isnan(found.value) else found.value,
        "contribution": found.added,
        "evidence_ids": found.evidence,
        "ring_ids": found.rings,
    }
