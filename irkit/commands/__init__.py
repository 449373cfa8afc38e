"""The commands of the `irkit` command line, one a file, each with `execute(args)`."""
