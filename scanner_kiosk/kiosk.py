"""One kiosk: camera, reader, counter table and desk, tied together by one thread.

`step` does the one thing that the counter's state asks for, and returns:

 1. wipe    what is due to be wiped, and tell the desk of what was wiped
 2. read    WAITING: take the newest frame and read it; a genuine code is a scan. Where the first of two people has agreed,
            look what became of that too
    invite  INVITING: keep a code of our own on the screen, and look whether a phone has read it (`own_code`)
 3. ask     while an answer is waited for: hand the presentation in, then look what became of it (`asking`)
 4. rest    otherwise, until somebody presses a key; while the desk is silent, look every few seconds whether it is back

`run` repeats it. The keys of the page (`start`, `clear`, …; those for somebody without a phone stand in `card_route`) come
from other threads and only change the counter, under one lock; a network call is never made under it. When its answer
arrives after the counter was wiped, it is dropped.

What a picture may do. A text without one of our prefixes is ignored, unless it has the shape of what one of the four apps
draws: that goes to the desk, which asks the app, when two frames say the same. One with our prefix whose signature does not
hold is shown as such, likewise after two frames: a misread symbol is never misread twice in the same way. Whether a genuine
code is in time, unused and newest is the desk's word, not ours. Where the desk cannot be reached, `offline` says what may be
said of a code, and nothing goes on later by itself.

The log tells of each scan how easily it was read, and never the text.
"""

from __future__ import annotations

from collections import deque
from collections.abc import Callable, Mapping, Sequence
from contextlib import suppress
from datetime import datetime, timedelta
from functools import partial
from threading import Condition, Event
from typing import Any, Final

from consent.b64 import digest_of, new_id
from consent.clock import Clock, shanghai_date
from consent.code import read_name
from consent.errors import Reason, Refusal, Unavailable, outcome_of
from consent.keylist import KeyList
from consent.people import CitizenId
from consent.telling import Log
from scanner_kiosk.asking import code_in, inquire, presentation
from scanner_kiosk.camera import Latest, Posted, Source
from scanner_kiosk.card_route import CardRoute, file_of
from scanner_kiosk.cards import Card
from scanner_kiosk.chosen import Chosen, Window, case_number_of, ticked, two_people
from scanner_kiosk.counter import ASKING, Case, Counter, Guidance, Sighting, sight
from scanner_kiosk.decode import Reader
from scanner_kiosk.devices.desk_scanner import DeskScanner
from scanner_kiosk.glance import Glance
from scanner_kiosk.look import dark, guide, look, margin_of, preview
from scanner_kiosk.offline import Finding, Offline, Place
from scanner_kiosk.own_code import Claimed, come, drawing, take_back, tend
from scanner_kiosk.province_client import ProvinceClient
from scanner_kiosk.visit import Asked, say
from scanner_kiosk.ways import Half, Heard

_FRAME_S: Final = 0.25  # how long one step waits for a frame, and so how late a key is noticed
_REST_S: Final = 0.25
_LOOK_S: Final = 0.5  # between two looks for a phone that has read our code
_BACK_EVERY: Final = timedelta(seconds=5)  # between two looks whether a silent desk is back
_FIRST_EVERY: Final = timedelta(seconds=1)  # between two looks at the first of two people
_TRIES: Final = 3  # of a call that got no answer, before the screen says so
_BACKOFF_S: Final = 0.4
_FOREIGN_FOR: Final = timedelta(seconds=3)


class Kiosk:
    """One kiosk. All verbs but `step` and `run` may be called from any thread."""

    def __init__(
        self,
        *,
        windows: Sequence[Window],
        keylist: KeyList,
        clock: Clock,
        log: Log,
        open_camera: Callable[[str], Source],
        camera: str,
        offline: Offline,
        cards: Sequence[Card] = (),
    ) -> None:
        if not windows:
            raise ValueError("a kiosk without a window")
        self.windows = {window.id: window for window in windows}
        self.cards = {card.id: card for card in cards}
        self.card_route = CardRoute(press=self._press, cards=self.cards, clock=clock)
        self.keylist = keylist
        self.offline = offline
        self._clock, self._log = clock, log
        self._open_camera = open_camera
        self._changed = Condition()
        self._stopping = Event()
        self._counter = Counter()
        self._chosen = Chosen(window=windows[0])
        self._covered = False
        self._to_forget: deque[tuple[Callable[[str], None], str, int]] = deque()
        self._reader = Reader()
        self._seq = 0
        self._sighting: Sighting | None = None
        self._bad: tuple[str, Reason] | None = None
        self._foreign_at: datetime | None = None
        self._heard_at: datetime | None = None
        self._silent = False
        self._back_at: datetime | None = None
        self._first_at: datetime | None = None
        self.scanner: DeskScanner | None = None
        self._source = open_camera(camera)
        self._camera, self.camera_name = Latest(self._source), camera
        self._camera.start()

    # --- the thread -------------------------------------------------------------------------------

    def run(self) -> None:
        """Until `stop`."""
        while not self._stopping.is_set():
            try:
                self.step()
            except (Refusal, Unavailable) as problem:
                self._log.warning("step", code=problem.reason, why=problem.detail)
            except Exception as fault:
                # A thread that dies silently would leave a counter that looks alive.
                self._log.error("fault", exc_info=fault)
                self._stopping.wait(_REST_S)

    def listen_to(self, scanner: DeskScanner) -> None:
        """Begin to hear a desk scanner, until `stop`."""
        self.scanner = scanner
        scanner.start()

    def stop(self) -> None:
        """End `run`, let go of camera and scanner, forget everything."""
        self._stopping.set()
        if self.scanner is not None:
            self.scanner.stop()
        self.clear()
        self.forget()
        self._camera.stop()

    def step(self) -> None:
        """The next thing to do."""
        counter = self.counter()  # 1
        self.forget()
        if counter.state == "WAITING":
            self._look_at_first(counter)
            self._read()  # 2
        elif counter.state == "INVITING":
            self._invite(counter)
        elif counter.state in ASKING:
            self._ask(counter)  # 3
        else:
            self._look_for_desk()  # 4
            self._rest(counter, _REST_S)

    def _rest(self, counter: Counter, seconds: float) -> None:
        with self._changed:
            self._changed.wait_for(lambda: self._counter is not counter or self._stopping.is_set(), seconds)

    # --- reading ----------------------------------------------------------------------------------

    def _read(self) -> None:
        camera = self._camera
        frame = camera.newest(after=self._seq, timeout_s=_FRAME_S)
        if frame is None:
            return
        self._seq = frame.seq
        now = self._clock.now()
        glance = Glance(self.keylist.ring, now)
        read = self._reader.read(frame.image, accept=glance) if frame.seen is None else filter(glance, frame.seen.texts)
        texts = list(read)
        if texts:
            self._bad, text = None, glance.first(texts)
            signed = text not in glance.unsigned
            self._sighting, new = sight(digest_of(text.encode()), self._sighting, now=now, signed=signed)
            if new:
                margin = margin_of(frame.image, text) if frame.seen is None else frame.seen.margins[text]
                self._scan(text, (margin or {"repaired": True}) | {"signed": signed})
            return
        if glance.foreign:
            self._foreign_at = now
        if glance.bad is not None and glance.bad == self._bad:
            self._refuse_text(glance.bad, now)
        self._bad = glance.bad

    def _scan(self, text: str, how: Mapping[str, Any]) -> None:
        with self._changed:
            client, case, second = self._chosen.window.client, self._counter.case, self._counter.second
        if case is None:
            return
        asked = presentation(client, case, text, second=second)
        self._log.info("scan", request_id=asked.request_id, **how)
        with self._changed:
            now = self._counter
            if now.state == "WAITING" and now.case is case and now.second is second:
                self._put(now.scanned(asked))

    def _refuse_text(self, bad: tuple[str, Reason], now: datetime) -> None:
        digest, reason = bad
        self._sighting, new = sight(digest, self._sighting, now=now)
        if not new:
            return
        self._log.info("scan", code=reason)
        found = self.offline.refused(new_id(), reason, self._place(), now=now) if self._silent else None
        reason, check = (reason, None) if found is None else (found.reason, found.check)
        with self._changed:
            if self._counter.state == "WAITING":
                self._put(self._counter.failed(say(reason), outcome_of(reason), now=now, check=check))

    # --- inviting ---------------------------------------------------------------------------------

    def _invite(self, counter: Counter) -> None:
        client, case, now = self._chosen.window.client, counter.case, self._clock.now
        if case is None:
            return
        try:
            found = tend(
                client, counter.invited, lambda: presentation(client, case, None), self.keylist.ring, self._clock
            )
        except Refusal as no:
            self._heard()
            self._log.info("invite", code=no.reason, why=no.detail)
            said, outcome = say(no.reason, no.facts), outcome_of(no.reason)
            self._change(counter, lambda it: it.failed(said, outcome, now=now()))
            return
        except Unavailable as problem:
            # Nothing is lost: whoever came meanwhile is found when the desk is back.
            self._lost()
            self._log.info("invite", code=problem.reason, why=problem.detail)
            self._rest(counter, _BACKOFF_S)
            return
        self._heard()
        if isinstance(found, Claimed):
            self._claimed(counter, found)
        elif found != counter.invited:
            self._change(counter, lambda it: it.inviting(*found))
        else:
            self._rest(counter, _LOOK_S)

    def _claimed(self, counter: Counter, found: Claimed) -> None:
        self._log.info("claimed", request_id=found.asked.request_id)
        self._change(counter, lambda it: it.claimed(found.asked, found.view, now=self._clock.now()))

    def _change(self, counter: Counter, change: Callable[[Counter], Counter]) -> None:
        """Unless somebody has pressed a key meanwhile."""
        with self._changed:
            if self._counter is counter:
                after = change(counter)
                self._put(after)
                if after.state != "INVITING":
                    self._forget_codes(counter, but=after.asked)

    def _forget_codes(self, counter: Counter, *, but: Asked | None = None) -> None:
        """Under the lock. For a phone that comes with one of these codes nobody looks: so none may come."""
        tell = partial(take_back, self._chosen.window.client)
        for each in counter.invited:
            if each.asked is not but:
                self._to_forget.append((tell, each.asked.request_id, _TRIES))

    # --- asking -----------------------------------------------------------------------------------

    def _ask(self, counter: Counter) -> None:
        asked, client = counter.asked, self._chosen.window.client
        if asked is None:
            return
        started = self._clock.now()
        try:
            heard = self._call(client, asked, counter)
        except (Refusal, Unavailable) as failure:
            self._log.info("answer", request_id=asked.request_id, code=failure.reason, why=failure.detail)
            if failure.reason is Reason.SECOND_OFFICER_MISSING:
                self._apply(asked, Counter.officer_missing)
                return
            self._failed(asked, failure, self._alone(counter, asked, failure, started))
            return
        if heard is None:
            return  # wiped while nobody answered
        self._apply(asked, lambda it: it.heard(heard, now=self._clock.now()))
        if heard.view is counter.view and self._clock.now() - started < timedelta(seconds=_REST_S):
            self._rest(counter, _REST_S)  # a desk that does not hold polls must not be asked all the time

    def _alone(self, counter: Counter, asked: Asked, failure: Refusal | Unavailable, now: datetime) -> Finding | None:
        """What may be said without the desk, where it was never heard of this code."""
        text = code_in(asked)
        if failure.reason is not Reason.OFFLINE or counter.view is not None or text is None:
            return None
        return self.offline.check(asked.request_id, text, self.keylist.ring, self._place(), now=now)

    def _failed(self, asked: Asked, failure: Refusal | Unavailable, found: Finding | None) -> None:
        reason, facts = (failure.reason, failure.facts) if found is None else (found.reason, found.facts)
        said, outcome, check = say(reason, facts), outcome_of(reason), None if found is None else found.check
        self._apply(asked, lambda it: it.failed(said, outcome, now=self._clock.now(), check=check))

    def _place(self) -> Place:
        client, case = self._chosen.window.client, self._counter.case
        return Place(province=client.province, window=client.window, matter="" if case is None else case.matter)

    def _call(self, client: ProvinceClient, asked: Asked, counter: Counter) -> Heard | None:
        """One look, repeated while there is no answer: the same bytes, under a new proof."""
        for left in reversed(range(_TRIES)):
            try:
                heard = inquire(client, counter, asked)
            except Unavailable as failure:
                self._unavailable(failure)
                if failure.reason is not Reason.OFFLINE or not left:
                    raise
                self._rest(counter, _BACKOFF_S)
                if self._counter.asked is not asked or self._stopping.is_set():
                    return None
            except Refusal:
                self._heard()
                raise
            else:
                self._heard()
                return heard
        return None

    def _look_at_first(self, counter: Counter) -> None:
        """The first of two people has agreed; should that come to nothing, nobody waits for the second."""
        first, now = counter.first, self._clock.now()
        if first is None or (self._first_at is not None and now - self._first_at < _FIRST_EVERY):
            return
        self._first_at = now
        try:
            view = self._chosen.window.client.visit(first.asked.request_id, known=first.view, wait_s=0)
        except (Refusal, Unavailable) as problem:
            self._unavailable(problem)
            self._log.info("first", request_id=first.asked.request_id, code=problem.reason)
            return
        self._heard()
        with self._changed:
            if self._counter.state == "WAITING" and self._counter.first is first:
                self._put(self._counter.first_ended(view, now=self._clock.now()))

    def _look_for_desk(self) -> None:
        """Step 4: the banner of a silent desk goes by itself, and nothing else happens by that."""
        now = self._clock.now()
        if not self._silent or (self._back_at is not None and now - self._back_at < _BACK_EVERY):
            return
        self._back_at = now
        with suppress(Refusal, Unavailable):
            self._register(self._chosen.window.client)

    def _heard(self) -> None:
        self._heard_at, self._silent = self._clock.now(), False
        self.offline.heard(self._heard_at)

    def _unavailable(self, problem: Refusal | Unavailable) -> None:
        """No answer from the desk itself, or the desk's word that somebody behind it gives none."""
        if problem.reason is Reason.OFFLINE:
            self._lost()
        else:
            self._heard()

    def _lost(self) -> None:
        self._silent, self._back_at = True, self._clock.now()
        self.offline.lost(self._back_at)

    def _apply(self, asked: Asked, change: Callable[[Counter], Counter]) -> None:
        with self._changed:
            if self._counter.asked is asked and self._counter.state in ASKING:
                self._put(change(self._counter))

    def forget(self) -> None:
        """Tell desks of the visits whose copies were wiped here. What cannot be told soon is let go: the desk forgets too."""
        while self._to_forget:
            tell, request_id, left = self._to_forget.popleft()
            try:
                tell(request_id)
            except Refusal as no:
                self._log.info("clear", request_id=request_id, code=no.reason)
            except Unavailable as problem:
                if left and not self._stopping.is_set():
                    self._to_forget.append((tell, request_id, left - 1))
                self._log.info("clear", request_id=request_id, code=problem.reason)
                return

    # --- the keys ---------------------------------------------------------------------------------

    def choose(
        self,
        *,
        province: str | None = None,
        window: str | None = None,
        matter: str | None = None,
        type_: str | None = None,
        camera: str | None = None,
    ) -> None:
        """Choose a window, a matter with its type, a camera; what is None stays. Only between two citizens.

        Refusal WINDOW_UNKNOWN, MATTER_UNKNOWN, CERTIFICATE_TYPE_NOT_ALLOWED, STATE_FORBIDS; Unavailable where the desk
        does not give its register; ValueError for a camera that is none.
        """
        if self.counter().state != "IDLE":
            raise Refusal(Reason.STATE_FORBIDS, detail="somebody is being served")
        chosen = self._chosen
        if province is not None or window is not None:
            found = self.windows.get((province or "", window or ""))
            if found is None:
                raise Refusal(Reason.WINDOW_UNKNOWN, detail="not a window of this kiosk")
            chosen = Chosen(window=found)
        if chosen.register is None:
            chosen = Chosen(window=chosen.window, register=self._register(chosen.window.client))
        if matter is not None:
            chosen = Chosen(window=chosen.window, register=chosen.register, matter=matter, type=type_)
            chosen.row()
        if camera is not None and camera != self.camera_name:
            self._change_camera(camera)
        with self._changed:
            if self._counter.state != "IDLE":
                raise Refusal(Reason.STATE_FORBIDS, detail="somebody is being served")
            self._chosen = chosen
            self._put(Counter(version=self._counter.version + 1))

    def start(
        self,
        *,
        case_number: str,
        id_number: str | None = None,
        card: str | None = None,
        preconditions: Sequence[str] = (),
        partner: str | None = None,
        partner_card: str | None = None,
    ) -> None:
        """The case is ready. `id_number` as typed, or `card` from the simulated reader; the same of the `partner` where two
        people have come together. Refusal where something is missing, STATE_FORBIDS for a matter that takes one person,
        COUPLE_MISMATCH for one person twice."""
        now = self._clock.now()
        together = bool(partner or partner_card)
        with self._changed:
            matter, number = self._chosen.row(), case_number_of(case_number)
            ticks = ticked(matter, preconditions)
            person = self._person(id_number, card, needed=together or bool(matter["holder_match"]), now=now)
            other = self._person(partner, partner_card, needed=True, now=now) if together else None
            case = Case(
                matter=matter["slug"],
                type=str(self._chosen.type),
                case_number=number,
                cause=matter["name_zh"],
                preconditions=ticks,
                person=person,
                partner=None if other is None else two_people(matter, person, other),
                couple=new_id() if together else None,
            )
            self._put(self._counter.started(case))

    def clear(self) -> None:
        """Wipe."""
        with self._changed:
            self._wipe()

    def typed(self, text: str) -> None:
        """What somebody typed, or a desk scanner sent as a keyboard, in place of what the camera reads.

        A slip in a twin is said at once (TWIN_MISTYPED); any other text goes on to the desk, which knows more kinds than we
        do. STATE_FORBIDS where no code is waited for, CODE_MALFORMED for nothing at all.
        """
        if not text.strip():
            raise Refusal(Reason.CODE_MALFORMED, detail="nothing was typed")
        try:
            name = read_name(text)
        except Refusal as no:
            if no.reason is Reason.TWIN_MISTYPED:
                raise
            form = "other"
        else:
            text, form = name.text, name.form.value
        if self.counter().state != "WAITING":
            raise Refusal(Reason.STATE_FORBIDS, detail="no code is waited for")
        self._scan(text, {"typed": form})

    def keep(self) -> None:
        """Half a minute more."""
        with self._changed:
            self._put(self._counter.kept(now=self._clock.now()))

    def invite(self) -> None:
        """A code of our own on the screen, for the phone to read. Refusal STATE_FORBIDS where no code is waited for."""
        with self._changed:
            if self._counter.state == "INVITING":
                return  # the key was pressed twice
            if self._counter.case is not None and self._counter.case.couple is not None:
                raise Refusal(Reason.STATE_FORBIDS, detail="a code of our own is for one person")
            self._put(self._counter.inviting())

    def code(self) -> tuple[str, bytes]:
        """The text of our own code and its drawing; Refusal STATE_FORBIDS while none is shown."""
        shown = self.counter().own_code
        if shown is None:
            raise Refusal(Reason.STATE_FORBIDS, detail="no code is shown")
        return shown.text, drawing(shown.text)

    def again(self) -> None:
        """Another code for the same case. Whoever has read our own code in this very moment is not sent away for it."""
        counter = self.counter()
        found = self._look_once_more(counter)
        if found is not None:
            self._claimed(counter, found)
            return
        with self._changed:
            before = self._counter
            self._put(before.rescan(new_id()))
            self._let_go(before, keep=self._counter.first)

    def _look_once_more(self, counter: Counter) -> Claimed | None:
        for each in counter.invited:
            try:
                view = come(self._chosen.window.client, each)
            except (Refusal, Unavailable) as problem:
                self._log.info("invite", code=problem.reason, why=problem.detail)
                return None
            if view is not None:
                return Claimed(asked=each.asked, view=view)
        return None

    def retry(self) -> None:
        """The same question once more."""
        with self._changed:
            self._put(self._counter.retried())

    def evidence(self) -> bytes:
        """The file for the unit of what was signed; Refusal STATE_FORBIDS while nothing was."""
        return file_of(self.counter())

    def cover(self, covered: bool) -> None:
        """Hide everything about the person at the counter, or show it again."""
        with self._changed:
            self._covered = covered
            self._changed.notify_all()

    def post_frame(self, picture: bytes) -> None:
        """A picture from the browser's camera; Refusal STATE_FORBIDS where another camera is chosen, PICTURE_UNREADABLE,
        TOO_MANY; Unavailable where no process for reading it can be had."""
        source = self._source
        if not isinstance(source, Posted):
            raise Refusal(Reason.STATE_FORBIDS, detail="the browser's camera is not chosen")
        source.put(picture)

    # --- what is seen -----------------------------------------------------------------------------

    def counter(self) -> Counter:
        """The counter now; wiped first if that is due, whatever the thread is doing."""
        with self._changed:
            if self._counter.due(now=self._clock.now()):
                self._wipe()
            return self._counter

    @property
    def chosen(self) -> Chosen:
        """What the officer has chosen."""
        return self._chosen

    @property
    def covered(self) -> bool:
        """Whether the screen is covered."""
        return self._covered

    @property
    def heard(self) -> tuple[datetime | None, bool]:
        """When the desk last spoke, and whether it is silent now."""
        return self._heard_at, self._silent

    def seen(self) -> tuple[bytes, Guidance]:
        """The preview (b"" without a camera) and the line of advice. For one thread at a time."""
        frame = self._camera.newest()
        if frame is None:
            return b"", Guidance.NO_CAMERA
        found = frame.seen
        symbols = look(frame.image) if found is None else found.symbols
        advice = guide(symbols, height=frame.image.shape[0], dark=dark(frame.image) if found is None else found.dark)
        if self.counter().state != "WAITING":
            advice = Guidance.PAUSED
        elif advice is Guidance.HOLD_IN and self._foreign():
            advice = Guidance.NOT_OURS
        return preview(frame.image, symbols) if found is None else found.preview, advice

    def _foreign(self) -> bool:
        return self._foreign_at is not None and self._clock.now() - self._foreign_at < _FOREIGN_FOR

    # --- inside -----------------------------------------------------------------------------------

    def _change_camera(self, name: str) -> None:
        source = self._open_camera(name)
        self._camera.stop()
        self._source, self.camera_name = source, name
        self._camera, self._reader, self._seq = Latest(source), Reader(), 0
        self._camera.start()

    def _register(self, client: ProvinceClient) -> Mapping[str, Any]:
        try:
            found = client.register()
        except Unavailable:
            self._lost()
            raise
        self._heard()
        return found

    def _person(self, id_number: str | None, card: str | None, *, needed: bool, now: datetime) -> CitizenId | None:
        if card is not None:
            if card not in self.cards:
                raise Refusal(Reason.ID_NUMBER_MALFORMED, detail="no such card in the reader")
            return self.cards[card].person
        if id_number:
            return CitizenId.parse(id_number, today=shanghai_date(now))
        if needed:
            raise Refusal(Reason.HOLDER_MATCH_MISSING, detail="no card, no number")
        return None

    def _press(self, change: Callable[[Counter, Window], Counter]) -> None:
        with self._changed:
            self._put(change(self._counter, self._chosen.window))

    def _put(self, counter: Counter) -> None:
        """Under the lock."""
        self._counter = counter
        self._changed.notify_all()

    def _wipe(self) -> None:
        """Under the lock."""
        self._let_go(self._counter)
        self._sighting = self._bad = self._foreign_at = None
        self._covered = False
        self._put(self._counter.cleared())

    def _let_go(self, counter: Counter, *, keep: Half | None = None) -> None:
        self._forget_codes(counter)
        first = counter.first if keep is None else None
        for view in (counter.view, None if first is None else first.view):
            if view is not None:
                self._to_forget.append((self._chosen.window.client.clear, view.request_id, _TRIES))
