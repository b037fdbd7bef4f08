"""How good AtNet is beside other classifiers trained from scratch: `python -m benchmarks.accuracy`.

sets      which labeled texts, and how params.yaml is pointed at them
graph     the project's stages as dvc.yaml declares them, and the key of a stage's result
workshop  runs the stages and keeps what they make
models    who takes part; the variants of the ablation
tasks     the runs that the figures need, each a process of its own
running   so many processes side by side
fit_linear, fit_fasttext, train_atnet   what those processes do
choosing  a fair search on validation
scores    accuracy, macro-F1, calibration; intervals over texts and seeds
ledger    who looked at a test split, when, and what was seen
report    Markdown tables
"""
