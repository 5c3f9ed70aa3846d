"""The provincial e-certificate library: what was registered here, and how much of it may go out.

`certificate`  what a certificate says, and the rules that its parts must keep (pure)
`disclosure`   from a certificate and a list of allowed fields to the annotated copy's text, and not one field more (pure)
`register`     the library database: holdings, **L1** (spend a consent and seal a copy), withdrawal, acknowledgement
`issuing`      how certificates get in, and how their status changes

A library answers for registrations that it holds. "Not found" here is never "unmarried": files without an 18-digit number
were never digitised (A33), and a court may have ended a marriage that this library still shows; hence `status_as_of`.
Only the holder's own certificate is ever given out (A06): each party has a certificate of their own.
"""
