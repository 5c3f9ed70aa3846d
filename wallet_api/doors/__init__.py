"""The doors: HTTP, and nothing but HTTP.

A blueprint for each audience: `vendors` for the apps' servers, `operations` for those who run the service,
`documents` for whoever reads the interface, `sandbox` for whoever tries it out. A door turns a request into a call of a use
case and its value into an answer. It decides nothing.

What all doors share stands in small files:

frame     around every request: its id, the size and kind of its body, safe headers, one log line, two metrics
problems  every failure as an RFC 9457 problem, also those that Flask and flask-smorest raise by themselves
guards    who may enter. Every route names its guard, `requires_nothing` included; a route without one stops
          the start of the service
causes    why each reason comes about and what a vendor does then, for the pages behind the problems
paging    pages that hang together by cursors
says      which noes an operation may answer, for the description of the interface
schemas   the bodies

The order around a request: 1. id · 2. kinds of body and answer · 3. body read · 4. guard · 5. limits ·
6. schema · 7. the use case · 8. headers, log line, metrics.
"""
