"""The commands of the command line: what each does, and its options."""
