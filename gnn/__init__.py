"""The ring model's place in the house; the first version of the engine scores without one."""
