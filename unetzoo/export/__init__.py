"""Export: a trained model as a file that other runtimes read, and such files as models for `predict`."""
