"""The commands of `stillhouse`, a module for what a person is about; `common.py` is what they share."""
