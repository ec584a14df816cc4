"""A crowd of clients, well-behaved and not, in an order that a seed repeats; and what it may not leave behind."""
