# %% differing
differing = (right["svm"] != right["aesdd-cnn"]).mean()
# %% ratio
plain, better = right["svm-classic"], right["svm"]
ratio = np.sqrt(plain.var() + better.var()) / (better - plain).std()
# %% n_ideas
pair, told = (right["aesdd-cnn-3"], right["svm"]), {"speakers": speakers, "n_resamples": 100_000}
n_ideas = 1
while evaluate.paired_gain(*pair, n_comparisons=2 * n_ideas, **told)["low"] > 0:
    n_ideas *= 2
