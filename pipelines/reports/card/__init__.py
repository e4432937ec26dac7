"""The model card: `README.md` of a model, for users who have the model and not the run.

`keeping` writes it, `facts` collects what it says, `rendering` is its text. It names files and folders, never their paths.
"""
