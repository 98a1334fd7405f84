# %% luck
best = scores.mean(axis=2).max(axis=1)
luck = 100 * (best.mean() - 0.65)
# %% least
agreement = right_of[board.index[:10]].astype(float).corr()
least = set(agreement.stack().idxmin())
# %% accuracy
mean = np.sqrt(P[0] * P[1])
said = mean.idxmax(axis=1).str.removeprefix("p_")
accuracy = (said == new[first]["truth"]).mean()
