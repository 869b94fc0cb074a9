"""Runs on disk and what they say: the run directory, statistics, tables, figures, reports.

This package works on files alone. It needs neither torch nor a simulator, so a run directory copied from a cluster can
be read anywhere. `load("runs/NAME")` is the way in for notebooks (docs/notebooks.md):

    from savo_bench.results.notebook import load

    runs = load("runs/default")
    runs.scores()

    files        files replaced as a whole or grown by whole lines; the reader of CSV files
    format       names of a run directory's files and folders; what run.json, status.json and asked.jsonl hold
    lock         who trains a seed
    state        how a seed stands, for every command
    spent        what the training of a seed has taken, and lengths of time as text
    attempts     which attempts made a seed's result, and in what they differ
    frame        all runs of a name as pandas frames
    labels       what a report calls its variants
    arrangement  what an author chooses of a report: runs, order, names, colours
    metrics      what a seed's score is, and aggregates over seeds and tasks
    inference    tests and intervals
    declared     what is to be compared, as it was said beforehand
    comparisons  which variants are compared, and what each comparison says
    head_to_head    two variants side by side, per task and over tasks
    reference    bounds for normalised scores, and published scores
    foreign      cells whose scores other programs made
    imports      the readers of those programs' files
    exports      runs in the files of other programs
    gaps         how many maxima Q had, and how far proposals lay below them
    diagnosis    signs that a maximiser does not work as it should
    landscapes   Q over actions in single states, as a file
    costs        how costs grow with the number of actors, as a law and as a figure
    provenance   in what the runs' machines and code differ
    tables       every table of a report as numbers
    studies      variants that differ in a single field
    operations   operations of a training, from counted ones of an action and an update
    plots        the figures of a report
    landscape_plots   those of landscapes
    head_to_head_plots   that of two variants
    study_plots  those of studies, and scores as bars
    palette      colours that are seen on a light and on a dark page
    widths       how wide figures are in papers
    figure_settings   matplotlib as it is delivered, whatever a user has set
    findings     what the sections of a report share: runs, options, tables
    sections/    a file per topic of a report: its text, tables and figures
    page         a section as a web page and Markdown
    latex        its tables as LaTeX, which a page has room for
    words        numbers and lists in words
    report       one command, one folder: tables, figures and page
    notebook     the same as frames and matplotlib figures, for notebooks
    regression   runs against a baseline
"""
