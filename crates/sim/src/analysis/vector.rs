//! Fifty numbers that say how a track sounds.
//!
//! Not Plex's own (those are a secret), but of the same shape and use: the same sound gives the same numbers on every
//! machine, alike sounds give near ones, unlike sounds far ones. In order: the mean level of 16 bands of pitch, how much
//! each of them moves, the share of each of the 12 tones of the octave, then brightness, noisiness, crossings of zero, level,
//! tempo, and how much beat there is. All lie in -1..1.

use std::sync::Arc;

use rustfft::num_complex::Complex;
use rustfft::{Fft, FftPlannerScalar};

/// How many numbers a vector has (facts/plex.md §1.5).
pub(crate) const DIMENSIONS: usize = 50;
const BANDS: usize = 16;
const TONES: usize = 12;
/// Samples of one look, and how far the next one is.
const WINDOW: usize = 2048;
const HOP: usize = 1024;
/// Hertz where the bands begin and end.
const LOWEST: f64 = 40.0;
const HIGHEST: f64 = 16_000.0;
/// Beats per minute that are looked for.
const TEMPI: std::ops::RangeInclusive<u32> = 50..=200;
/// Below that a band counts as silent: -100 dB.
const SILENCE: f64 = 1e-10;

/// Listens to one track.
pub(crate) struct Listener {
    rate: f64,
    fft: Arc<dyn Fft<f64>>,
    window: Vec<f64>,
    /// Mono samples that have not been looked at to their end.
    pending: Vec<f64>,
    /// For each bin of the spectrum: its band and its tone.
    bins: Vec<(Option<usize>, Option<usize>)>,
    looks: usize,
    band_sum: [f64; BANDS],
    band_squares: [f64; BANDS],
    tones: [f64; TONES],
    brightness: f64,
    noisiness: f64,
    crossings: f64,
    level: f64,
    previous: [f64; BANDS],
    /// How much louder each look was than the one before.
    onsets: Vec<f64>,
}

impl Listener {
    /// For sound of that rate in hertz.
    pub(crate) fn new(rate: u32) -> Self {
        let rate = f64::from(rate.max(1));
        let bins = (0..WINDOW / 2)
            .map(|bin| place(bin as f64 * rate / WINDOW as f64))
            .collect();
        let turn = std::f64::consts::TAU / WINDOW as f64;
        Self {
            rate,
            // The scalar one: others depend on what the processor has, and two servers would disagree about a track.
            fft: FftPlannerScalar::new().plan_fft_forward(WINDOW),
            window: (0..WINDOW).map(|at| 0.5 - 0.5 * (turn * at as f64).cos()).collect(),
            pending: Vec::with_capacity(WINDOW * 4),
            bins,
            looks: 0,
            band_sum: [0.0; BANDS],
            band_squares: [0.0; BANDS],
            tones: [0.0; TONES],
            brightness: 0.0,
            noisiness: 0.0,
            crossings: 0.0,
            level: 0.0,
            previous: [0.0; BANDS],
            onsets: Vec::new(),
        }
    }

    /// Takes interleaved samples.
    pub(crate) fn hear(&mut self, samples: &[f32], channels: usize) {
        self.pending.extend(samples.chunks_exact(channels.max(1)).map(|frame| {
            let sum: f64 = frame.iter().map(|sample| f64::from(*sample)).sum();
            let mean = sum / frame.len() as f64;
            // A broken file may decode to anything; the sums must stay finite.
            if mean.is_finite() { mean.clamp(-4.0, 4.0) } else { 0.0 }
        }));
        let mut start = 0;
        while self.pending.len() - start >= WINDOW {
            self.look(start);
            start += HOP;
        }
        self.pending.drain(..start);
    }

    /// The numbers.
    pub(crate) fn finish(mut self) -> [f64; DIMENSIONS] {
        if self.looks == 0 {
            self.pending.resize(WINDOW, 0.0);
            self.look(0);
        }
        let looks = self.looks as f64;
        let mean = self.band_sum.map(|sum| sum / looks);
        let centre = mean.iter().sum::<f64>() / BANDS as f64;
        let (tempo, beat) = self.rhythm();
        let loudest = self.tones.iter().copied().fold(SILENCE, f64::max);
        let bands = mean.map(|band| (band - centre) / 6.0);
        let movement: [f64; BANDS] = std::array::from_fn(|band| {
            (self.band_squares[band] / looks - mean[band] * mean[band])
                .max(0.0)
                .sqrt()
                / 5.0
        });
        let tones = self.tones.map(|tone| 2.0 * tone / loudest - 1.0);
        let rest = [
            2.0 * self.brightness / looks - 1.0,
            2.0 * self.noisiness / looks - 1.0,
            4.0 * self.crossings / looks - 1.0,
            1.0 + self.level / looks / 5.0,
            tempo,
            beat,
        ];
        let mut vector = [0.0; DIMENSIONS];
        let all = bands.into_iter().chain(movement).chain(tones).chain(rest);
        for (number, value) in vector.iter_mut().zip(all) {
            *number = if value.is_finite() { value.clamp(-1.0, 1.0) } else { 0.0 };
        }
        vector
    }

    fn look(&mut self, start: usize) {
        let samples = &self.pending[start..start + WINDOW];
        let crossings = samples
            .windows(2)
            .filter(|pair| (pair[0] < 0.0) != (pair[1] < 0.0))
            .count();
        let energy = samples.iter().map(|sample| sample * sample).sum::<f64>() / WINDOW as f64;
        let mut spectrum: Vec<Complex<f64>> = samples
            .iter()
            .zip(&self.window)
            .map(|(sample, window)| Complex::new(sample * window, 0.0))
            .collect();
        self.fft.process(&mut spectrum);
        let mut bands = [SILENCE; BANDS];
        let mut tones = [0.0; TONES];
        let (mut sum, mut weighted, mut logarithms) = (SILENCE, 0.0, 0.0);
        for (bin, (band, tone)) in self.bins.iter().enumerate() {
            let power = spectrum[bin].norm_sqr() / (WINDOW * WINDOW) as f64;
            if let Some(band) = band {
                bands[*band] += power;
                sum += power;
                weighted += power * (*band as f64 + 0.5) / BANDS as f64;
                logarithms += (power + SILENCE).ln();
            }
            if let Some(tone) = tone {
                tones[*tone] += power.sqrt();
            }
        }
        let heard = self.bins.iter().filter(|(band, _)| band.is_some()).count().max(1) as f64;
        let flatness = (logarithms / heard).exp() / (sum / heard + SILENCE);
        let levels = bands.map(f64::log10);
        for (band, level) in levels.iter().enumerate() {
            self.band_sum[band] += level;
            self.band_squares[band] += level * level;
        }
        let rise = (0..BANDS)
            .map(|band| (levels[band] - self.previous[band]).max(0.0))
            .sum();
        self.onsets.push(if self.looks == 0 { 0.0 } else { rise });
        self.previous = levels;
        let loudest = tones.iter().copied().fold(SILENCE, f64::max);
        for (sum, tone) in self.tones.iter_mut().zip(tones) {
            *sum += tone / loudest;
        }
        self.brightness += weighted / sum;
        self.noisiness += flatness.min(1.0);
        self.crossings += crossings as f64 / WINDOW as f64;
        self.level += (energy + SILENCE).log10();
        self.looks += 1;
    }

    /// The tempo, and how clearly it is there.
    fn rhythm(&self) -> (f64, f64) {
        let count = self.onsets.len();
        let mean = self.onsets.iter().sum::<f64>() / count.max(1) as f64;
        let rises: Vec<f64> = self.onsets.iter().map(|onset| onset - mean).collect();
        let whole: f64 = rises.iter().map(|rise| rise * rise).sum();
        let mut best = (0.0, 0.0);
        for tempo in TEMPI {
            let lag = (60.0 / f64::from(tempo) * self.rate / HOP as f64).round() as usize;
            if lag == 0 || lag * 2 > count {
                continue;
            }
            let alike: f64 = rises.iter().zip(&rises[lag..]).map(|(one, other)| one * other).sum();
            if alike > best.0 {
                best = (alike, f64::from(tempo));
            }
        }
        if whole <= SILENCE || best.0 <= 0.0 {
            return (0.0, -1.0);
        }
        let (slowest, fastest) = (f64::from(*TEMPI.start()), f64::from(*TEMPI.end()));
        (
            2.0 * (best.1 - slowest) / (fastest - slowest) - 1.0,
            2.0 * best.0 / whole - 1.0,
        )
    }
}

/// The band and the tone of the octave that a frequency belongs to.
fn place(frequency: f64) -> (Option<usize>, Option<usize>) {
    if !(LOWEST..HIGHEST).contains(&frequency) {
        return (None, None);
    }
    // Mel: what people hear as even steps of pitch.
    let mel = |frequency: f64| (1.0 + frequency / 700.0).ln();
    let share = (mel(frequency) - mel(LOWEST)) / (mel(HIGHEST) - mel(LOWEST));
    let band = ((share * BANDS as f64) as usize).min(BANDS - 1);
    // Above a few kilohertz there are overtones and noise, no melody.
    let tone = (frequency < 4000.0).then(|| {
        let semitones = (12.0 * (frequency / 440.0).log2()).round() as i64;
        semitones.rem_euclid(TONES as i64) as usize
    });
    (Some(band), tone)
}

#[cfg(test)]
mod tests {
    use super::*;

    fn tone(frequency: f64, amplitude: f64) -> Vec<f32> {
        (0..44_100)
            .map(|at| (amplitude * (std::f64::consts::TAU * frequency * f64::from(at) / 44_100.0).sin()) as f32)
            .collect()
    }

    fn vector(samples: &[f32], chunk: usize) -> [f64; DIMENSIONS] {
        let mut listener = Listener::new(44_100);
        for samples in samples.chunks(chunk) {
            listener.hear(samples, 1);
        }
        listener.finish()
    }

    fn distance(one: &[f64], other: &[f64]) -> f64 {
        one.iter()
            .zip(other)
            .map(|(one, other)| (one - other).powi(2))
            .sum::<f64>()
            .sqrt()
    }

    #[test]
    fn how_the_sound_is_cut_makes_no_difference() {
        let sound = tone(440.0, 0.5);
        assert_eq!(vector(&sound, 44_100), vector(&sound, 777));
    }

    #[test]
    fn near_sounds_are_nearer_than_far_ones() {
        let middle = vector(&tone(440.0, 0.5), 4096);
        let near = vector(&tone(443.0, 0.45), 4096);
        let far = vector(&tone(5000.0, 0.05), 4096);
        assert!(distance(&middle, &near) * 3.0 < distance(&middle, &far));
    }

    #[test]
    fn every_number_is_in_range_whatever_is_heard() {
        for sound in [
            vec![],
            vec![0.0; 100_000],
            vec![f32::NAN; 5000],
            vec![1e30; 5000],
            tone(50.0, 1.0),
        ] {
            let vector = vector(&sound, 1000);
            assert!(vector.iter().all(|number| (-1.0..=1.0).contains(number)), "{vector:?}");
        }
    }

    #[test]
    fn a_beat_has_a_tempo() {
        // 120 per minute: one burst each half second.
        let sound: Vec<f32> = (0..44_100 * 8)
            .map(|at| {
                if at % 22_050 < 600 {
                    if at % 2 == 0 { 0.8 } else { -0.8 }
                } else {
                    0.0
                }
            })
            .collect();
        let vector = vector(&sound, 4096);
        let tempo = (vector[48] + 1.0) / 2.0 * 150.0 + 50.0;
        assert!(
            (58.0..=62.0).contains(&tempo) || (117.0..=123.0).contains(&tempo),
            "{tempo}"
        );
        assert!(vector[49] > 0.0, "{}", vector[49]);
    }
}
