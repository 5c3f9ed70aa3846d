"""Webhooks: a vendor's server is told that a showing has moved, at least once and in order.

    move + event ─▶ spread ─▶ deliveries ─▶ take ─▶ sign ─▶ send ─▶ note
    one commit      one commit: number and        the address is checked     one commit with
                    one row for each endpoint     where the socket opens     the next take

A webhook says that something can be asked about, and nothing about a person. It is signed by Standard Webhooks
(standardwebhooks.com), with `webhook-id` as the name under which a receiver sees a repetition.

address     which addresses may be called, as registered and as resolved
endpoints   who is called where, with which secrets
events      what an event is called and what is sent of it
deliveries  one row for each event and endpoint: taken, noted, sent again, listed
sending     one POST to a checked address
deliver     the process that does it: `wallet-api deliver`
"""
