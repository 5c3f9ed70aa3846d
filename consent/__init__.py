"""consent: the vocabulary. What was agreed, how it is sealed, what is remembered.

Two services share this room and never import each other: `wallet_api` shows, `verifier` checks and fetches.
What both must understand in the same way is said here once: what a code is, what may be asked, what the
device signed, what a consent token allows. There is no Flask, no HTTP client and no settings file here, and
hardly any IO: almost everything is a value, or a function from values and one instant to a value or a
`Refusal`.

The sentence that everything serves: *a citizen shows a code, is asked by a named counter for named fields of
one certificate for one matter, agrees once, and everybody can later prove it.* Read the floors from below;
each imports only from those under it.

1. **Words.** `errors` (why not: Reason, Refusal, Unavailable), `sentences` (what people then read), `clock`
   (time is an argument), `provinces` and `divisions` (the country as data), `people` and
   `certificate_numbers` (numbers and names that have passed their checks).
2. **Seals.** `keys` binds each key to one province and one kind of document, `keylist` tells everybody which
   keys count, `seal` closes and opens documents under one strict profile, `envelope` hides a payload from
   all but one recipient. A document that opens has been checked; there is no other way to get its content.
3. **Documents**, in the order of a visit. `code` and `showing` (the QR text and the seconds that it lives),
   `window` (which counter speaks), `request` (what is asked), `approval` (what the device signed), `grant`
   (the consent token), `holding`, `annotated_copy` and `answer` (what a library says), `receipt` (what
   stays).
4. **Rules of movement.** `states` holds showing, consent and claim as tables; a move that is not in the table
   does not exist. `ledger` chains the acts so that none can be dropped or reordered unseen.
5. **Edges.** `transport` is the port through which provinces speak, `stores` the hand-over tables and
   signals, `starting` how a process reads its settings and ends. They alone touch the world, and judge nothing.

Why one room: a rule that both services kept in their own words would drift, and the drift would be a consent
that one side believes in and the other does not.
"""
