"""The history of the inner store, see `consent.stores.migrations`."""
