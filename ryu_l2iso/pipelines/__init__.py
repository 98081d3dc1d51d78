"""What each switch should hold, computed from the state.  Pure, no I/O.

Every flow table is declared in the module of its pipeline, at the top, and nowhere else.
"""
