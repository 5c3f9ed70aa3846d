"""What is remembered: truth in SQL, hints in Redis.

Truth is what decides: that a code was claimed, a document used, an errand answered. It stands in SQL, and
it is the database that refuses the second one (a primary key, a partial unique index, a conditional
UPDATE), never a look followed by a write. Nobody is answered before the commit.

Hints only make things quicker: "look again, row N changed". They go through Redis. Every hint may be late,
doubled or lost; whoever waits for one looks in SQL when it comes, when it does not come, and before it
starts to wait. Losing Redis therefore slows the counters by half a second and changes no outcome. Redis was
measured to lose 60 % of used codes in one failover; that is why nothing here asks it whether something was
used.

How a change travels between the two networks of a province:

1. One room writes its row and an errand (`queue.put`) in one transaction (`base.writing`).
2. After the commit it hints (`signals.notify`).
3. A worker of the other room wakes, by the hint or by its poll, and leases the errand (`queue.take`).
4. It acts, and writes the answer with `queue.finish`; a worker that was asleep past its lease is refused
   there.
5. It hints back; the first room looks (`queue.answer_of`).

A crash between any two of these loses at most time: the errand is taken again when its lease ends.
Therefore every errand must be safe to do twice.

engines     how SQLite and PostgreSQL are opened
base        transactions on both databases, and the two ways to fail
migrations  one Alembic history and one version table per owner; several owners may share a database
queue       leased rows: errands between the networks, documents that wait to be sent
handover    the tables that the outer network shares with the inner one
signals     wake-ups over Redis
valkey      the embedded Redis
"""
