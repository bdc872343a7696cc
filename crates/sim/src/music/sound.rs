//! The sound of one track: a little sequencer.
//!
//! A melody of eight steps, a beat, a bed of filtered noise. What differs from track to track is what an analysis looks at:
//! tempo, key, scale, overtones, how bright and how loud the noise is, how even the beat, how loud the whole.

use std::f64::consts::TAU;

use crate::fixture::random::Random;

/// Hertz.
pub(super) const RATE: u32 = 44_100;
pub(super) const CHANNELS: usize = 2;
const STEPS: usize = 8;
/// Semitones above the key.
const SCALES: [[i32; 5]; 4] = [[0, 2, 4, 7, 9], [0, 3, 5, 7, 10], [0, 2, 3, 7, 8], [0, 4, 6, 7, 11]];

struct Instrument {
    /// Hertz of the key.
    key: f64,
    /// Semitones above it; `None` is a rest.
    melody: [Option<i32>; STEPS],
    /// Seconds of one step.
    step: f64,
    /// Amplitude of each overtone.
    overtones: [f64; 6],
    /// Per second: how fast a note dies away.
    decay: f64,
    /// Which steps are beaten.
    beats: [bool; STEPS],
    /// Of the beat.
    beat_level: f64,
    /// Of the noise.
    noise_level: f64,
    /// 0 dull, 1 bright.
    noise_colour: f64,
    /// Of everything, as a factor.
    level: f64,
    /// 0 left, 1 right.
    side: f64,
}

impl Instrument {
    fn of(random: &mut Random) -> Self {
        let scale = *random.pick(&SCALES);
        let key = 55.0 * 2_f64.powf(share(random) * 3.0);
        let brightness = 0.2 + 0.75 * share(random);
        let mut overtones = [0.0; 6];
        let mut amplitude = 1.0;
        for overtone in &mut overtones {
            *overtone = amplitude * (0.4 + 0.6 * share(random));
            amplitude *= brightness;
        }
        let rests = share(random) * 0.5;
        let density = 0.15 + 0.7 * share(random);
        Self {
            key,
            melody: std::array::from_fn(|_| {
                let note = *random.pick(&scale) + 12 * i32::from(random.one_in(3));
                (share(random) >= rests).then_some(note)
            }),
            step: 60.0 / (60.0 + 120.0 * share(random)) / 2.0,
            overtones,
            decay: 0.5 + 12.0 * share(random) * share(random),
            beats: std::array::from_fn(|_| share(random) < density),
            beat_level: 0.6 * share(random),
            // Never none: silence would have nothing to analyse.
            noise_level: 0.02 + 0.3 * share(random) * share(random),
            noise_colour: share(random),
            level: 0.06 + 0.5 * share(random),
            side: 0.2 + 0.6 * share(random),
        }
    }
}

/// Interleaved samples of 16 bits, from nothing but the name.
pub(super) fn play(name: &str, seconds: f64) -> Vec<i32> {
    let mut random = Random::of(name);
    let instrument = Instrument::of(&mut random);
    let rate = f64::from(RATE);
    let frames = (seconds.max(0.0) * rate).round() as usize;
    let mut samples = Vec::with_capacity(frames * CHANNELS);
    let mut filtered = 0.0;
    for frame in 0..frames {
        let time = frame as f64 / rate;
        let step = (time / instrument.step) as usize;
        let into = time - step as f64 * instrument.step;
        let mut tone = 0.0;
        if let Some(note) = instrument.melody[step % STEPS] {
            let pitch = instrument.key * 2_f64.powf(f64::from(note) / 12.0);
            for (overtone, amplitude) in (1_u32..).zip(instrument.overtones) {
                let frequency = pitch * f64::from(overtone);
                if frequency < rate / 2.0 {
                    tone += amplitude * (TAU * frequency * into).sin();
                }
            }
            // The first two milliseconds rise, or every note would click.
            tone *= 0.3 * (into / 0.002).min(1.0) * (-instrument.decay * into).exp();
        }
        let white = share(&mut random) * 2.0 - 1.0;
        filtered += (0.02 + 0.98 * instrument.noise_colour) * (white - filtered);
        let beat = if instrument.beats[step % STEPS] {
            white * (-40.0 * into).exp() * instrument.beat_level
        } else {
            0.0
        };
        let sound = tone + beat + filtered * instrument.noise_level;
        for side in [1.0 - instrument.side, instrument.side] {
            let sample = (sound * instrument.level * side * 2.0).clamp(-1.0, 1.0);
            samples.push((sample * f64::from(i16::MAX)).round() as i32);
        }
    }
    samples
}

/// In 0..1.
fn share(random: &mut Random) -> f64 {
    // 53 bits are what an f64 holds.
    (random.next() >> 11) as f64 / (1_u64 << 53) as f64
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_sounds_and_it_differs() {
        let one = play("one", 0.5);
        assert_eq!(one.len(), 22_050 * CHANNELS);
        assert_eq!(one, play("one", 0.5));
        let two = play("two", 0.5);
        assert_ne!(one, two);
        for samples in [one, two] {
            let loudest = samples.iter().map(|sample| sample.abs()).max().unwrap();
            assert!((50..=32_767).contains(&loudest), "{loudest}");
        }
        assert!(play("none", -1.0).is_empty());
    }
}
