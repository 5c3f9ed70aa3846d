"""The raw work and the single operations: signatures, envelopes, codes, pictures, frames."""

from __future__ import annotations

from datetime import UTC, datetime, timedelta
from functools import partial
from io import BytesIO

import numpy as np
import segno
import zxingcpp
from cryptography.hazmat.primitives.asymmetric.ec import ECDSA, EllipticCurvePrivateKey
from cryptography.hazmat.primitives.asymmetric.ed25519 import Ed25519PrivateKey
from cryptography.hazmat.primitives.hashes import SHA256
from PIL import Image
from qrcode.constants import ERROR_CORRECT_M
from qrcode.image.pil import PilImage
from qrcode.main import QRCode

from bench.clocks import cpu_us
from consent.code import TYP, mint, open_code
from consent.envelope import close_envelope, new_envelope_key
from consent.keys import KeyRing, new_key
from scanner_kiosk import scene
from scanner_kiosk.decode import Reader
from scanner_kiosk.picture import Grey, read_picture
from wallet_api import picture

_TIMES = 400


def raw() -> dict[str, float]:
    """Signature arithmetic and envelopes as `cryptography` does them, in CPU microseconds."""
    message = b"m" * 200
    edwards, weierstrass = Ed25519PrivateKey.generate(), new_key("ES256", issuer="bench").private
    assert isinstance(weierstrass, EllipticCurvePrivateKey)
    signed, other = edwards.sign(message), weierstrass.sign(message, ECDSA(SHA256()))
    edwards_public, weierstrass_public = edwards.public_key(), weierstrass.public_key()
    key = new_envelope_key()
    envelope = close_envelope(key.recipient, message, info="bench")
    return {
        "ed25519 sign": cpu_us(lambda: edwards.sign(message), times=_TIMES),
        "ed25519 verify": cpu_us(lambda: edwards_public.verify(signed, message), times=_TIMES),
        "p-256 sign": cpu_us(lambda: weierstrass.sign(message, ECDSA(SHA256())), times=_TIMES),
        "p-256 verify": cpu_us(lambda: weierstrass_public.verify(other, message, ECDSA(SHA256())), times=_TIMES),
        "envelope close": cpu_us(lambda: close_envelope(key.recipient, message, info="bench"), times=_TIMES),
        "envelope open": cpu_us(lambda: key.open(envelope, info="bench"), times=_TIMES),
    }


def codes() -> dict[str, float]:
    """Minting, reading and drawing a code, in CPU microseconds. Drawing goes past the cache: each text is new."""
    now = datetime.now(UTC)
    key = new_key("EdDSA", issuer="31")
    ring = KeyRing([key.published(TYP, not_before=now - timedelta(days=1), not_after=now + timedelta(days=1))])
    text = mint(b"0123456789abcdef", key, now=now)
    numbers = iter(range(10**9))

    def fresh() -> str:
        return mint(next(numbers).to_bytes(16, "big"), key, now=now)

    sign = cpu_us(fresh, times=_TIMES)
    picture.png(text)  # the table is learnt at the first drawing
    return {
        "code: sign": sign,
        "code: read": cpu_us(lambda: open_code(text, ring, now=now), times=_TIMES),
        "code: PNG": cpu_us(lambda: picture.png(fresh()), times=_TIMES) - sign,
        "code: SVG": cpu_us(lambda: picture.svg(fresh()), times=_TIMES) - sign,
        "code: PNG by plain qrcode": cpu_us(lambda: _by_qrcode(fresh()), times=30) - sign,
        "code: PNG by segno": cpu_us(lambda: _by_segno(fresh()), times=30) - sign,
        "code: PNG by zxing-cpp": cpu_us(lambda: _by_zxing(fresh()), times=_TIMES) - sign,
    }


def per_core_second(found: dict[str, float]) -> dict[str, float]:
    """Codes signed and drawn as PNG in one second of one core, by each of the drawers."""
    drawn = {name.removeprefix("code: PNG"): took for name, took in found.items() if name.startswith("code: PNG")}
    return {
        name.removeprefix(" by ") or "learnt table": 1e6 / (found["code: sign"] + took) for name, took in drawn.items()
    }


def _by_qrcode(text: str) -> None:
    symbol = QRCode(version=None, error_correction=ERROR_CORRECT_M, box_size=picture.PIXELS, border=picture.BORDER)
    symbol.add_data(text, optimize=0)
    symbol.make_image(image_factory=PilImage, fill_color="black", back_color="white").save(BytesIO(), "PNG")


def _by_segno(text: str) -> None:
    segno.make_qr(text, error="m", boost_error=False).save(
        BytesIO(), kind="png", scale=picture.PIXELS, border=picture.BORDER
    )


def _by_zxing(text: str) -> None:
    symbol = zxingcpp.create_barcode(text, zxingcpp.BarcodeFormat.QRCode, ec_level="M")
    grey = np.asarray(symbol.to_image(scale=picture.PIXELS, add_quiet_zones=True))
    Image.fromarray(grey).convert("1").save(BytesIO(), "PNG", compress_level=3)


def frames() -> dict[str, float]:
    """Decoding, in CPU milliseconds a frame: with a phone at rest, and an empty counter after the gate has closed."""
    now = datetime.now(UTC)
    drawn = read_picture(picture.png(mint(bytes(16), new_key("EdDSA", issuer="31"), now=now)))
    found = {}
    for width, height in ((1280, 720), (1920, 1080)):
        camera = scene.Camera(width=width, height=height)
        seen = [scene.frame(drawn, seed=seed, t=30, camera=camera) for seed in range(12)]
        found[f"{width}x{height} with a code"] = (
            sum(cpu_us(partial(_read_afresh, each), times=5) for each in seen) / 12_000
        )
        empty, reader = scene.frame(None, seed=1, t=0, camera=camera), Reader()
        for _ in range(5):
            reader.read(empty)
        found[f"{width}x{height} empty"] = cpu_us(partial(reader.read, empty), times=20) / 1000
        # What the gate saves: every repair, as on a frame in which something has moved.
        found[f"{width}x{height} empty, gate open"] = cpu_us(partial(_search_all, empty), times=5) / 1000
    return found


def _read_afresh(image: Grey) -> list[str]:
    return Reader().read(image)


def _search_all(image: Grey) -> list[str]:
    return Reader().read(image, budget_ms=1e9)
