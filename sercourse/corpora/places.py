"""Where the folders of the corpora are: below one folder of the reader's, or in the sample."""

from __future__ import annotations

from pathlib import Path

from sercourse import files


def folder(corpus: str, data_dir: str | Path | None = None) -> Path:
    """Return the folder of a corpus.

    Parameters
    ----------
    corpus : str
        Name of the folder, such as "ravdess".
    data_dir : str or Path, optional
        The folder that holds those of the corpora; None stands for the synthetic sample corpora
        of the project.

    Returns
    -------
    Path

    Raises
    ------
    FileNotFoundError
        If it is not there; the sentence says what to do.

    Examples
    --------
    >>> folder("aesdd").parts[-3:]
    ('data', 'sample', 'aesdd')
    """
    if data_dir is None:
        sample = files.home() / "data" / "sample"
        place, advice = sample / corpus, _sample_advice(sample, corpus)
    else:
        place = files.user_path(data_dir) / corpus
        advice = (
            f"data_dir is {str(data_dir)!r}: give the folder that holds {corpus}/, "
            f"or None for the sample corpora ('sercourse fetch {corpus}' gets the real one)"
        )
    if not place.is_dir():
        raise FileNotFoundError(f"{place}: no such folder; {advice}")
    return place


def _sample_advice(sample: Path, corpus: str) -> str:
    known = " and ".join(sorted(path.name for path in sample.iterdir() if path.is_dir()))
    return f"the sample has {known}: for {corpus}, say with data_dir which folder holds {corpus}/"
