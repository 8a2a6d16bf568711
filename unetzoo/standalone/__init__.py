"""Networks whose data flow the grid cannot express: one file for each paper, built from the same vocabulary.

A network is a class or function ``(in_channels, num_classes, *, options)`` that maps images (N, in_channels, H, W) of
any size to logits (N, num_classes, H, W). With the same parameters it computes the same function as the public code
named under References in its module, but for the deviations that its entry lists.
"""
