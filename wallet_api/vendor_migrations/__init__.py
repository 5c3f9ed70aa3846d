"""The history of the vendors' tables (see `consent.stores.migrations`)."""
