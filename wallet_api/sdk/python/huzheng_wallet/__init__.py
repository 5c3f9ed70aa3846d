"""Huzheng for a vendor's server.

    Wallet      one province's wallet_api: open a showing, get its code, read what a counter asks, hand in the answer
    Login       seals the login assertion (holder+jwt) that opens a showing
    webhook     checks what wallet_api sends you
    WalletError and everything that can go wrong: Refused (no), Unavailable (no answer), TokenRefused, WebhookRefused

What the client does so that you need not:

1. It gets a token with your private key, keeps it until shortly before its end, and gets one more if it is refused.
2. It repeats what may be repeated, for as long as you have patience: reads, and writes under one Idempotency-Key that all
   tries share, so that a lost answer never opens a second showing. It waits as long as Retry-After says.
3. It keeps the ETag of what you poll; where nothing is new you get the value that you had.
4. It hears the server's clock in every answer. Your own may be wrong; `clock_skew_s` says by how much.
"""

from . import webhook
from .answers import (
    Attempt,
    Both,
    Certificate,
    Code,
    Declaration,
    Deliveries,
    Delivery,
    Event,
    Events,
    Field,
    Form,
    Holdings,
    Lookup,
    Persona,
    Request,
    Result,
    Sheet,
    Showing,
    Taken,
    Twin,
)
from .client import Wallet
from .errors import FieldError, Refused, TokenRefused, Unavailable, WalletError, WebhookRefused
from .express import Matter, Offer, Offered, Unit
from .history import Entry, Objection, Past
from .keys import Key, load_key, new_key
from .line import Times
from .login import Login

__all__ = [
    "Attempt",
    "Both",
    "Certificate",
    "Code",
    "Declaration",
    "Deliveries",
    "Delivery",
    "Entry",
    "Event",
    "Events",
    "Field",
    "FieldError",
    "Form",
    "Holdings",
    "Key",
    "Login",
    "Lookup",
    "Matter",
    "Objection",
    "Offer",
    "Offered",
    "Past",
    "Persona",
    "Refused",
    "Request",
    "Result",
    "Sheet",
    "Showing",
    "Taken",
    "Times",
    "TokenRefused",
    "Twin",
    "Unavailable",
    "Unit",
    "Wallet",
    "WalletError",
    "WebhookRefused",
    "load_key",
    "new_key",
    "webhook",
]
