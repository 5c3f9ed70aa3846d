"""The app's login: who is who, and a sealed word to the province that it is so.

The pseudonym is an HMAC of the ID number under a key that only this login has. A plain digest would be no pseudonym:
all ID numbers of a country can be tried in an afternoon.
"""

from __future__ import annotations

import hmac
from collections.abc import Mapping
from dataclasses import dataclass, field
from datetime import datetime
from hashlib import sha256

from consent.b64 import to_b64
from consent.envelope import Recipient
from consent.errors import Reason, Refusal
from consent.keys import SigningKey
from consent.showing import seal_holder
from wallet_api.personas import Persona


@dataclass(frozen=True, slots=True, kw_only=True)
class Login:
    """The login of one province's app. `inner` is the envelope key of that province's inner network."""

    province: str
    key: SigningKey
    inner: Recipient
    personas: Mapping[str, Persona] = field(repr=False)

    @property
    def app(self) -> str:
        """The app that this login belongs to."""
        return self.key.issuer

    def persona(self, persona_id: str) -> Persona:
        """Somebody whom this app knows; Refusal(INVALID_GRANT) for anybody else."""
        found = self.personas.get(persona_id)
        if found is None or found.province != self.province:
            raise Refusal(Reason.INVALID_GRANT, detail="no persona of this app")
        return found

    def sub(self, persona: Persona) -> str:
        """The pairwise pseudonym: 22 characters, the same at every start with the same login key."""
        secret = sha256(b"pseudonyms of the sandbox\n" + self.key.pem().encode()).digest()
        return to_b64(hmac.digest(secret, persona.id_number.number.encode(), sha256)[:16])

    def assertion(self, persona: Persona, device: Mapping[str, str], *, now: datetime) -> str:
        """A fresh `holder+jwt`. The sandbox unlocks at the moment of asking; a real app knows when it was unlocked."""
        return seal_holder(
            persona.person,
            sub=self.sub(persona),
            device_jwk=device,
            auth_time=now,
            key=self.key,
            province=self.province,
            inner=self.inner,
            now=now,
        )
