# %% seconds
seconds = [len(audio.trim(whole, sr=sr, top_db=level)) / sr for level in (20, 30, 40, 60)]
# %% loudness_share
own = table["loudness_db"] - table.groupby("speaker")["loudness_db"].transform("mean")
loudness_share = eta_squared(own, table["emotion"])
# %% accuracy
named = pd.Series("", index=table.index)
for speaker in table["speaker"].unique():
    test = table["speaker"] == speaker
    means = numbers[~test].groupby(table["emotion"]).mean()
    distance = ((numbers[test].to_numpy()[:, None] - means.to_numpy()) ** 2).sum(axis=2)
    named[test] = means.index[distance.argmin(axis=1)]
accuracy = np.mean(named == table["emotion"])
