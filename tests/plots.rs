//! Drives `rooflab plot`, `rooflab report` and `rooflab profile export`: every format, what is read back, and what is said of what cannot be drawn.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::fs;

use common::Home;
use serde_json::Value;

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
    let profile = concat!(env!("CARGO_MANIFEST_DIR"), "/tests/profiles/products-0.1.json");
    let (code, out, err) = rooflab(&Home::new(), &format!("profile export {profile} --to calculon"));
    assert_eq!(code, 0, "{err}");
    let system: Value = serde_json::from_str(&out).unwrap();
    let steps = system["matrix"]["float16"]["gflops_efficiency"].as_array().unwrap().clone();
    let size = |step: &Value| step[0].as_f64().unwrap();
    assert!(steps.len() > 3 && size(steps.last().unwrap()) == 0.0);
    assert!(steps.windows(2).all(|pair| size(&pair[0]) > size(&pair[1])), "{steps:?}");
}
