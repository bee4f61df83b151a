"""Moving blocks and heads between the peers of one folder; does not know what a file is."""
