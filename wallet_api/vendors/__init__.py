"""Vendors: the servers of the four apps, as OAuth clients.

    vendor's server ── private_key_jwt ──▶ /oauth/token ── opaque bearer token, 10 minutes ──▶ /v1/…

register  who may call, with which keys; the tokens as digests
log       who changed what about a vendor, append-only
oauth     the token endpoint by authlib (RFC 6749 §4.4 with RFC 7523 client authentication). This is the one
          place where authlib and joserfc are used; whatever decides about a citizen goes through `consent.seal`
once      one answer for one Idempotency-Key
tables    where all of this stands
"""

from wallet_api.vendors.once import Kept, Once
from wallet_api.vendors.register import SCOPES, TOKEN_LIFE, Caller, Key, Vendor, Vendors

__all__ = ["SCOPES", "TOKEN_LIFE", "Caller", "Kept", "Key", "Once", "Vendor", "Vendors"]
