//! Repeats something and prints its rates, as the other peers do: lines "best", "median", "clean" and "total".
//!
//! A sample is as many calls as take 5 ms. It is clean if the threads of this process, together, waited less than 1.5 % of it for a
//! processor; best and median are of the clean samples, or of all if fewer than two are clean.

use std::fs;
use std::time::Instant;

const SAMPLE: f64 = 0.005;
const ENOUGH: f64 = 0.6;
const SAMPLES: usize = 3;
// What is not repeated to warm up.
const LONG: f64 = 0.1;
const WAITED: f64 = 0.015;

pub fn report(amount: f64, mut call: impl FnMut()) {
    let mut sample = |calls: usize| {
        let before = waited();
        let start = Instant::now();
        (0..calls).for_each(|_| call());
        let time = start.elapsed().as_secs_f64();
        (time / calls as f64, waited() - before <= WAITED * time)
    };
    let (taken, _) = sample(1);
    let calls = if taken > LONG { 1 } else { (SAMPLE / sample(1).0).ceil() as usize };
    let start = Instant::now();
    let mut samples = Vec::new();
    while samples.len() < SAMPLES || start.elapsed().as_secs_f64() < ENOUGH {
        samples.push(sample(calls));
    }
    let total = samples.len();
    let mut times: Vec<f64> = samples.iter().filter(|(_, clean)| *clean).map(|(time, _)| *time).collect();
    let clean = times.len();
    if clean < 2 {
        times = samples.iter().map(|(time, _)| *time).collect();
    }
    times.sort_by(f64::total_cmp);
    let median = (times[(times.len() - 1) / 2] + times[times.len() / 2]) / 2.0;
    println!("best {:.6e}\nmedian {:.6e}\nclean {clean}\ntotal {total}", amount / times[0], amount / median);
}

/// Seconds that the threads of this process have waited for a processor, where the kernel counts them.
fn waited() -> f64 {
    let threads = fs::read_dir("/proc/self/task").into_iter().flatten().flatten();
    let lines = threads.filter_map(|thread| fs::read_to_string(thread.path().join("schedstat")).ok());
    lines.filter_map(|line| line.split(' ').nth(1)?.parse::<f64>().ok()).sum::<f64>() * 1e-9
}
