"""The training of a pack, room by room. The entry is `train_pack` in bench/train.py.

    loop.py        the training loop: act, step, store, update, evaluate; read this first
    seed.py        one seed: its environment, random streams, episode and failure
    status.py      status.json: how far a seed is, how fast, and who trains it
    saving.py      what a checkpoint holds, how a seed resumes from it, and the final policy
    checkpoint.py  the files of a checkpoint: how they are written, read back, and kept few
    signals.py     signals that ask for a stop

The evaluation episodes are in bench/evaluate.py, since `bench play` plays them too.
"""
