"""Defects of a training, as modules that verl imports (VERL_USE_EXTERNAL_MODULES): the learning tests must fail with each."""
