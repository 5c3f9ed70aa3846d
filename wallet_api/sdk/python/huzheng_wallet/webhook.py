"""What wallet_api sends you, believed only after its signature holds (Standard Webhooks, HMAC-SHA256).

    message = webhook.verify(request.headers, request.get_data(), [SECRET])

The body must be the bytes as they came. Messages older or newer than five minutes are refused, and while a secret is changed
both may be given. A message can come twice: `message_id` stays the same, so remember it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping, Sequence
from dataclasses import dataclass, field
from datetime import datetime
from typing import Any, Protocol

from standardwebhooks.webhooks import EmptyWebhookSecretError, Webhook, WebhookVerificationError

from .answers import instant
from .errors import WebhookRefused


@dataclass(frozen=True, slots=True, kw_only=True)
class Message:
    """A message whose signature held: this showing moved. It says that something can be asked about; ask for the rest.

    `type` is for instance "showing.delivered", `state` and `version` are the showing's after the move. Messages of one
    showing are sent in order, so a lower version than one that you have is a repetition.
    """

    message_id: str
    type: str
    at: datetime
    showing_id: str
    state: str
    version: int
    reason: str | None
    body: Mapping[str, Any] = field(repr=False, compare=False)


class Headers(Protocol):
    """What every web framework has: the names and values that came, whatever their case."""

    def items(self) -> Iterable[tuple[str, str]]:
        """All of them."""


def verify(headers: Headers, body: bytes, secrets: Sequence[str]) -> Message:
    """The message, or WebhookRefused. ValueError where a secret is none, which would refuse everything unseen."""
    try:
        hooks = [Webhook(secret) for secret in secrets]
    except (EmptyWebhookSecretError, ValueError) as problem:
        raise ValueError("not a webhook secret") from problem
    if not hooks:
        raise ValueError("no webhook secret to check with")
    given = {str(name).lower(): str(value) for name, value in headers.items()}
    for hook in hooks:
        try:
            told = hook.verify(body, given)
        except (WebhookVerificationError, ValueError):
            # The library raises ValueError by itself for a signature that is no base64 and a body that is no UTF-8.
            continue
        return _message(given["webhook-id"], told)
    raise WebhookRefused("WEBHOOK_NOT_GENUINE")


def _message(message_id: str, told: Any) -> Message:
    try:
        data = told["data"]
        return Message(
            message_id=message_id,
            type=str(told["type"]),
            at=instant(told["timestamp"]),
            showing_id=str(data["showing_id"]),
            state=str(data["state"]),
            version=int(data["version"]),
            reason=data["reason"],
            body=told,
        )
    except (KeyError, TypeError, ValueError) as problem:
        raise WebhookRefused("WEBHOOK_NOT_UNDERSTOOD") from problem
