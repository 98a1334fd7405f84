# %% differing
differing = (right["svm"] != right["aesdd-cnn"]).mean()
# %% ratio
plain, better = right["svm-classic"], right["svm"]
ratio = np.sqrt(plain.var() + better.var()) / (better - plain).std()
# %% n_ideas
n_ideas, told = 1, {"speakers": speakers, "n_resamples": 100_000}
while (
    n_ideas < 256
    and evaluate.paired_gain(
        right["svm-classic"], right["svm"], n_comparisons=2 * n_ideas, **told
    )["low"]
    > 0
):
    n_ideas *= 2
