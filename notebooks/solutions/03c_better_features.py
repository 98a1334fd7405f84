# %% half
half = hit[order[: len(hit) // 2]].mean()
# %% threshold
steps = np.arange(0, 1, 0.01)
threshold = next(t for t in steps if hit[sure >= t].mean() >= 0.9)
# %% ece_proud
Q = P.to_numpy().clip(1e-9) ** 2
Q /= Q.sum(axis=1, keepdims=True)
top = Q.max(axis=1)
cells = np.minimum((15 * top).astype(int), 14)
ece_proud = sum(abs((hit - top)[cells == k].sum()) for k in range(15)) / len(hit)
