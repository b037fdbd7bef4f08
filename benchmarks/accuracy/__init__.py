"""Accuracy of AtNet and of other classifiers trained from scratch: `python -m benchmarks.accuracy`.

compare     the course of the benchmark: train, score, evaluate on test splits
datasets    the labeled texts, and params.yaml with the settings of each dataset
models      the models of the comparison, and the variants of the ablation
workspace   small copies of the project that share one DVC cache
graph       the dvc.yaml of such a copy
runs        one model trained with one seed on one dataset: a DVC target in a copy
processes   several commands at a time, each on one core
fit_linear, fit_fasttext, train_atnet, predict_atnet   the commands of the benchmark's own stages
search      hyperparameter search on validation
results     the files that those commands write
scores      accuracy, macro-F1 and calibration with intervals over texts and seeds
comparison  from predictions to table rows
ledger      every evaluation on a test split
tables      Markdown
"""
