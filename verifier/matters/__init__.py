"""What may be asked for what, by whom and since when: the notices as dated data.

`catalogue`   the matters (事项): certificate types, fields and how each is disclosed, preconditions, declarations, legal
              basis, from which day to which. One file for the country; a day outside every row means no.
`scope`       the use scope (用证范围) of one province: its units, their windows and listed matters, and what the province
              lets out as a library. Sealed and dated, so that another province's library can check it.

Everything is denied that is not written here. Commercial users (社会化用证主体) are refused whatever is written.
"""
