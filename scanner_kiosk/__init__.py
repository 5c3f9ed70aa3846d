"""The counter: sees a code, shows an answer.

A citizen holds a phone over a window. What happens here, in this order:

1. **Catch.** `camera` owns the device in one thread and keeps only the newest frame. A queue would show the
   past: two seconds of stale frames are two seconds in which a code expires.
2. **Read.** `decode` turns a frame into texts, or into nothing. It has a budget of CPU time per frame and
   spends the little that an empty counter needs. A text is what a picture says, never more: whether it is a
   code of ours, and whether it is signed, in time and unused, is judged elsewhere.
3. **Ask.** A text of the right shape goes to the desk of this window's own province, with the matter and the
   request id.
4. **Show.** The answer is shown, and cleared. Nothing that was seen outlives the visit.

Pictures are hostile. Whoever can hold a sheet of paper in front of the glass, or post a frame to the kiosk's
own page, chooses every byte; so all that a picture can do is to be read, or to be refused, within its budget.

There is not always a camera. Still pictures, videos, the frames of a browser and a simulated phone come
through the same port as a webcam, so that the demo, the tests and the counter run the same code. `scene`
draws the simulated phone.

This room stands on top: it may import every other, and no other imports it.
"""
