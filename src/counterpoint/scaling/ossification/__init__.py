"""Which sizes stop absorbing data, tested against a null law."""
