"""The modules of a code's symbol, from a table learnt from `qrcode`'s own symbols.

Every code has 173 characters of the alphanumeric set, so its symbol is always version 7 at level M, and then each module is
the sum (mod 2) of some bits of the text and a constant: data bits go to fixed places, Reed-Solomon is linear, a mask is
added. `qrcode` works all of that out anew for each code, and eight times over, to find the mask with the fewest penalty
points; that takes 26 ms of a core. Here it is asked once:

 1. places    where each bit of the codewords lands, read off symbols that number their bits
 2. codewords what each data bit adds to the error correction, from `qrcode.util.create_bytes`
 3. masks     the symbol without data, for each mask: as it is drawn, and as `qrcode` scores it (without format bits)
 4. proof     some texts drawn both ways; one module's difference, and the table is not used at all

A symbol is kept as 90 words of 64 bits, its 45 rows and its 45 columns (bit 0 is the left or upper end), so that
the penalty of all eight masks is a few dozen operations on whole words. `draw` gives exactly the modules that `qrcode` draws,
or None for a text of another shape, which is then `qrcode`'s to draw.

ISO/IEC 18004:2015: 7.4.4 (alphanumeric), 7.5 (error correction), 7.7.3 (placement), 7.8 (masks and penalties).
"""

from __future__ import annotations

import secrets
from dataclasses import dataclass
from functools import cache
from threading import Lock
from typing import Any, Final

import numpy as np
from numpy.typing import NDArray
from qrcode import base, util
from qrcode.constants import ERROR_CORRECT_M
from qrcode.main import QRCode

from consent.code import LENGTH

VERSION: Final = 7
SIDE: Final = 4 * VERSION + 17
ALPHABET: Final = "0123456789ABCDEFGHIJKLMNOPQRSTUVWXYZ $%*+-./:"

_LEVEL: Final = ERROR_CORRECT_M
_MASKS: Final = 8
_HEAD: Final = 4 + 9  # bits of mode and character count
_DATA: Final = LENGTH // 2 * 11 + LENGTH % 2 * 6  # bits of the text itself
_PROOFS: Final = 3

Modules = NDArray[np.bool_]
Words = NDArray[np.uint64]

_ONE: Final = np.uint64(1)
_WHOLE: Final = np.uint64(2**SIDE - 1)
_BUT_LAST: Final = np.uint64(2 ** (SIDE - 1) - 1)
_VALUES: Final = np.full(256, 255, dtype=np.uint16)
_VALUES[np.frombuffer(ALPHABET.encode(), dtype=np.uint8)] = np.arange(len(ALPHABET), dtype=np.uint16)


def draw(text: str) -> Modules | None:
    """The 45 rows of 45 modules (True is dark) that `qrcode` draws for this text; None where only it can say."""
    bits = _bits(text)
    table = _learnt()
    return None if bits is None or table is None else table.draw(bits)


def _bits(text: str) -> Modules | None:
    """The data bits of a text, without head and padding; None for another length or a foreign character."""
    if len(text) != LENGTH or not text.isascii():
        return None
    values = _VALUES[np.frombuffer(text.encode(), dtype=np.uint8)]
    if values.max() == 255 or values.max() < 10:  # of digits alone qrcode makes another mode
        return None
    pairs = values[: LENGTH - 1 : 2] * 45 + values[1:LENGTH:2]
    eleven = (pairs[:, None] >> np.arange(10, -1, -1, dtype=np.uint16)) & 1
    six = (values[-1:, None] >> np.arange(5, -1, -1, dtype=np.uint16)) & 1
    return np.concatenate((eleven.ravel(), six.ravel())).astype(bool)


@dataclass(frozen=True, slots=True)
class _Table:
    """`adds[bit]` is what a set data bit changes, `drawn[mask]` and `scored[mask]` the symbols without any."""

    adds: Words
    drawn: Words
    scored: Words

    def draw(self, bits: Modules) -> Modules:
        data: Words = np.bitwise_xor.reduce(self.adds[bits], axis=0)
        mask = int(np.argmin(penalties(self.scored ^ data)))  # the first of several, as in qrcode
        return _unpacked(self.drawn[mask] ^ data)


def penalties(symbols: Words) -> NDArray[np.int64]:
    """The penalty points of symbols of 90 words each, counted as `qrcode.util.lost_point` does."""
    rows, light = symbols[:, :SIDE], ~symbols & _WHOLE
    return (
        _runs(symbols)
        + _runs(light)
        + 3 * _count(_blocks(rows))
        + 40 * _count(_finders(symbols, light))
        + _balance(_count(rows))
    )


def _runs(lines: Words) -> NDArray[np.int64]:
    """Length less two for each run of five or more: one point for each window of five in it, and two for the run."""
    five = lines & (lines >> _ONE)
    five &= five >> np.uint64(2)
    five &= lines >> np.uint64(4)
    return _count(five) + 2 * _count(five & ~(five << _ONE))


def _blocks(rows: Words) -> Words:
    """A bit for each 2 by 2 block of one colour."""
    upper, lower = rows[:, :-1], rows[:, 1:]
    alike = ~(upper ^ lower)
    return alike & (alike >> _ONE) & ~(upper ^ (upper >> _ONE)) & _BUT_LAST


def _finders(dark: Words, light: Words) -> Words:
    """A bit where 10111010000 or 00001011101 begins in a row or a column."""

    def at(lines: Words, *places: int) -> Words:
        found = lines >> np.uint64(places[0])
        for place in places[1:]:
            found = found & (lines >> np.uint64(place))
        return found

    both = at(light, 1, 5, 9) & at(dark, 4, 6)
    return both & ((at(dark, 0, 2, 3) & at(light, 7, 8, 10)) | (at(light, 0, 2, 3) & at(dark, 7, 8, 10)))


def _balance(dark: NDArray[np.int64]) -> NDArray[np.int64]:
    percent = dark.astype(np.float64) / SIDE**2
    return (np.abs(percent * 100 - 50) / 5).astype(np.int64) * 10


def _count(words: Words) -> NDArray[np.int64]:
    found: NDArray[np.int64] = np.bitwise_count(words).sum(axis=1, dtype=np.int64)
    return found


# Learning -------------------------------------------------------------------------------------------------


_LEARNING: Final = Lock()


def _learnt() -> _Table | None:
    """The table. The first codes of a process may come all at once; one learns, the others wait for it."""
    with _LEARNING:
        return _table()


@cache
def _table() -> _Table | None:
    """What was learnt; None where it does not draw what `qrcode` draws."""
    size = sum(block.total_count for block in base.rs_blocks(VERSION, _LEVEL)) * 8
    rows, columns = _places(size)
    anchor = _random_text()
    adds = _adds(size)
    bits = _bits(anchor)
    if bits is None:
        return None
    rest = _spread(_codewords(anchor)) ^ np.bitwise_xor.reduce(adds[bits], axis=0)  # head, terminator, padding
    placed = np.zeros((_DATA + 1, SIDE, SIDE), dtype=bool)
    placed[:, rows, columns] = np.concatenate((adds, rest[None, :]))
    words = _packed(placed)
    none = [0] * (size // 8)
    table = _Table(
        adds=words[:-1],
        drawn=_packed(np.stack([_plain(none, mask, test=False) for mask in range(_MASKS)])) ^ words[-1],
        scored=_packed(np.stack([_plain(none, mask, test=True) for mask in range(_MASKS)])) ^ words[-1],
    )
    return table if all(_proved(table, _random_text()) for _ in range(_PROOFS)) else None


def _places(size: int) -> tuple[NDArray[np.intp], NDArray[np.intp]]:
    """Row and column of each bit of the codewords."""
    numbers = np.arange(size)
    empty = _plain([0] * (size // 8), 0, test=False)
    full = _plain([255] * (size // 8), 0, test=False)
    found = np.zeros((SIDE, SIDE), dtype=np.int64)
    for power in range(size.bit_length()):
        numbered = np.packbits((numbers >> power) & 1).tolist()
        found |= (_plain(numbered, 0, test=False) ^ empty).astype(np.int64) << power
    rows, columns = np.nonzero(full ^ empty)
    order = np.argsort(found[rows, columns])
    return rows[order], columns[order]


def _adds(size: int) -> Modules:
    """The bits of the codewords that each bit of the text changes. The blocks are alike, and their bytes take turns."""
    blocks = base.rs_blocks(VERSION, _LEVEL)
    count, length = len(blocks), blocks[0].data_count
    adds = np.zeros((count, length * 8, size), dtype=bool)
    for bit in range(length * 8):
        buffer = util.BitBuffer()
        buffer.buffer = [0] * length
        buffer.buffer[bit // 8] = 128 >> bit % 8
        found = _spread(util.create_bytes(buffer, blocks[:1])).reshape(-1, 8)
        for block in range(count):
            adds[block, bit].reshape(-1, count, 8)[:, block] = found
    return adds.reshape(-1, size)[_HEAD : _HEAD + _DATA]


def _codewords(text: str) -> list[int]:
    found: list[int] = util.create_data(VERSION, _LEVEL, [util.QRData(text)])
    return found


def _spread(codewords: list[int]) -> Modules:
    return np.unpackbits(np.array(codewords, dtype=np.uint8)).astype(bool)


def _plain(codewords: list[int], mask: int, *, test: bool) -> Modules:
    """A symbol of these codewords as `qrcode` draws it; with `test`, as it scores it."""
    symbol: QRCode[Any] = QRCode(version=VERSION, error_correction=_LEVEL)
    symbol.data_cache = codewords
    symbol.makeImpl(test, mask)
    return np.array(symbol.modules, dtype=bool)


def _proved(table: _Table, text: str) -> bool:
    bits = _bits(text)
    symbol: QRCode[Any] = QRCode(version=None, error_correction=_LEVEL)
    symbol.add_data(text, optimize=0)
    symbol.make(fit=True)
    return bits is not None and np.array_equal(table.draw(bits), np.array(symbol.modules, dtype=bool))


def _random_text() -> str:
    return "".join(secrets.choice(ALPHABET) for _ in range(LENGTH))


def _packed(symbols: Modules) -> Words:
    """Rows, then columns, of symbols."""
    weights = _ONE << np.arange(SIDE, dtype=np.uint64)
    both = np.concatenate((symbols, symbols.transpose(0, 2, 1)), axis=1)
    packed: Words = np.matmul(both.astype(np.uint64), weights)
    return packed


def _unpacked(words: Words) -> Modules:
    return ((words[:SIDE, None] >> np.arange(SIDE, dtype=np.uint64)) & _ONE).astype(bool)
