# %% ghost
ghost = 16_000 - 13_000
# %% protected
right = np.zeros(n, dtype=bool)
for fold in by_voice:
    found = neighbour(fold.test, np.concatenate([fold.train, n + fold.train]))
    right[fold.test] = emotions[found % n] == emotions[fold.test]
protected = right.mean()
# %% helped
hits = {"none": [], "copies": []}
for fold in folds:
    for name, more in zip(hits, ([], n + fold.train), strict=True):
        library = np.concatenate([fold.train, more]).astype(int)
        found = library[from_noisy[np.ix_(fold.test, library)].argmin(axis=1)]
        hits[name].append(np.mean(emotions[found % n] == emotions[fold.test]))
helped = 100 * (np.mean(hits["copies"]) - np.mean(hits["none"]))
