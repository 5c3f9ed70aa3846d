"""The history of the exchange, see `consent.stores.migrations`."""
