"""The pure core: transactions, the sliding window, heuristics, evidence, rings.

Nothing in here does I/O, reads a clock or draws a random number: event time is an argument,
and the same transactions in the same order always give the same evidence and the same rings.
"""
