"""wallet-api conformance: does a vendor's back end do what it must? Found out by running it, not by reading it.

The back end under test is the real one, in a test build that also has the few addresses of docs/conformance.md. The kit
stands on both of its sides:

1. `province` founds a real wallet_api on loopback, with keys and people that live as long as the run. The inner network
   behind it is played by hand: it is a simulator, and writes what `verifier work` would write.
2. `tap` stands in front of that wallet_api. It keeps every call that the back end makes and, when told to, answers in its
   place, breaks the line, or changes an answer on its way.
3. `phone` speaks to the back end as the citizen's phone does, and signs what only a phone can sign.
4. `scenes` lead all of them through showings, refusals, silences and webhooks, one after the other; `run` has the steps that
   they share, and keeps what was found.
5. `judging` looks at what was kept and says for each check whether it held, without touching anything.
6. `report` prints it. `checks.json` is the list: each check with the clause it comes from and its words in two languages.

A check that nothing was seen of is "not run", which is not a pass: a run is good only if every check passed.

The kit never sleeps for a condition; where time must pass (a code's half minute, a Retry-After) its `Pace` lets it pass, in
life by sleeping and in tests by moving the one clock that the back end has too.
"""
