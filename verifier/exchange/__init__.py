"""The exchange (长三角数据共享交换平台): a pipe between provinces that counts, and that supervision can close.

Provinces never speak to each other directly. A letter goes up to the exchange and from there, within the same call, down
to the province that it names; the sender hears "accepted" only after the destination has committed it. So there is no
queue here that could be lost or read, and nobody's letter waits behind another's. Who wants an answer gets it as a letter
of its own, later.

What the exchange knows of a letter is what `consent.transport.Letter` shows outside its envelope: from, to, topic, unit,
matter, request id; and its size. It holds no key that opens an envelope and none that seals a document (T13). If it
altered a letter, the envelope would not open; if it swallowed one, the sender would ask again and then say so.

 1. sender       the name on the wire's certificate is the letter's sender, or it is refused
 2. destination  one of the provinces
 3. channel      for a letter that fetches: (desk, library) is open, or it is refused with the notice's number (A58)
 4. counted      before it leaves, in the transaction that looked at the channel
 5. delivered    or the sender hears that the library does not answer

channels  which pairs of provinces may fetch; open and close take effect with their commit
relay     the five steps above
client    how a letter is posted, and what each answer means. Used by provinces towards the exchange, and by it towards them
inside    the same without a network, for a country in one process
"""
