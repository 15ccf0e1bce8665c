//! Drives `rooflab plot`, `rooflab report` and `rooflab profile export`: every format, what is read back, and what is said of what cannot be drawn.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::fs;

use common::Home;
use serde_json::Value;

/// A profile with curves of matrix products.
const PRODUCTS: &str = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profiles/products-0.1.json");
/// A machine that was measured, and ships with rooflab.
const MACHINE: &str = "amd-epyc-zen4-2c-kvm.cpu";

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

#[track_caller]
fn fails(line: &str, says: &[&str]) {
    let (code, out, err) = rooflab(&Home::new(), line);
    assert_eq!((code, out.as_str()), (2, ""), "{line}: {err}");
    for part in says {
        assert!(err.contains(part), "`{line}` does not say `{part}`:\n{err}");
    }
}

#[test]
fn pictures_in_the_terminal() {
    insta::assert_snapshot!("roofline", output(&format!("plot roofline {MACHINE} -m llama-3.1-8b")));
    insta::assert_snapshot!("latency", output(&format!("plot latency {MACHINE}")));
    insta::assert_snapshot!("breakdown", output("plot breakdown -m mistral-7b rtx-4090"));
}

#[test]
fn ascii_where_the_terminal_has_no_more() {
    let home = Home::new();
    let (code, out, _) = common::finish(home.rooflab(&["plot", "bandwidth", MACHINE]).env("LC_ALL", "C"));
    assert_eq!(code, 0);
    let body: Vec<&str> = out.lines().skip(2).collect();
    assert!(body.join("\n").is_ascii(), "{out}");
    assert!(body.iter().all(|line| line.len() <= 100), "{out}");
    insta::assert_snapshot!("ascii", out);
}

#[test]
fn images_are_well_formed() {
    let home = Home::new();
    for what in ["roofline", "bandwidth", "latency"] {
        for ending in ["svg", "png", "html", "csv", "json", "txt"] {
            let (code, out, err) = rooflab(&home, &format!("plot {what} {MACHINE} -o {what}.{ending}"));
            assert_eq!((code, out.as_str(), err.as_str()), (0, "", ""), "{what}.{ending}");
        }
        let read = |ending: &str| fs::read(home.path().join(format!("{what}.{ending}"))).unwrap();
        let svg = String::from_utf8(read("svg")).unwrap();
        assert!(svg.starts_with("<svg ") && svg.ends_with("</svg>\n") && !svg.contains("NaN"), "{svg}");
        assert!(svg.matches("<path").count() + svg.matches("<circle").count() > 10);
        assert!(svg.contains("prefers-color-scheme:dark"));
        assert!(read("png").starts_with(b"\x89PNG\r\n\x1a\n") && read("png").len() > 10_000);
        let chart: Value = serde_json::from_slice(&read("json")).unwrap();
        assert!(!chart["series"].as_array().unwrap().is_empty() && chart["x"]["scale"] == "log");
        let html = String::from_utf8(read("html")).unwrap();
        assert!(html.starts_with("<!doctype html>") && html.contains("default-src 'none'"));
        assert!(String::from_utf8(read("csv")).unwrap().lines().count() > 4);
    }
}

#[test]
fn several_pictures_go_to_numbered_files() {
    let home = Home::new();
    let (code, _, err) = rooflab(&home, "plot breakdown -m mistral-7b rtx-4090 -o a.svg --theme dark");
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(home.path().join("a.svg").is_file() && home.path().join("a-2.svg").is_file());
    fails("plot breakdown -m mistral-7b rtx-4090 --format svg", &["standard output holds one", "hint: name a file"]);
}

#[test]
fn what_cannot_be_drawn_says_why() {
    fails("plot bandwidth h200-sxm", &["there is no curve of that kind in `nvidia-h200-sxm`", "hint: `rooflab probe`"]);
    fails("plot roofline h200-sxm -o picture", &["does not say what to write", "`.svg`"]);
    fails("plot frontier -m deepseek-v3 rtx-4090", &["fits into the memory", "--weights w4a16"]);
    fails("report nowhere", &["there is no profile `nowhere`"]);
    fails("report h200-sxm --json", &["a report is a page", "hint: "]);
}

#[test]
fn a_waterfall_ends_at_what_was_measured() {
    let line = "plot waterfall -m qwen2.5-7b -f npu-64gb-300tflops --batch 16 --prompt 1024 --generate 1024 \
                --ttft 1088.62ms --tpot 18.77ms --json";
    let charts: Value = serde_json::from_str(&output(line)).unwrap();
    let decode = &charts[1];
    let bars = |series: &Value| series["bars"].as_array().unwrap().clone();
    let all: Vec<Value> = decode["series"].as_array().unwrap().iter().flat_map(bars).collect();
    let row = |row: u64| all.iter().find(|bar| bar["row"] == row).unwrap();
    let last = all.iter().map(|bar| bar["row"].as_u64().unwrap()).max().unwrap();
    assert_eq!(row(last)["to"], 0.01877);
    assert!((row(last - 1)["to"].as_f64().unwrap() - 0.01877).abs() < 1e-12);
    for index in 1..last {
        assert_eq!(row(index)["from"], row(index - 1)["to"], "row {index}");
    }
}

#[test]
fn what_has_no_waterfall_is_refused() {
    let kernels = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/observations/nsight-compute-raw.csv");
    fails(&format!("plot waterfall {kernels} -f h200-sxm"), &["kernels of a profiler have no waterfall", "hint: "]);
    fails(
        "plot waterfall --product 64x64x64 --dtype f32 --time 1ms -f h200-sxm",
        &["no picture of a matrix product's waterfall", "hint: "],
    );
}

#[test]
fn a_report_is_one_page_and_gives_the_profile_back() {
    let home = Home::new();
    let (code, out, err) = rooflab(&home, &format!("report {MACHINE} -m qwen3-0.6b -m llama-3.1-70b"));
    assert_eq!((code, out.as_str(), err.as_str()), (0, "", "wrote report.html\n"));
    let page = fs::read_to_string(home.path().join("report.html")).unwrap();
    for word in ["src=\"http", "href=\"http", "url(http", "@import", "NaN"] {
        assert!(!page.contains(word), "the page has `{word}`");
    }
    for word in ["What models would do here", "Roofline", "All ceilings", "qwen3-0.6b", "Too large for this memory"] {
        assert!(page.contains(word), "the page lacks `{word}`");
    }
    let (code, back, _) = rooflab(&home, "profile show report.html --json");
    assert_eq!(code, 0);
    assert_eq!(back, output(&format!("profile show {MACHINE} --json")));
    fs::write(home.path().join("other.html"), "<!doctype html><p>nothing</p>").unwrap();
    let (code, _, err) = rooflab(&home, "profile show other.html");
    assert!(code == 2 && err.contains("a page in which no profile is embedded"), "{err}");
}

#[test]
fn several_machines_share_a_page() {
    let home = Home::new();
    let (code, page, err) = rooflab(&home, &format!("report {MACHINE} h200-sxm -m qwen3-8b -o -"));
    assert_eq!((code, err.as_str()), (0, ""));
    assert!(page.contains("AMD EPYC") && page.contains("NVIDIA H200 SXM 141 GB"));
    assert_eq!(page.matches("<script type=\"application/json\"").count(), 2);
    // Only the first is read back, and both the page and the command say so.
    assert!(page.contains("reads the first profile back"));
    fs::write(home.path().join("both.html"), &page).unwrap();
    let (code, back, err) = rooflab(&home, "profile show both.html --json");
    assert_eq!((code, err.as_str()), (0, "note: both.html: the page holds another profile; the first was read\n"));
    assert_eq!(back, output(&format!("profile show {MACHINE} --json")));
}

/// Stores a copy of a bundled profile, changed.
fn changed(home: &Home, name: &str, file: &str, change: impl Fn(&mut Value)) {
    let (_, shown, _) = rooflab(home, &format!("profile show {name} --json"));
    let mut profile: Value = serde_json::from_str(&shown).unwrap();
    change(&mut profile);
    fs::write(home.path().join(file), profile.to_string()).unwrap();
}

#[test]
fn memory_is_what_it_is_said_to_be() {
    for what in ["plot frontier", "plot breakdown", "plot roofline"] {
        let line = format!("{what} -m mistral-7b amd-ryzen-9-7950x");
        fails(&line, &["does not say how much memory", "`--device-memory 64GB`"]);
        assert!(!output(&format!("{line} --device-memory 64GB")).is_empty());
    }
    // What does not fit into 24 GB fits into more.
    assert!(!output("plot frontier -m llama-3.1-70b rtx-4090 --device-memory 1TB").is_empty());
    let report = "report amd-ryzen-9-7950x -m mistral-7b -o -";
    let page = output(report);
    assert!(
        page.contains("mistral-7b: `amd-ryzen-9-7950x` does not say how much memory") && !page.contains("Too large")
    );
    let page = output(&format!("{report} --device-memory 64GB"));
    assert!(page.contains(", with 64.0 GB of memory") && !page.contains("does not say how much memory"));
}

#[test]
fn profiles_are_named_with_and_without_a_flag() {
    let named = output("plot roofline h100-sxm h200-sxm --json");
    assert_eq!(output("plot roofline -f h100-sxm -f h200-sxm --json"), named);
    assert_eq!(output("plot roofline h100-sxm --profile h200-sxm --json"), named);
    assert!(output("report -f h200-sxm -m qwen3-8b -o -").contains("NVIDIA H200 SXM 141 GB"));
}

#[test]
fn a_report_says_what_it_is_of() {
    let page = output("report h200-sxm -m qwen3-8b -o -");
    assert!(page.contains("They are of 1 request of 1024 tokens, 256 generated.") && page.contains("a single user"));
    let page = output("report h200-sxm -m qwen3-8b --prompt 4000 --generate 100 -b 8 -o -");
    assert!(page.contains("They are of 8 requests that start together of 4000 tokens, 100 generated."));
    assert!(!page.contains("1024 tokens") && !page.contains("a single user"));
    // Formats that were tried are named, and no others.
    let page = output("report rtx-4090 -m llama-3.1-70b -o -");
    assert!(page.contains("Too large for this memory: llama-3.1-70b (") && page.contains(" with w4a16 weights)"));
    let page = output("report rtx-4090 -m llama-3.1-70b --weights fp8 -o -");
    assert!(page.contains(" with fp8 weights)") && !page.contains("w4a16"));
    // What is refused is listed, once for each reason.
    let page = output("report h200-sxm -m qwen3-8b -m mistral-7b --tp 3 --link 450GB/s,5us -o -");
    assert!(page.contains("qwen3-8b, mistral-7b: "), "{}", page.contains("qwen3-8b"));
}

#[test]
fn a_page_says_where_numbers_are_ceilings_of_nothing() {
    let home = Home::new();
    changed(&home, MACHINE, "soft.json", |profile| profile["device"]["kind"] = "software".into());
    for line in ["report soft.json -m qwen3-0.6b -o -", "report soft.json h200-sxm -m qwen3-0.6b -o -"] {
        let (code, page, _) = rooflab(&home, line);
        assert_eq!((code, page.matches("SOFTWARE: a processor stands in for a GPU").count()), (0, 2), "{line}");
    }
}

#[test]
fn the_bars_of_a_step_take_its_time() {
    let line = "plot breakdown -m llama-3.1-70b h100-sxm --pp 4 -b 32 --link 450GB/s,5us --json";
    let estimate = output(&line.replace("plot breakdown", "estimate").replace(" h100-sxm", " -f h100-sxm"));
    let (charts, estimate): (Value, Value) =
        (serde_json::from_str(&output(line)).unwrap(), serde_json::from_str(&estimate).unwrap());
    for (index, phase) in ["decode", "prefill"].into_iter().enumerate() {
        let series = charts[index]["series"].as_array().unwrap();
        // Tokens go from stage to stage; the prompts of a batch follow each other through the stages, of which each waits for the first and for the last.
        assert_eq!(series.iter().any(|series| series["name"] == "waiting"), phase == "prefill");
        let bars = series.iter().flat_map(|series| series["bars"].as_array().unwrap());
        let sum: f64 = bars.map(|bar| bar["to"].as_f64().unwrap() - bar["from"].as_f64().unwrap()).sum();
        let time = estimate["estimate"][phase]["time"].as_f64().unwrap();
        assert!((sum / time - 1.0).abs() < 1e-9, "{phase}: {sum} of {time}");
    }
}

#[test]
fn a_waterfall_says_what_its_floor_is_of() {
    let legend = |profile: &str| {
        let line =
            format!("plot waterfall -m qwen3-0.6b -f {profile} --batch 1 --prompt 100 --generate 100 --tpot 1s --json");
        let charts: Value = serde_json::from_str(&output(&line)).unwrap();
        let first = &charts["series"][0];
        (first["name"].as_str().unwrap().to_owned(), first["bars"][0]["detail"].as_str().unwrap().to_owned())
    };
    let (name, detail) = legend("h100-sxm");
    assert!(
        name == "least time by the datasheet" && detail.ends_with("at the datasheet's figures"),
        "{name}: {detail}"
    );
    let (name, detail) = legend(concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profiles/golden-cove-2c-kvm.json"));
    assert!(
        name == "least time by its measured peaks" && detail.ends_with("at its measured peaks"),
        "{name}: {detail}"
    );
}

#[test]
fn a_measured_peak_is_drawn_as_one() {
    let home = Home::new();
    let stroke = |change: fn(&mut Value)| {
        changed(&home, PRODUCTS, "here.json", change);
        let (_, charts, _) = rooflab(&home, "plot products here.json --json");
        let chart: Value = serde_json::from_str(&charts).unwrap();
        let peak = chart["series"].as_array().unwrap().last().unwrap().clone();
        (peak["name"].as_str().unwrap().to_owned(), peak["stroke"].clone())
    };
    let (name, measured) = stroke(|_| {});
    assert!(name.starts_with("peak compute.vector.bf16.f32") && measured == "solid", "{name}: {measured}");
    let (name, stated) = stroke(|profile| {
        let is_peak = |entry: &Value| entry["resource"].as_str().unwrap().starts_with("compute.");
        profile["ceilings"].as_array_mut().unwrap().retain(|ceiling| !is_peak(ceiling));
        let claim = r#"{ "resource": "compute.matrix.bf16.f32", "value": 1e12, "unit": "FLOP/s", "source": "a page" }"#;
        profile["datasheet"] = Value::Array(vec![serde_json::from_str(claim).unwrap()]);
    });
    assert!(name.starts_with("datasheet") && stated == "dashed", "{name}: {stated}");
}

#[test]
fn profiles_in_the_units_of_other_tools() {
    let export = |name: &str| {
        let (code, out, _) = rooflab(&Home::new(), &format!("profile export h200-sxm --to {name}"));
        assert_eq!(code, 0, "{name}");
        out
    };
    let json = |name: &str| serde_json::from_str::<Value>(&export(name)).unwrap();
    // 4.8 TB/s, 989.5 TFLOP/s in bf16, 141 GiB: each in the tool's own units.
    let calculon = json("calculon");
    assert_eq!((&calculon["mem1"]["GBps"], &calculon["mem1"]["GiB"]), (&4800.0.into(), &141.0.into()));
    assert_eq!(calculon["matrix"]["float16"]["tflops"], 989.5);
    let genz = &json("genz")["nvidia-h200-sxm"];
    assert!((genz["Memory_BW"].as_f64().unwrap() - 4.8e12 / f64::from(1 << 30)).abs() < 0.01);
    assert_eq!(json("llm-viewer")["nvidia-h200-sxm"]["bandwidth"], 4.8e12);
    assert_eq!(json("llm-analysis")["mem_per_GPU_in_GB"], 141.0);
    assert_eq!(json("blis")["nvidia-h200-sxm"]["BwPeakTBs"], 4.8);
    assert_eq!(export("gguf-parser"), "989500GFLOPS;4800GBps\n");
    let yaml = export("aiconfigurator");
    for line in [
        "  mem_bw: 4800000000000",
        "  mem_capacity: 151397597184",
        "  bfloat16_tc_flops: 989500000000000",
        "  sm_version: 90",
    ] {
        assert!(yaml.lines().any(|known| known.starts_with(line)), "{line} is not in\n{yaml}");
    }
    assert!(export("prometheus").contains("rooflab_ceiling_bytes_per_second{profile=\"nvidia-h200-sxm\""));
    assert!(export("csv").lines().count() > 8);
    fails("profile export h200-sxm --to nothing", &["possible values: aiconfigurator"]);
    fails("profile export apple-m1-pro --to calculon", &["without which the tool cannot calculate"]);
}

#[test]
fn measured_curves_are_exported_as_steps() {
    let (code, out, err) = rooflab(&Home::new(), &format!("profile export {PRODUCTS} --to calculon"));
    assert_eq!(code, 0, "{err}");
    let system: Value = serde_json::from_str(&out).unwrap();
    let steps = system["matrix"]["float16"]["gflops_efficiency"].as_array().unwrap().clone();
    let size = |step: &Value| step[0].as_f64().unwrap();
    assert!(steps.len() > 3 && size(steps.last().unwrap()) == 0.0);
    assert!(steps.windows(2).all(|pair| size(&pair[0]) > size(&pair[1])), "{steps:?}");
}

/// What is said of an export of a profile in the home.
fn notes(home: &Home, tool: &str) -> String {
    let (code, _, err) = rooflab(home, &format!("profile export here.json --to {tool}"));
    assert_eq!(code, 0, "{err}");
    err
}

#[test]
fn an_export_claims_no_more_than_was_measured() {
    let home = Home::new();
    // By the maker's figures alone.
    changed(&home, "h200-sxm", "here.json", |_| {});
    let stated = "the maker's, which nothing reaches";
    for tool in ["blis", "llm-analysis", "calculon"] {
        let said = notes(&home, tool);
        assert!(said.contains(stated) && !said.contains("are shares that were measured"), "{tool}: {said}");
    }
    let said = notes(&home, "calculon");
    assert!(said.contains("`vector` is as fast as `matrix`") != said.contains("vector arithmetic: "), "{said}");
    assert!(notes(&home, "aiconfigurator").contains("`mem_empirical_constant_latency` is 0: "));
    // Measured, but no products.
    let without_products = |profile: &mut Value| {
        let ceilings = profile["ceilings"].as_array_mut().unwrap();
        ceilings.retain(|ceiling| !ceiling["resource"].as_str().unwrap().starts_with("gem"));
        profile["datasheet"] = Value::Array(Vec::new());
    };
    changed(&home, PRODUCTS, "here.json", without_products);
    assert!(notes(&home, "blis").contains("the peak is that of a measured unit, which no product may reach"));
    let said = notes(&home, "calculon");
    assert!(said.contains("no product of its format was measured, and the peak is that of a measured unit"), "{said}");
    assert!(said.contains("no matrix–vector product was measured, and the bandwidth is measured"), "{said}");
    changed(&home, PRODUCTS, "here.json", |_| {});
    assert!(notes(&home, "blis").contains("the peak is that of a measured product"));
    assert!(notes(&home, "calculon").contains("are shares that were measured at these sizes"));
    assert!(notes(&home, "llm-analysis").contains("the bandwidth is measured"));
}

#[test]
fn a_bandwidth_and_its_factor_come_to_what_was_measured() {
    let home = Home::new();
    let read = "memory.dram.read";
    // A maker that claims less than was measured, as of a kit of memory that is faster than the product's.
    for claim in [1e9, 1e12] {
        changed(&home, MACHINE, "here.json", |profile| {
            profile["datasheet"] =
                serde_json::json!([{ "resource": read, "value": claim, "unit": "B/s", "source": "a page" }]);
        });
        let (_, yaml, _) = rooflab(&home, "profile export here.json --to aiconfigurator");
        let number = |key: &str| -> f64 {
            let line = yaml.lines().find_map(|line| line.trim().strip_prefix(&format!("{key}: "))).unwrap();
            line.split_whitespace().next().unwrap().parse().unwrap()
        };
        let (_, asked, _) = rooflab(&home, "profile ask memory.dram.read here.json --json");
        let asked: Value = serde_json::from_str(&asked).unwrap();
        let measured = asked[0]["value"].as_f64().or_else(|| asked["value"].as_f64()).unwrap();
        let factor = number("mem_bw_empirical_scaling_factor");
        assert!(factor <= 1.0 && (number("mem_bw") * factor / measured - 1.0).abs() < 1e-4, "{yaml}");
    }
}
