"""Reading a request body: bounded in bytes and in time, and declared as JSON.

The bound holds whatever `Content-Length` claims: a claim that is too large is refused before a
byte is read, and bytes are counted as they come.
"""

import asyncio
from typing import Any, Final

import msgspec
from fastapi import Request
from starlette.requests import ClientDisconnect

from api.problems import BodyTooLarge, BodyTooSlow, InvalidBody, WrongContentType, shorten

SECONDS_FOR_A_BODY: Final = 15.0


async def read_json_bytes(request: Request, limit: int) -> bytes:
    """The body of a JSON request, not yet decoded.

    Raises:
        WrongContentType: It is not declared as JSON, or is compressed.
        BodyTooLarge: It has, or claims, more than `limit` bytes.
        BodyTooSlow: It did not arrive within `SECONDS_FOR_A_BODY`.
        InvalidBody: It is empty, or the client went away.
    """
    headers = request.headers
    _must_be_json(headers.get("content-type", ""), headers.get("content-encoding", "identity"))
    claimed = headers.get("content-length", "").lstrip("0")
    # Counted first: Python makes no number of thousands of digits.
    if claimed.isdecimal() and (len(claimed) > len(str(limit)) or int(claimed) > limit):
        raise _too_large(limit, f"{shorten(claimed)} bytes")
    try:
        async with asyncio.timeout(SECONDS_FOR_A_BODY):
            body = await _read(request, limit)
    except TimeoutError:
        raise BodyTooSlow(
            f"the body did not arrive within {SECONDS_FOR_A_BODY:.0f} s",
            field="body",
            remedy="Send the whole body at once.",
        ) from None
    except ClientDisconnect:
        raise InvalidBody(
            "the connection closed before the body ended",
            field="body",
            remedy="Send as many bytes as Content-Length says.",
        ) from None
    if not body:
        raise InvalidBody(
            "the body is empty", field="body", remedy="Send a JSON document; see /docs."
        )
    return body


async def _read(request: Request, limit: int) -> bytes:
    chunks: list[bytes] = []
    size = 0
    async for chunk in request.stream():
        size += len(chunk)
        if size > limit:
            raise _too_large(limit, f"more than {limit} bytes")
        if chunk:
            chunks.append(chunk)
    return chunks[0] if len(chunks) == 1 else b"".join(chunks)


def _too_large(limit: int, found: str) -> BodyTooLarge:
    return BodyTooLarge(
        f"at most {limit} bytes are read",
        field="body",
        value=found,
        remedy="Send less in one request.",
    )


def _must_be_json(content_type: str, encoding: str) -> None:
    media = content_type.partition(";")[0].strip().lower()
    if media != "application/json" and not (
        media.startswith("application/") and media.endswith("+json")
    ):
        raise WrongContentType(
            "the body must be JSON",
            field="Content-Type",
            value=shorten(content_type) or "nothing",
            remedy="Send Content-Type: application/json.",
        )
    if encoding.strip().lower() != "identity":
        raise WrongContentType(
            "compressed bodies are not read",
            field="Content-Encoding",
            value=shorten(encoding),
            remedy="Send the body as it is.",
        )


def decode_object(body: bytes) -> dict[str, Any]:
    """A JSON object whose members can be anything.

    Raises:
        InvalidBody: It is not JSON, not an object, or nested too deeply.
    """
    remedy = 'Send a JSON object, for example {"user_id": "u1"}.'
    try:
        return msgspec.json.decode(body, type=dict[str, Any])
    except RecursionError:
        raise InvalidBody("it is nested too deeply", field="body", remedy=remedy) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(str(error), field="body", remedy=remedy) from None


def decode_array(body: bytes, limit: int) -> list[bytes]:
    """The items of a JSON array, each as its own bytes, so that each is decoded by itself.

    Raises:
        InvalidBody: It is not JSON, not an array, nested too deeply, empty, or longer than `limit`.
    """
    remedy = f"Send a JSON array of 1 to {limit} transactions."
    try:
        items = msgspec.json.decode(body, type=list[msgspec.Raw])
    except RecursionError:
        raise InvalidBody("it is nested too deeply", field="body", remedy=remedy) from None
    except (msgspec.DecodeError, UnicodeDecodeError) as error:
        raise InvalidBody(str(error), field="body", remedy=remedy) from None
    if not 1 <= len(items) <= limit:
        raise InvalidBody(
            "the number of transactions is out of bounds",
            field="body",
            value=str(len(items)),
            remedy=remedy,
        )
    return [bytes(item) for item in items]
