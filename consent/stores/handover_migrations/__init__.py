"""The history of the hand-over tables (see `consent.stores.migrations`)."""
