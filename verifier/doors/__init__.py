"""HTTP by audience: `counters` for kiosks, `letters` for the exchange and the provinces, `operations` and `description`.

A door turns bytes into a value, asks one use case, and turns what comes back into bytes. It decides nothing. Every route
names its guard (`guards`); every failure is a problem document with a code, two languages and the next step (`problems`).
The frame around each request (id, body, headers, one log line) is the same as wallet_api's and stands here again, because
the two services share no web framework: what they share, the words of every failure, is `consent.telling`.
"""
