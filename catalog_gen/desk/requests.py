"""From what a browser sent to values that make sense: every field checked for its type, its range and its length."""

from __future__ import annotations

import json
import re
from collections.abc import Mapping
from datetime import datetime
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import Request

from catalog_gen.desk.model import ACTIONS, KINDS, ORDERS, STATES, AuditQuery, Query, Verdict

MAX_VERDICTS = 200
MAX_TEXT = 200  # characters of a filter
MAX_REASON = 500
MAX_WORDS = 1_000
MAX_CANDIDATES = 64
ID = re.compile(r"[0-9A-Za-z_-]{1,64}")
FIELDS = ("state", "kind", "style", "category", "reason_kind", "run", "text", "order")


def query_of(params: Mapping[str, str]) -> Query:
    """Return the filter of a page's address; what nobody could have chosen there is 400."""
    given = {name: params[name] for name in FIELDS if name in params}
    for name, value in given.items():
        _text(value, name, MAX_TEXT)
    query = Query(**given)
    for name, value, known in (("state", query.state, STATES), ("kind", query.kind, KINDS)):
        if value and value not in known:
            raise HTTPException(400, f"there is no {name} {value!r}")
    if query.order not in ORDERS:
        raise HTTPException(400, f"there is no order {query.order!r}")
    return query


def params_of(query: Query) -> dict[str, str]:
    """Return the address's parameters of a filter, those that differ from the usual one."""
    usual = Query()
    return {name: getattr(query, name) for name in FIELDS if getattr(query, name) != getattr(usual, name)}


def audit_query_of(params: Mapping[str, str]) -> AuditQuery:
    """Return which decisions an audit page asks for."""
    for name in ("sku", "reviewer"):
        _text(params.get(name, ""), name, MAX_TEXT)
    before = None
    if params.get("before"):
        when, _, decision = params["before"].rpartition(" ")
        try:
            moment = datetime.fromisoformat(when)
        except ValueError:
            raise HTTPException(400, "there is no such page") from None
        if moment.tzinfo is None or not ID.fullmatch(decision):
            raise HTTPException(400, "there is no such page")
        before = (moment, decision)
    return AuditQuery(params.get("sku", "").strip(), params.get("reviewer", "").strip(), before)


def number_of(params: Mapping[str, str], name: str, usual: int, most: int) -> int:
    """Return a whole number from 0 to `most` of an address."""
    text = params.get(name, str(usual))
    if not re.fullmatch(r"[0-9]{1,6}", text) or int(text) > most:
        raise HTTPException(400, f"{name} is a number from 0 to {most}")
    return int(text)


def id_of(value: Any, name: str = "id") -> str:
    if not isinstance(value, str) or not ID.fullmatch(value):
        raise HTTPException(400, f"{name} is no id")
    return value


def ids_of(body: Mapping[str, Any], name: str) -> list[str]:
    """Return a list of ids of a request; an empty one where it has none."""
    given = body.get(name, [])
    if not isinstance(given, list) or len(given) > MAX_VERDICTS:
        raise HTTPException(400, f"{name} is a list of at most {MAX_VERDICTS}")
    return [id_of(one, name) for one in given]


async def json_body(request: Request) -> dict[str, Any]:
    """Return the request's JSON object; anything else is 400 or 415."""
    if request.headers.get("content-type", "").partition(";")[0].strip() != "application/json":
        raise HTTPException(415, "the desk reads application/json here")
    try:
        value = json.loads(await request.body())
    except (ValueError, RecursionError):
        raise HTTPException(400, "that is not JSON") from None
    if not isinstance(value, dict):
        raise HTTPException(400, "that is no JSON object")
    return value


def verdicts_of(body: Mapping[str, Any]) -> list[Verdict]:
    """Return the decisions of a request: all of them, or none where one makes no sense."""
    given = body.get("decisions")
    if not isinstance(given, list) or not 1 <= len(given) <= MAX_VERDICTS:
        raise HTTPException(400, f"decisions is a list of 1 to {MAX_VERDICTS}")
    return [verdict_of(one) for one in given]


def verdict_of(values: Any) -> Verdict:
    """Return one decision. Unknown fields are refused: they would be a wish that nobody hears."""
    if not isinstance(values, Mapping):
        raise HTTPException(400, "a decision is an object")
    unknown = set(values) - {"id", "asset", "action", "version", "reason", "words", "candidates", "now"}
    if unknown:
        raise HTTPException(400, f"a decision has no {sorted(map(str, unknown))[0]!r}")
    action = values.get("action")
    if action not in ACTIONS:
        raise HTTPException(400, f"action is one of {', '.join(ACTIONS)}")
    now = values.get("now", False)
    if not isinstance(now, bool):
        raise HTTPException(400, "now is true or false")
    return Verdict(
        id=id_of(values.get("id")),
        asset=id_of(values.get("asset"), "asset"),
        action=action,
        version=_whole(values.get("version"), "version", 2**31 - 1),
        reason=_text(values.get("reason", ""), "reason", MAX_REASON),
        words=_text(values.get("words", ""), "words", MAX_WORDS),
        candidates=None
        if values.get("candidates") is None
        else _whole(values["candidates"], "candidates", MAX_CANDIDATES),
        now=now,
    )


def _whole(value: Any, name: str, most: int) -> int:
    if type(value) is not int or not 1 <= value <= most:
        raise HTTPException(400, f"{name} is a whole number from 1 to {most}")
    return value


def _text(value: Any, name: str, most: int) -> str:
    if not isinstance(value, str) or len(value) > most:
        raise HTTPException(400, f"{name} is a text of at most {most} characters")
    if "\0" in value or any("\ud800" <= each <= "\udfff" for each in value):
        raise HTTPException(400, f"{name} has characters that no text has")
    return " ".join(value.split())
