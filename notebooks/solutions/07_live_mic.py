# %% on_the_phone
on_the_phone = board["any-voice"]["telephone"] - board["ravdess-svm"]["telephone"]
# %% answered_and_right
sure_enough = told["p room and babble"] >= 0.5
hits = told["room and babble"] == told["truth"]
answered_and_right = sure_enough.mean(), hits[sure_enough].mean()
# %% helped
by_speaker = [
    (t["room and babble"] == t["truth"]).groupby(t["speaker"]).mean() for t in (svm, robust)
]
helped = int((by_speaker[1] > by_speaker[0]).sum())
