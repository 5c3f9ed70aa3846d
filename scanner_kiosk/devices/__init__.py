"""The devices of a counter that speak for themselves: card reader, signature pad, person-ID matcher.

Each has a key of its own, enrolled with its window, and signs what it has seen (`consent.card`): neither the kiosk nor the
officer can claim that a card was read or that somebody has signed. The real ones keep the key inside and come with drivers
of their makers; those are not to be had here, so `simulated` has stand-ins that say so.

A desk scanner has no key and proves nothing: it reads a code as the camera does (`desk_scanner`).
"""
