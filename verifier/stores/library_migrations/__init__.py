"""The history of the library, see `consent.stores.migrations`."""
