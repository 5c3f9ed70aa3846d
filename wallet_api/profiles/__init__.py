"""How each app does things its own way, so that nothing else has to know.

Two habits differ from app to app, and nothing more:

  login    how a citizen is known when the app opens our page: a ticket, a token, a bridge. An adapter turns it into the
           one thing that the rest understands, the login assertion (`holder+jwt`), which the app's own side seals.
  counter  which string the app's own counter page draws. Where it is not our code, an adapter asks the app's server
           which showing of ours it stands for.

Rule 1: the core (consent, verifier, the rest of wallet_api) never imports this package; it is plugged in from outside. An
        import contract in setup.cfg holds that.
Rule 2: an adapter says no in our words (`Refusal`), and "no answer" for all that it cannot read (`Unavailable`).
Rule 3: an app names a showing and never more. Who may see what is settled as for every other showing: the device signs, the
        inner network checks. So the worst that a lying app can do is to show another of its own citizens' phones, who is
        then asked on that phone, and whom the holder match at the counter refuses.
Rule 4: a person's name or number that an app sends along, masked or not, is dropped here.

`port` says what an adapter is. One file for each app; `gateway` is the signature scheme of one of them, `accounts` what an app
has given us, `ways` how its server is reached. `door` is the process in which a province's inner network finds them.
`simulators` imitates the apps' servers for the sandbox and tests, because none of the four publishes an open interface.
What is known of each and what is invented stands in docs/profiles.md.
"""
