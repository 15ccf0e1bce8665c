//! One batch: requests that start together, stay together and end together. A batch of one is a request by itself.

use crate::graph::Step;
use crate::units::Seconds;

use super::mean::{mean_decode, time};
use super::metrics::Parts;
use super::{Engine, Metrics, Request, ServingError, Spread, StepTimes, check, count, error, prefill};

/// A batch that goes through the model by itself.
#[derive(Clone, Copy, Debug, PartialEq)]
pub struct StaticBatch {
    /// What it comes to.
    pub metrics: Metrics,
    /// Time of the prompts on the device.
    pub prefill: Seconds,
    /// Time of all decode steps.
    pub decode: Seconds,
    /// Tokens per second while the batch decodes; none where one token is all there is.
    pub decode_throughput: Option<f64>,
}

/// A batch of requests that start together. All get their first token when the last prompt is through.
///
/// The intervals between tokens grow with the context: their percentiles are the steps at that share of the output.
///
/// # Errors
/// When the batch is not admitted, a number cannot be calculated with, or a step has no time.
pub fn static_batch(
    times: &impl StepTimes,
    engine: &Engine,
    request: &Request,
    batch: u64,
) -> Result<StaticBatch, ServingError> {
    check(engine, request)?;
    count("batch", batch, engine.admitted().min(error::MOST_SEQUENCES))?;
    let first = prefill::first(engine, request, batch);
    let fill = times.fill(&first).map_err(|reason| ServingError::Untimed { step: error::in_words(&first), reason })?;
    let prefill = Seconds(prefill::alone(times, engine, request, batch)?) + fill;
    let tpot = mean_decode(times, batch, request)?;
    let decode = tpot.unwrap_or_default() * request.decode_steps() as f64;
    let ttft = prefill + engine.host;
    let latency = ttft + decode;
    let parts = Parts {
        concurrency: batch as f64,
        running: batch as f64,
        ttft: Spread::constant(ttft),
        tpot,
        itl: tpot.map(|mean| intervals(times, request, batch, mean)).transpose()?,
        latency: Spread::constant(latency),
        requests: batch as f64 / latency.get(),
    };
    let decode_throughput = tpot.map(|tpot| batch as f64 / tpot.get());
    Ok(StaticBatch { metrics: parts.metrics(engine, request), prefill, decode, decode_throughput })
}

/// The intervals between the tokens of a batch.
fn intervals(times: &impl StepTimes, request: &Request, batch: u64, mean: Seconds) -> Result<Spread, ServingError> {
    let at = |share: f64| {
        let steps = request.decode_steps();
        let index = ((steps as f64 * share).ceil() as u64).clamp(1, steps);
        time(times, &Step::decode(batch, request.prompt + index))
    };
    let mut found = [at(0.5)?, at(0.9)?, at(0.99)?];
    // Times from a table of measurements need not grow with the context.
    found.sort_by(f64::total_cmp);
    let [p50, p90, p99] = found.map(Seconds);
    Ok(Spread { mean, p50, p90, p99 })
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::estimate::serving::Untimed;
    use crate::estimate::serving::synthetic::Roofline;

    const ENGINE: Engine = Engine { max_batched_tokens: None, host: Seconds(0.0), max_batch: 64, devices: 1 };

    /// Qwen2.5-7B by the formulas of a published estimate, on 300 TFLOP/s and no memory: 1024 tokens in, 1024 out.
    fn printed_formulas(step: &Step) -> Result<Seconds, Untimed> {
        const L: f64 = 28.0;
        const H: f64 = 3584.0;
        const I: f64 = 18_944.0;
        const V: f64 = 152_064.0;
        let flops = step.sequences.iter().map(|group| {
            let (s, t) = (group.new_tokens as f64, (group.cached + group.new_tokens) as f64);
            let one = if s > 1.0 {
                L * (8.0 * s * H * H + 4.0 * s * s * H + 6.0 * s * H * I) + 2.0 * s * H * V
            } else {
                L * (8.0 * H * H + 4.0 * H * t + 6.0 * H * I) + 2.0 * H * V
            };
            one * group.count as f64
        });
        Ok(Seconds(flops.sum::<f64>() / 300e12))
    }

    fn close(found: Seconds, expected: f64) -> bool {
        (found.get() / expected - 1.0).abs() < 0.005
    }

    const RUN: Request = Request { prompt: 1024, output: 1024 };

    #[test]
    fn c49_c50_compute_alone_says_862_ms_and_0_85_ms() {
        let found = static_batch(&printed_formulas, &ENGINE, &RUN, 16).unwrap();
        assert!(close(found.prefill, 0.862_06), "{found:?}");
        // The mean over all decode steps is the step at the middle context of 1536.
        assert!(close(found.metrics.tpot.unwrap(), 0.852_8e-3), "{found:?}");
    }

    #[test]
    fn c53_bandwidth_says_9_7_ms() {
        // 14.141 GB of weights and 57,344 B per cached token, at 1.6 TB/s.
        let memory = |step: &Step| {
            let cached: f64 = step.sequences.iter().map(|group| (group.count * (group.cached + 1)) as f64).sum();
            Ok(Seconds((14.141e9 + 57_344.0 * cached) / 1.6e12))
        };
        let found = static_batch(&memory, &ENGINE, &RUN, 16).unwrap();
        assert!(close(found.metrics.tpot.unwrap(), 9.72e-3), "{found:?}");
        assert!((18.77e-3 / found.metrics.tpot.unwrap().get() - 1.93).abs() < 0.005);
    }

    #[test]
    fn c56_a_measured_run_comes_to_852_tokens_per_second_and_20_3_s() {
        let measured = |step: &Step| Ok(Seconds(if step.tokens() > 16 { 1.088_62 } else { 18.77e-3 }));
        let found = static_batch(&measured, &ENGINE, &RUN, 16).unwrap();
        assert!((found.decode_throughput.unwrap() - 852.4).abs() < 0.1, "{found:?}");
        assert!(close(found.metrics.latency.mean, 20.29), "{found:?}");
    }

    #[test]
    fn c20_c23_ttft_grows_by_a_slope_that_says_how_long_the_prompts_were() {
        // The document prints 20.8 ms per request of Llama-7B on 312 TFLOP/s; it does not print the length that this
        // implies.
        let (parameters, peak) = (7e9, 312e12);
        let compute = |step: &Step| Ok(Seconds(2.0 * parameters * step.tokens() as f64 / peak));
        let ttft = |batch, prompt| {
            let request = Request { prompt, output: 1 };
            static_batch(&compute, &ENGINE, &request, batch).unwrap().metrics.ttft.mean.get()
        };
        let slope = |prompt| ttft(2, prompt) - ttft(1, prompt);
        assert!(slope(463) < 20.8e-3 && slope(464) > 20.8e-3);
        // Measured was 19.68 ms: more than the device can do by 5.7 %.
        assert!((20.8 / 19.68_f64 - 1.057).abs() < 0.001);
    }

    #[test]
    fn c30_n_tokens_take_n_minus_1_decode_steps() {
        let second = |_: &Step| Ok(Seconds(1.0));
        for output in [1, 2, 5, 1000] {
            let found = static_batch(&second, &ENGINE, &Request { prompt: 7, output }, 3).unwrap();
            assert!((found.decode.get() - (output - 1) as f64).abs() < 1e-9);
            assert!((found.metrics.latency.mean.get() - output as f64).abs() < 1e-9);
            assert_eq!(found.metrics.tpot.is_some(), output > 1);
        }
    }

    #[test]
    fn rates_follow_from_times() {
        let engine = Engine { host: Seconds(0.5), devices: 4, ..ENGINE };
        let second = |_: &Step| Ok(Seconds(1.0));
        let found = static_batch(&second, &engine, &Request { prompt: 7, output: 11 }, 23).unwrap().metrics;
        assert_eq!((found.ttft.mean, found.latency.mean), (Seconds(1.5), Seconds(11.5)));
        assert!((found.requests - 2.0).abs() < 1e-12 && (found.throughput - 22.0).abs() < 1e-12);
        assert!((found.throughput_per_device - 5.5).abs() < 1e-12 && (found.throughput_per_user - 1.0).abs() < 1e-12);
    }

    #[test]
    fn intervals_grow_with_the_context() {
        let itl = static_batch(&Roofline::SMALL, &ENGINE, &RUN, 16).unwrap().metrics.itl.unwrap();
        assert!(itl.p50 < itl.p90 && itl.p90 < itl.p99);
        assert!((itl.p50 / itl.mean - 1.0).abs() < 0.01);
    }

    #[test]
    fn hostile_numbers_are_named() {
        let cases = [
            (ENGINE, RUN, 0, "`batch` is 0; expected 1 to 64"),
            (ENGINE, RUN, 65, "`batch` is 65; expected 1 to 64"),
            (ENGINE, Request { prompt: 0, ..RUN }, 1, "`prompt` is 0; expected 1 to 1099511627776"),
            (
                ENGINE,
                Request { output: u64::MAX, ..RUN },
                1,
                "`output` is 18446744073709551615; expected 1 to 1099511627776",
            ),
            (Engine { devices: 0, ..ENGINE }, RUN, 1, "`devices` is 0; expected 1 to 1048576"),
            (
                Engine { max_batch: u64::MAX, ..ENGINE },
                RUN,
                1,
                "`max_batch` is 18446744073709551615; expected 1 to 1048576",
            ),
            (Engine { host: Seconds(f64::NAN), ..ENGINE }, RUN, 1, "`host` is NaN; expected 0 s to 1e12 s"),
            (
                Engine { max_batched_tokens: Some(0), ..ENGINE },
                RUN,
                1,
                "`max_batched_tokens` is 0; expected 1 to 1099511627776",
            ),
        ];
        for (engine, request, batch, expected) in cases {
            let error = static_batch(&Roofline::SMALL, &engine, &request, batch).unwrap_err();
            assert_eq!(error.to_string(), expected);
        }
        for bad in [0.0, -1.0, f64::NAN, f64::INFINITY] {
            let error = static_batch(&|_: &Step| Ok(Seconds(bad)), &ENGINE, &RUN, 1).unwrap_err().to_string();
            assert!(error.starts_with("no time for a step of 1 × 1024 tokens after 0: its time is"), "{error}");
        }
        let error = static_batch(&|_: &Step| Err(Untimed("no ceiling".to_owned())), &ENGINE, &RUN, 1).unwrap_err();
        assert!(error.to_string().ends_with(": no ceiling"), "{error}");
    }
}
