"""Release: register the published model, run the gate, and promote the model if it passes.

`workflow.release` reads top to bottom: register, collect inputs, measure, decide, save, apply.
"""
