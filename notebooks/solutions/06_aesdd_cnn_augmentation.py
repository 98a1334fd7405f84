# %% kinship
kinship = 100 * (machine_is_right(at_random(first)) - machine_is_right(apart("recording", first)))
# %% macro_f1
told = answers("whisper", "speaker")
counts = pd.crosstab(told["truth"], told["answer"])
macro_f1 = (2 * np.diag(counts) / (counts.sum(axis=0) + counts.sum(axis=1))).mean()
# %% in_noise
rng = np.random.default_rng(1)
paths = prepared.clips["path"].iloc[fold.test]
heard = [augment.add_noise(audio.read(path, sr=sr), snr=15, rng=rng) for path in paths]
noisy = np.stack([features.extract(each, sr=sr, feature_set=make) for each in heard])
in_noise = (fitted.predict_proba(noisy).argmax(axis=1) == truth).mean()
