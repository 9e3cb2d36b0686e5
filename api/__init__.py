"""HTTP, command line, pages, settings and wiring: the only room that knows the outside world."""
