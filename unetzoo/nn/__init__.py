"""The six concepts: Block, Down, Up, Skip, Encoder, Decoder. No option has a name in here.

Parts are passed as callables: ``block(c_in, c_out)``, ``down(channels)``, ``up(c_in, c_out)``,
``skip(c_skip, c_up)``. `unetzoo.grid.assembly.build` binds their options and is the only place where a
string becomes one of these classes.
"""
