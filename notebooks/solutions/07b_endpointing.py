# %% speaking
speaking = sum(each.end - each.start for each in found) / (len(heard) / sr)
# %% missed_and_false
missed_and_false = np.mean(level[truth] <= adaptive[truth]), np.mean((level > adaptive)[~truth])
# %% numbers
numbers = []
for louder in (20, 40, 80, 160):
    factor = np.where(np.arange(len(talk)) < fan_on * sr, 1, louder)
    y = (talk + quiet * factor).astype(np.float32)
    numbers.append(len(list(live.utterances([y], sr=sr))))
