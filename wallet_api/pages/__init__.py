"""The phone of the four apps, played: a simulator for the sandbox, and it says so on every page.

In life three parties stand where this room stands, and none of them is ours:

    the app's login     knows who the citizen is and seals `holder+jwt`          login.py
    the app's backend   calls our interface for a signed-in citizen              backend.py, sessions.py
    the device          holds a key that nobody else has, and signs the answer   static/device.js

They are kept apart here as well. The device key is made in the browser and cannot leave it, so this server could not
write an approval if it wanted to; the backend calls the same use cases as the vendors' door (`wallet_api.showings`) and
gets the same refusals; names and ID numbers stay with the login, and a page sees a masked name.

A visit on the phone, by page and address:

1. `/phone/`              choose a persona; the browser makes or finds its key and signs in (`api/login`)
2. `/phone/certificates`  who holds what (`api/certificates`)
3. `/phone/show`          open a showing (`api/show`), draw the code (`api/code`), ask again when the server says so; or
                          read out twelve digits (`api/twin`), or read the counter's own code (`api/counter`)
                          or agree beforehand for one counter (`api/offer`, `api/standing`)
4. the same page          polls `api/state`; a counter has asked: the sheet (`api/sheet`), answered by `api/approval`
5. the same page          the result, the receipt (`api/receipt`), the withdrawal (`api/withdraw`)
6. `/phone/history`       who asked about this persona's certificates, in all four provinces (`api/history`); an entry with
                          its receipt; an objection (`api/objection`)

Pages are Jinja and plain modules without a build step; the policy forbids inline script and style. Whatever people
read stands in texts.zh-CN.json and texts.en.json, or in `consent.sentences` for a Reason.

words      the two dictionaries, and what a citizen does next for each Reason
"""

from wallet_api.pages.phone import phone_blueprint

__all__ = ["phone_blueprint"]
