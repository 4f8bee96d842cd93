"""What elephant says of a few trains and signals; the numbers of test_measure.py are from here.

python tests/analysis/from_elephant.py      # in an environment with elephant 1.2.1: one JSON object
"""

import json

import numpy as np

STOP = 2000.0  # ms
GOLDEN = (5**0.5 - 1) / 2


def trains():
    """Six trains, with no random numbers: intervals of 5 to 55 ms, and some common spikes."""
    found = []
    for k in range(1, 7):
        steps = 5.0 + 50.0 * ((np.arange(1, 200) * GOLDEN * k) % 1.0) ** k
        common = 100.0 * np.arange(1, 20) + 0.37 * k
        times = np.sort(np.concatenate([np.cumsum(steps), common]))
        found.append(times[times < STOP])
    return found


def signals():
    """Two signals of 2 s at 1 kHz that share 40 Hz."""
    t = np.arange(2000) * 1e-3
    return np.stack(
        [
            np.sin(2 * np.pi * 40 * t) + 0.3 * np.sin(2 * np.pi * 90 * t**1.1),
            np.cos(2 * np.pi * 40 * t) + 0.3 * np.sin(2 * np.pi * 150 * t**1.2),
        ],
        axis=1,
    )


def measured():
    """The same measures as in test_measure.py, as lists."""
    import neo
    import quantities as pq
    from elephant import (
        kernels,
        spectral,
        spike_train_correlation,
        spike_train_dissimilarity,
        spike_train_synchrony,
        statistics,
    )
    from elephant.conversion import BinnedSpikeTrain

    given = [neo.SpikeTrain(x * pq.ms, t_start=0 * pq.ms, t_stop=STOP * pq.ms) for x in trains()]
    # Elephant widens the 5 ms by 1e-5 of the time of the spike (np.isclose): early spikes, then.
    early = [neo.SpikeTrain(x[x < 200] * pq.ms, t_stop=200 * pq.ms) for x in trains()]
    binned = BinnedSpikeTrain(given, bin_size=20 * pq.ms)
    pair = [BinnedSpikeTrain(x, bin_size=5 * pq.ms) for x in given[:2]]
    intervals = [statistics.isi(x) for x in given]
    signal = neo.AnalogSignal(signals(), units="mV", sampling_rate=1 * pq.kHz)
    smooth = statistics.instantaneous_rate(
        given, sampling_period=1 * pq.ms, kernel=kernels.GaussianKernel(10 * pq.ms)
    )
    cch = spike_train_correlation.cross_correlation_histogram
    frequency, psd = spectral.welch_psd(signal, frequency_resolution=4 * pq.Hz)
    _, shared, _ = spectral.welch_coherence(
        signal[:, 0], signal[:, 1], frequency_resolution=4 * pq.Hz
    )
    found = {
        "rates": [statistics.mean_firing_rate(x).rescale("Hz").item() for x in given],
        "cv": [statistics.cv(x) for x in intervals],
        "cv2": [statistics.cv2(x) for x in intervals],
        "lv": [statistics.lv(x) for x in intervals],
        "lvr": [statistics.lvr(x, R=3 * pq.ms) for x in intervals],
        "fano": statistics.fanofactor(given),
        "smooth": smooth.magnitude.T[:, 100::400],
        "correlation": spike_train_correlation.correlation_coefficient(binned),
        "cch": cch(*pair, window=[-6, 6])[0].magnitude.ravel(),
        "cch_normed": cch(*pair, window=[-6, 6], cross_correlation_coefficient=True)[0]
        .magnitude.ravel(),
        "sttc": [
            [
                float(spike_train_correlation.spike_time_tiling_coefficient(a, b, dt=5 * pq.ms))
                for b in early
            ]
            for a in early
        ],
        "contrast": spike_train_synchrony.spike_contrast(given),
        "van_rossum": spike_train_dissimilarity.van_rossum_distance(given, 12 * pq.ms),
        "victor_purpura": spike_train_dissimilarity.victor_purpura_distance(given, 0.1 / pq.ms),
        "power": psd.magnitude[:, 5:25:5],
        "frequency": frequency.magnitude[5:25:5],
        "coherence": np.ravel(shared)[5:25:5],
    }  # fmt: skip
    return {name: np.asarray(value, float).tolist() for name, value in found.items()}


if __name__ == "__main__":
    print(json.dumps(measured()))
