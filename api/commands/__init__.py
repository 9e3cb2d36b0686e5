"""One file a command; each imports what it runs when it runs, so that --help answers at once."""
