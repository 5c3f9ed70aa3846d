"""wallet_api: what the four apps talk to. It shows codes and carries answers; it decides nothing about anybody.

One process a province, in the outer network. It holds the code key, with which it can make a code, and no key
that could ask for, agree to, or open a certificate.

A visit, seen from here:

1. An app's server gets a token (`vendors`) and opens a showing with the login assertion of a person
   (`showings.open`). The person's name and number are in an envelope that only the inner network opens.
2. The phone asks for the code every 30 seconds (`showings.code`). A code is made from the row and the time;
   making one writes nothing.
3. A counter scans it. What happens then happens in the inner network, which moves the row on; the phone sees it
   by polling (`showings.state`), and nobody's thread waits.
4. The phone shows the sheet (`showings.sheet`) and sends what its device key signed (`showings.approve`). The
   signature is checked here for the sake of a quick answer, and again in the inner network, which trusts no row.
5. The result, the receipt and a withdrawal go the same ways.

settings  app  __main__      how it starts: one parts list
showings  picture            the use cases, without HTTP · the code as PNG and SVG
vendors/  limits             who may call, how often, and the same answer to the same question
webhooks/                    what vendors are told of a showing, and that they get it
doors/                       HTTP by audience
description                  the description of the interface as a file, the same wherever it is made
conformance/                 a vendor's back end checked by running it
sandbox  personas            login and vendor played by hand, and the invented people
vendor_migrations/           the history of the vendors' tables
"""
