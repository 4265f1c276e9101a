"""One command of the command line a file; each has `run(args)`, which gives the exit status."""
