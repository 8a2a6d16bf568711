"""The six concepts of a U-Net: Block, Down, Up, Skip, Encoder, Decoder.

Parts are passed as callables: ``block(c_in, c_out)``, ``down(channels)``, ``up(c_in, c_out)``, ``skip(c_skip, c_up)``.
No module here knows the name of an option: `unetzoo.grid.parts` alone maps option values to these classes and binds
their arguments.
"""
