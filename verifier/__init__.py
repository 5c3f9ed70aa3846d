"""The verifier: checks a code, asks the citizen, fetches the certificate. The inner network of one province, or the exchange.

One visit, and where each step is written:

 1. a kiosk presents a code            `doors.counters` → `desk.present`       D1: the request is sealed and stored
 2. the code's province claims it      `peers` → `consents.claim`              C1: one counter, one showing
 3. the citizen answers on the phone   `work` → `consents.approve`             C2: the consent token is sealed
 4. the desk asks the library          `desk.consent_arrived` → `peers.fetch`  L1: consent spent, copy sealed
 5. the desk admits the copy           `desk.copy_arrived`                     D2: shown, with three receipts

Between provinces there is only the exchange (`exchange`), which carries letters and can open none. The rules themselves
(`admit`, `matters`, `library.disclosure`) touch nothing: no database, no network, no clock. Every step is one local
transaction with its ledger entry and its letter in it, so that a crash between two steps leaves a question that can be
asked again and never half an answer.

`office` is what a province holds, `work` what it does while nobody waits on the line, `doors` who may ask it for what.
"""
