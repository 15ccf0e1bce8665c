//! Drives `rooflab estimate` and `rooflab model`: what they show, what they write, and what they say of input that makes no sense.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::fs;
use std::process::{Command, Stdio};

use common::Home;
use serde_json::{Map, Value};

/// Mistral-7B on the datasheet of an RTX 4090.
const SMALL: &str = "estimate -m mistral-7b -f rtx-4090";
/// Qwen2.5-7B on that of an H100.
const SERVER: &str = "estimate -m qwen2.5-7b -f h100-sxm";

/// Runs a line of arguments; gives exit code, standard output and standard error.
fn rooflab(home: &Home, line: &str) -> (i32, String, String) {
    home.run(&line.split_whitespace().collect::<Vec<_>>())
}

/// The output of a line that succeeds and has nothing to say beside it.
fn output(line: &str) -> String {
    let (code, out, err) = rooflab(&Home::new(), line);
    assert_eq!((code, err.as_str()), (0, ""), "{line}: {out}");
    out
}

fn json(line: &str) -> Value {
    serde_json::from_str(&output(line)).unwrap()
}

/// Fails with exit code 2, says all of these on standard error, and writes nothing to standard output.
#[track_caller]
fn fails_in(home: &Home, line: &str, says: &[&str]) {
    let (code, out, err) = rooflab(home, line);
    assert_eq!((code, out.as_str()), (2, ""), "{line}: {err}");
    for part in says {
        assert!(err.contains(part), "`{line}` does not say `{part}`:\n{err}");
    }
    assert!(!err.contains("panicked"), "{err}");
}

#[track_caller]
fn fails(line: &str, says: &[&str]) {
    fails_in(&Home::new(), line, says);
}

#[test]
fn models_are_listed_and_shown() {
    insta::assert_snapshot!("models", output("model list"));
    insta::assert_snapshot!(
        "model",
        ["model show mistral-7b", "model show gpt-oss-20b --weights mxfp4", "model show deepseek-v3 --kv fp8"]
            .map(output)
            .join("\n")
    );
    let models = json("model list --json");
    assert!(models.as_array().unwrap().iter().any(|model| model["parameters"] == 7_241_732_096_u64));
    assert_eq!(json("model show mistral-7b --json")["kv_bytes_per_token"], 131_072.0);
}

#[test]
fn a_model_on_a_datasheet() {
    insta::assert_snapshot!("estimate", output(SMALL));
}

#[test]
fn accounts_have_rows_of_layers_and_of_bounds() {
    insta::assert_snapshot!("by-layer", output(&format!("{SMALL} --by layer")));
    insta::assert_snapshot!("by-resource", output(&format!("{SMALL} --by resource")));
}

#[test]
fn a_measured_profile_beside_a_datasheet() {
    insta::assert_snapshot!("against", output("estimate -m qwen2.5-0.5b -f zen4 --against rtx-4090"));
    fails(
        "estimate -m qwen2.5-0.5b -f zen4 --against datasheet",
        &["no datasheet that ships with rooflab is known", "hint: name a profile"],
    );
}

#[test]
fn loads_queues_and_rates() {
    insta::assert_snapshot!("concurrency", output(&format!("{SERVER} --concurrency 64")));
    insta::assert_snapshot!("rate", output(&format!("{SERVER} --rate 2 --power 700 --price 2.5")));
    let saturated = output(&format!("{SERVER} --rate 1000"));
    assert!(saturated.contains("they arrive faster than they can be answered; "), "{saturated}");
}

#[test]
fn a_run_that_ends_and_lengths_that_vary() {
    let ttft = |line: &str| {
        let document = json(&format!("{SERVER} {line} --json"));
        let served = document["estimate"]["served"]["ttft"]["mean"].as_f64().unwrap();
        (served, document["scenario"].clone())
    };
    // Sixteen requests that start together wait for each other's prompts; of a run without end, few do.
    let (endless, scenario) = ttft("--concurrency 16");
    assert_eq!((scenario.get("requests"), scenario.get("variability")), (None, None));
    let (short, scenario) = ttft("--concurrency 16 --requests 16");
    assert_eq!(scenario["requests"], 16);
    let (long, _) = ttft("--concurrency 16 --requests 1600");
    assert!(endless < long && long < short / 3.0, "{endless} {long} {short}");
    assert!(
        output(&format!("{SERVER} --concurrency 16 --requests 64"))
            .contains("16 requests in flight, of 64 in all, of 1024")
    );
    // Replicas share the requests of the run as they share those in flight.
    let (shared, _) = ttft("--concurrency 32 --requests 32 --dp 2");
    assert!((shared / short - 1.0).abs() < 1e-9, "{shared} {short}");
    let (equal, _) = ttft("--rate 20");
    let (varied, scenario) = ttft("--rate 20 --variability 1");
    assert!(varied > equal && scenario["variability"] == 1.0, "{equal} {varied}");
    fails(&format!("{SERVER} --concurrency 16 --requests 8"), &["`requests` is 8; expected 16 or more"]);
    fails(&format!("{SERVER} --rate 2 --variability=-1"), &["variability"]);
    fails(&format!("{SERVER} --requests 8"), &["--concurrency"]);
}

#[test]
fn two_devices_show_what_their_exchange_costs() {
    let line = "estimate -m llama-3.1-70b -f h100-sxm --weights fp8 --tp 2 --link 450GB/s,5us";
    insta::assert_snapshot!("two-devices", output(line));
    // However small its share: C57.
    let fast = output(&format!("{SERVER} -b 64 --tp 2 --link 100000GB/s,1ns"));
    assert!(fast.contains("├─ communication"), "{fast}");
}

#[test]
fn what_does_not_fit_says_by_how_much_and_what_would() {
    let out = output("estimate -m llama-3.1-70b -f rtx-4090");
    insta::assert_snapshot!("too-large", out);
    assert!(out.contains("does not fit, by ") && out.contains("`--tp 8`"), "{out}");
    let many = output(&format!("{SMALL} -b 60"));
    let remedies = "no more than 38 sequences; or no more than 656 tokens each; or a cache of fp8_e4m3; or weights of ";
    assert!(many.contains(remedies), "{many}");
    // The counts are of all devices.
    let replicas = output(&format!("{SMALL} -b 240 --dp 4"));
    assert!(replicas.contains("no more than 152 sequences; or no more than 656 tokens each; or "), "{replicas}");
    assert!(replicas.contains("they do not fit into memory at the same time; 152 do"), "{replicas}");
    // Memory has room for more than a step has tokens for.
    let chunk = output(&format!("{SMALL} -b 32 --chunk 16"));
    assert!(chunk.contains("fits: up to "), "{chunk}");
    assert!(chunk.contains("a step has not enough tokens for all of them; 16 can run"), "{chunk}");
    // What drivers keep is nothing, unless it is given.
    let unknown = "drivers, libraries and captured graphs are counted as nothing";
    assert!(chunk.contains(unknown), "{chunk}");
    let reserved = output(&format!("{SMALL} --reserve 1.5GB --host 0.5ms"));
    assert!(reserved.contains("├─ reserve  ") && !reserved.contains(unknown), "{reserved}");
}

#[test]
fn drafts_and_the_frontier() {
    insta::assert_snapshot!(
        "speculation",
        output("estimate -m llama-3.1-70b -f h200-sxm --weights fp8 --speculate llama-3.2-1b:0.7")
    );
    insta::assert_snapshot!("frontier", output(&format!("{SERVER} --frontier")));
}

#[test]
fn requirements_are_met_or_answered_no() {
    let search = format!("{SERVER} --weights bf16,fp8,w4a16 --require ttft<500ms,tpot<10ms");
    insta::assert_snapshot!("require", output(&search));
    let (code, out, err) = rooflab(&Home::new(), &format!("{SERVER} --require tpot<1us"));
    assert_eq!((code, err.as_str()), (1, ""));
    assert!(out.contains("nothing that was tried meets the requirements"), "{out}");
    let home = Home::new();
    assert_eq!(rooflab(&home, &format!("{search} --json -o found.json")), (0, String::new(), String::new()));
    let found: Value = serde_json::from_str(&fs::read_to_string(home.path().join("found.json")).unwrap()).unwrap();
    assert!(found[0]["verdict"]["best"]["tpot"].as_f64().unwrap() < 0.01, "{found}");
}

#[test]
fn sweeps_are_tables_lines_and_documents() {
    let line = format!("{SERVER} --sweep batch=1-64*4 --sweep context=1k,8k,64k");
    insta::assert_snapshot!("sweep", output(&line));
    let csv = output(&format!("{line} --format csv"));
    insta::assert_snapshot!("sweep-csv", csv);
    let columns = csv.lines().next().unwrap().split(',').count();
    assert!(csv.lines().all(|line| line.split(',').count() == columns), "{csv}");
    let rows = json(&format!("{line} --format json"));
    assert_eq!(rows.as_array().unwrap().len(), 12);
    // A longer context makes a longer step.
    let step = |row: usize| rows[row]["point"]["step"].as_f64().unwrap();
    assert!(step(0) < step(1) && step(1) < step(2), "{rows}");
    // Some points fail, and say why; where all do, the sweep does.
    let csv = output(&format!("{SERVER} --sweep context=1k,1M --format csv"));
    let last = csv.lines().last().unwrap();
    assert!(last.starts_with("1000000,,") && last.contains("is beyond the 131072 tokens"), "{csv}");
    let (code, _, err) = rooflab(&Home::new(), &format!("{SERVER} --sweep context=1M,2M"));
    assert_eq!(code, 2);
    assert!(err.contains("`context` 1000000 is beyond the 131072 tokens"), "{err}");
}

/// What of a value contradicts a schema, by as much of JSON Schema as the types generate.
fn faults(root: &Value, schema: &Value, value: &Value, at: &str) -> Vec<String> {
    // A reference may stand beside the other words; what it refers to holds too.
    let referred = schema["$ref"].as_str().map(|path| root.pointer(path.trim_start_matches('#')).unwrap());
    let schemas: Vec<&Value> = std::iter::once(schema).chain(referred).collect();
    let mut found = Vec::new();
    let mut properties = Map::new();
    for schema in &schemas {
        let choices = schema["anyOf"].as_array().or(schema["oneOf"].as_array());
        if choices.is_some_and(|choices| choices.iter().all(|one| !faults(root, one, value, at).is_empty())) {
            found.push(format!("{at}: {value} is none of the choices"));
        }
        if schema.get("const").is_some_and(|only| only != value)
            || !is_listed(schema, value)
            || !is_typed(schema, value)
        {
            found.push(format!("{at}: {value} is not as in {schema}"));
        }
        for field in schema["required"].as_array().into_iter().flatten().filter_map(Value::as_str) {
            if value.get(field).is_none() {
                found.push(format!("{at}: `{field}` is missing"));
            }
        }
        for (index, item) in value.as_array().into_iter().flatten().enumerate() {
            found.extend(
                schema.get("items").map_or_else(Vec::new, |of| faults(root, of, item, &format!("{at}/{index}"))),
            );
        }
        properties.extend(schema["properties"].as_object().cloned().unwrap_or_default());
    }
    for (field, inner) in value.as_object().filter(|_| !properties.is_empty()).into_iter().flatten() {
        match properties.get(field) {
            Some(of) => found.extend(faults(root, of, inner, &format!("{at}/{field}"))),
            None => found.push(format!("{at}: nobody knows `{field}`")),
        }
    }
    found
}

fn is_listed(schema: &Value, value: &Value) -> bool {
    schema["enum"].as_array().is_none_or(|all| all.contains(value))
}

/// Whether a value is of a type, or one of the types, that a schema names.
fn is_typed(schema: &Value, value: &Value) -> bool {
    let is = |name: &Value| match name.as_str() {
        Some("object") => value.is_object(),
        Some("array") => value.is_array(),
        Some("string") => value.is_string(),
        Some("boolean") => value.is_boolean(),
        Some("null") => value.is_null(),
        Some("integer") => value.is_u64() || value.is_i64(),
        Some("number") => value.is_number(),
        _ => false,
    };
    match schema.get("type") {
        None => true,
        Some(Value::Array(names)) => names.iter().any(is),
        Some(name) => is(name),
    }
}

#[test]
fn documents_keep_to_their_schema() {
    let schema = json("generate schema estimate");
    for line in [
        SMALL,
        "estimate -m llama-3.1-70b -f rtx-4090",
        "estimate -m qwen2.5-0.5b -f zen4 --against rtx-4090 --concurrency 4",
        "estimate -m mixtral-8x7b -f h100-sxm --tp 2 --ep 2 --link 450GB/s,5us --chunk 512 --free-memory 0.8 --rate 1000 --uniform-cache",
        "estimate -m llama-3.1-70b -f h200-sxm --weights fp8 --speculate llama-3.2-1b:0.7 --frontier --power 700 --price 2.5",
    ] {
        let document = json(&format!("{line} --json"));
        assert_eq!(faults(&schema, &schema, &document, ""), [""; 0], "{line}");
        // What is no such document has faults.
        let mut other = document.clone();
        other["estimate"]["memory"]["lines"][0]["bytes"] = "many".into();
        other["colour"] = "blue".into();
        other["scenario"].as_object_mut().unwrap().remove("prompt");
        assert_eq!(faults(&schema, &schema, &other, "").len(), 3, "{line}");
    }
}

/// An engine profile of an RTX 4090, whose products reach 40 TFLOP/s.
fn engine(home: &Home) -> String {
    let products = |m: u64| serde_json::json!({ "shape": { "m": m, "n": 4096, "k": 4096 }, "value": 40e12 });
    let document = serde_json::json!({
        "schema": "rooflab.engine/1", "created": "2026-11-22T00:00:00Z", "name": "some engine", "version": "1.0",
        "device": "NVIDIA GeForce RTX 4090", "step": 0.002, "layer": 0.0001,
        "ceilings": [{ "resource": "gemm.bf16.f32", "points": [products(1), products(1024)] }],
    });
    fs::write(home.path().join("engine.json"), document.to_string()).unwrap();
    format!("{SMALL} --engine engine.json")
}

#[test]
fn an_engine_profile_is_in_the_estimate_and_named() {
    let home = Home::new();
    let line = engine(&home);
    let (code, text, err) = rooflab(&home, &line);
    assert_eq!((code, err.as_str()), (0, ""), "{text}");
    for said in [" · under some engine 1.0", "framework", "some engine 1.0 itself takes 2.00 ms for a step"] {
        assert!(text.contains(said), "no `{said}` in\n{text}");
    }
    let (_, written, _) = rooflab(&home, &format!("{line} --json"));
    let with: Value = serde_json::from_str(&written).unwrap();
    let schema = json("generate schema estimate");
    assert_eq!(faults(&schema, &schema, &with, ""), [""; 0]);
    let without = json(&format!("{SMALL} --json"));
    let time = |document: &Value, phase: &str, of: &str| document["estimate"][phase][of].clone();
    assert!(time(&with, "prefill", "time").as_f64() > time(&without, "prefill", "time").as_f64());
    assert_eq!(time(&with, "decode", "floor"), time(&without, "decode", "floor"));
    let diagnosis = "diagnose -m mistral-7b -f rtx-4090 --engine engine.json --batch 1 --prompt 1024 --generate 256 --tpot 25ms --ttft 600ms";
    let (code, text, err) = rooflab(&home, diagnosis);
    assert_eq!((code, err.as_str()), (0, ""), "{text}");
    assert!(text.contains(" · under some engine 1.0") && text.contains("the engine's own operators"), "{text}");
}

#[test]
fn an_engine_profile_of_another_device_is_refused() {
    let home = Home::new();
    let line = engine(&home).replace("rtx-4090", "h100-sxm");
    fails_in(
        &home,
        &line,
        &["`engine.json` was measured on `NVIDIA GeForce RTX 4090`", "hint: an engine profile holds for the device"],
    );
    fs::write(home.path().join("engine.json"), "{}").unwrap();
    fails_in(
        &home,
        &line,
        &["cannot use `engine.json` as an engine profile", "hint: `rooflab generate schema engine`"],
    );
}

#[test]
fn names_that_are_none() {
    fails(
        "estimate -m mistral-7c -f rtx-4090",
        &["cannot read the model `mistral-7c`", "did you mean mistral-7b-v0.1", "hint: `rooflab model list`"],
    );
    fails("estimate -m llama-3 -f rtx-4090", &["`llama-3` may be llama-3.1-8b, "]);
    fails("model show nothing-like-it", &["`nothing-like-it` is no model that ships with rooflab"]);
    fails("estimate -m no/such/config.json -f rtx-4090", &["there is no file `no/such/config.json`"]);
    fails("estimate -m mistral-7b -f nobody", &["there is no profile `nobody`", "hint:"]);
    fails(&format!("{SMALL} --against nobody"), &["there is no profile `nobody`"]);
    fails(&format!("{SMALL} --weights w9"), &["`w9` is no format of weights; known are bf16, "]);
    fails(&format!("{SMALL} --kv w9"), &["`w9` is no format of keys and values; known are "]);
    fails(&format!("{SMALL} --speculate x"), &["`--speculate x` is not a model and a share"]);
    fails(&format!("{SMALL} --speculate llama-3.2-1b:NaN"), &["`--speculate llama-3.2-1b:NaN` is not"]);
    fails(
        &format!("{SMALL} --link fast"),
        &["`--link fast` is not a bandwidth and a latency above zero, such as `450GB/s,5us`"],
    );
    fails(&format!("{SMALL} --link 0GB/s,1us"), &["`bandwidth` is 0 B/s: it must be above 0"]);
    fails(&format!("{SMALL} --require fast"), &["`fast` is no requirement"]);
    fails(&format!("{SMALL} --require ttft<NaN"), &["`ttft<NaN` is no requirement"]);
    fails(&format!("{SMALL} --sweep colour=1"), &["`colour` cannot be swept; what can: `batch`, "]);
    fails(&format!("{SMALL} --sweep batch=8-1"), &["the range `8-1` does not go up"]);
    fails(&format!("{SMALL} --sweep batch=1 --sweep batch=2"), &["`batch` is swept twice"]);
    fails(&format!("{SMALL} --format csv"), &["`--format csv` is for sweeps", "hint: add `--sweep"]);
    fails(&format!("{SMALL} --require ttft<1s --format csv"), &["`--require` has no `--format csv`", "hint:"]);
}

#[test]
fn numbers_that_nothing_can_be_estimated_with() {
    for (arguments, says) in [
        ("--batch 0", "'0' for '--batch <N>': it must be above zero"),
        ("--batch -1", "unexpected argument '-1'"),
        ("--batch 1e18", "`1e18` is not a size"),
        ("--batch 18446744073709551615", "'18446744073709551615' for '--batch <N>'"),
        ("--chunk 0", "'0' for '--chunk <N>': it must be above zero"),
        ("--tp 0", "'0' for '--tp <N>': it must be above zero"),
        ("--context 40k", "`context` 40000 is beyond the 32768 tokens that `mistral-7b-v0.1` was made for"),
        ("--prompt 30k --generate 4k", "`prompt + generate` 34000 is beyond the 32768 tokens"),
        ("--tp 3 --link 450GB/s,5us", "`tp` 3 does not divide `heads` 32"),
        ("--tp 2", "neither `--link` nor the profile says over what"),
        ("--pp 1000 --link 450GB/s,5us", "`pp` 1000 is more than the 32 layers"),
        ("--ep 8 --link 450GB/s,5us", "`ep` 8 needs experts, and the model has none"),
        ("--rate NaN", "`rate` is NaN; expected "),
        ("--rate=-1", "`rate` is -1; expected "),
        ("--rate 1e300", "; expected 1e-12 to 1e12 requests per second"),
        ("--memory NaN", "a `fraction` of memory of NaN: it must be above 0 and at most 1"),
        ("--memory 0", "a `fraction` of memory of 0: it must be above 0 and at most 1"),
        ("--free-memory 1.5", "a `fraction` of memory of 1.5: it must be above 0 and at most 1"),
        ("--skew NaN", "`skew` NaN of the routing is not a number from 0 (uniform) to 8"),
        ("--power 0", "`watts` is 0: it must be above 0"),
        ("--price inf", "`price_per_hour` is inf: it must be above 0"),
    ] {
        fails(&format!("{SMALL} {arguments}"), &["error: ", says]);
    }
}

#[test]
fn sizes_beyond_any_machine_are_answered_or_refused() {
    for arguments in ["--block 1T", "--chunk 1T", "--concurrency 1T", "--batch 1T", "--dp 1T", "--batch 9000000000G"] {
        let (code, out, err) = rooflab(&Home::new(), &format!("{SMALL} {arguments}"));
        assert!(code == 0 && !out.is_empty() || code == 2 && err.starts_with("error: "), "{arguments}: {out}{err}");
        assert!(!err.contains("panicked"), "{arguments}: {err}");
    }
}

#[test]
fn a_profile_without_what_a_step_needs_says_what() {
    fails(
        "estimate -m mistral-7b -f apple-m3-ultra --device-memory 96GB",
        &["the profile `apple-m3-ultra` lacks `gemm.bf16.f32` (", "hint: `rooflab probe` measures what is missing"],
    );
}

#[test]
fn memory_that_a_profile_does_not_state_is_asked_for() {
    fails(
        "estimate -m mistral-7b -f amd-ryzen-9-7950x",
        &["`amd-ryzen-9-7950x` does not say how much memory the device has", "hint: say it: `--device-memory 64GB`"],
    );
    let text = output("estimate -m mistral-7b -f amd-ryzen-9-7950x --device-memory 64GB");
    assert!(text.contains("64.0 GB") && text.contains("fits: up to"), "{text}");
    // Its vector units have figures for f32 alone, and multiply what is widened to it.
    assert!(text.contains("`compute.vector.f32` for `gemm.bf16.f32`"), "{text}");
}

#[test]
fn of_a_floor_that_is_not_known_nothing_is_said() {
    let home = Home::new();
    let measured = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profiles/golden-cove-2c-kvm.json");
    let mut profile: Value = serde_json::from_str(&fs::read_to_string(measured).unwrap()).unwrap();
    let ceilings = profile["ceilings"].as_array_mut().unwrap();
    ceilings.retain(|ceiling| !ceiling["resource"].as_str().unwrap().starts_with("compute."));
    fs::write(home.path().join("bare.json"), profile.to_string()).unwrap();
    let line = "estimate -m qwen3-0.6b --device-memory 64GB -f ";
    assert!(output(&format!("{line}{measured}")).contains("at this context, a step is bound by "));
    let (code, out, err) = rooflab(&home, &format!("{line}bare.json"));
    assert_eq!(code, 0, "{err}");
    assert!(!out.contains("at this context, a step is bound by "), "{out}");
    let (_, out, _) = rooflab(&home, &format!("{line}bare.json --json"));
    let decode: Value = serde_json::from_str(&out).unwrap();
    assert_eq!(
        (&decode["estimate"]["decode"]["floor"], &decode["estimate"]["ridge_batch"]),
        (&Value::Null, &Value::Null)
    );
}

/// A configuration of a model like Llama.
const CONFIGURATION: &str = r#"{
    "model_type": "llama", "hidden_size": 4096, "intermediate_size": 14336, "num_hidden_layers": 32, "num_attention_heads": 32,
    "num_key_value_heads": 8, "vocab_size": 32000, "max_position_embeddings": 32768
}"#;

#[test]
fn configurations_that_are_those_of_no_model() {
    let home = Home::new();
    let line = "estimate -m ./config.json -f rtx-4090";
    let path = home.path().join("config.json");
    fs::write(&path, CONFIGURATION).unwrap();
    assert_eq!(rooflab(&home, line).0, 0);
    for (from, to, says) in [
        ("32000", "", "it is not JSON"),
        ("4096", "NaN", "it is not JSON"),
        ("4096", "1e18", "field `hidden_size`: `1e+18` is not a whole number"),
        ("4096", "-1", "field `hidden_size`: `-1` is not a whole number"),
        ("4096", "\"many\"", "field `hidden_size`: `\"many\"` is not a whole number"),
        ("\"hidden_size\": 4096,", "", "field `hidden_size` is missing"),
        ("\"num_attention_heads\": 32", "\"num_attention_heads\": 30", "4096 cannot be shared by 30 heads"),
        (
            "\"num_key_value_heads\": 8",
            "\"num_key_value_heads\": 5",
            "`blocks[0].kv_heads` is 5: the 32 query heads cannot",
        ),
        ("\"num_hidden_layers\": 32", "\"num_hidden_layers\": 0", "`layers` is 0: it must be at least 1"),
        (
            "\"num_hidden_layers\": 32",
            "\"num_hidden_layers\": 1000000000000000000",
            "`num_hidden_layers` is 1000000000000000000: no model has that many",
        ),
        ("14336", "4294967297", "`blocks[0].intermediate` is 4294967297: no model is that large"),
        ("32768", "0", "`max_context` is 0: it must be at least 1"),
        ("llama", "no-such", "field `model_type`: `no-such` (known are llama, "),
    ] {
        assert!(CONFIGURATION.contains(from), "{from}");
        fs::write(&path, CONFIGURATION.replacen(from, to, 1)).unwrap();
        fails_in(&home, line, &["cannot read the model `./config.json`", says]);
    }
    for (text, says) in [("", "it is not JSON"), (&CONFIGURATION[..90], "it is not JSON"), ("[1]", "is not an object")]
    {
        fs::write(&path, text).unwrap();
        fails_in(&home, line, &["cannot read the model `./config.json`", says]);
    }
    // A cause is given once, not again for each error that it is in.
    fs::write(&path, "").unwrap();
    let (_, _, err) = rooflab(&home, line);
    assert_eq!(err.matches("EOF while parsing").count(), 1, "{err}");
}

#[test]
fn files_of_weights_that_are_none() {
    let home = Home::new();
    let header = |version: u32, tensors: u64, pairs: u64| {
        [&b"GGUF"[..], &version.to_le_bytes(), &tensors.to_le_bytes(), &pairs.to_le_bytes()].concat()
    };
    let key = [header(3, 0, 1), (1_u64 << 63).to_le_bytes().to_vec(), b"x".to_vec()].concat();
    for (bytes, says) in [
        (header(3, u64::MAX, u64::MAX), "number of tensors is 18446744073709551615, which no model's is"),
        (key, "length of a key is 9223372036854775808, which no model's is"),
        (header(99, 0, 0), "it is of version 99; known are 2 and 3"),
        (header(3, 0, 0), "it is truncated"),
        (b"GGUF\x03".to_vec(), "it is truncated"),
        (b"FUGG".repeat(20), "it is not a GGUF file"),
    ] {
        fs::write(home.path().join("model.gguf"), bytes).unwrap();
        fails_in(&home, "estimate -m model.gguf -f rtx-4090", &["cannot read the model `model.gguf`", says]);
    }
}

#[test]
#[cfg(target_os = "linux")]
fn what_cannot_be_written_is_an_error() {
    fails(&format!("{SMALL} -o no/such/folder.txt"), &["cannot write to `no/such/folder.txt`", "hint:"]);
    for arguments in ["", "--json", "--sweep batch=1,2 --format csv", "--require ttft<9s"] {
        fails(
            &format!("{SMALL} {arguments} -o /dev/full"),
            &["cannot write to `/dev/full`", "No space left on device", "hint: choose another file"],
        );
    }
    let full = fs::OpenOptions::new().write(true).open("/dev/full").unwrap();
    let binary = assert_cmd::cargo::cargo_bin("rooflab");
    let output = Command::new(binary).args(SMALL.split(' ')).stdout(full).output().unwrap();
    assert_eq!(output.status.code(), Some(2));
    assert!(String::from_utf8_lossy(&output.stderr).contains("cannot write to standard output"));
}

#[test]
fn files_have_what_standard_output_would() {
    let home = Home::new();
    assert_eq!(rooflab(&home, &format!("{SMALL} -o estimate.txt")), (0, String::new(), String::new()));
    assert_eq!(fs::read_to_string(home.path().join("estimate.txt")).unwrap(), output(SMALL));
    assert_eq!(rooflab(&home, &format!("{SMALL} -o -")).1, output(SMALL));
}

#[test]
fn a_reader_that_leaves_early_is_no_failure() {
    let binary = assert_cmd::cargo::cargo_bin("rooflab");
    let mut child = Command::new(binary)
        .args(SMALL.split(' ').chain(["--json"]))
        .stdout(Stdio::piped())
        .stderr(Stdio::piped())
        .spawn()
        .unwrap();
    drop(child.stdout.take());
    let output = child.wait_with_output().unwrap();
    assert_eq!((output.status.code(), output.stderr.as_slice()), (Some(0), &b""[..]));
}
