//! The profiles that ship with rooflab: uniform, sound, unambiguous, and consistent with the hardware they describe.

#![allow(clippy::unwrap_used, clippy::panic, reason = "a helper of tests fails the test")]

mod common;

use std::collections::BTreeSet;
use std::path::Path;

use common::Home;
use rooflab::facts::{DeviceKind, Identity};
use rooflab::profile::{
    Bundled, NEGLIGIBLE, Outcome, Profile, bundled, bundled_named, check, datasheet_of, diff, from_json,
};
use rooflab::resource::{Resource, Scope};

fn sheets() -> impl Iterator<Item = &'static Profile> {
    bundled().iter().map(|bundled| bundled.profile().unwrap()).filter(|profile| profile.is_datasheet())
}

fn sheet(name: &str) -> &'static Profile {
    bundled_named(name).unwrap_or_else(|| panic!("there is no {name}")).profile().unwrap()
}

/// The names of a folder's profiles.
fn files(folder: &str) -> BTreeSet<String> {
    let folder = Path::new(env!("CARGO_MANIFEST_DIR")).join("profiles").join(folder);
    let paths = std::fs::read_dir(folder).unwrap().map(|entry| entry.unwrap().path());
    paths.map(|path| path.file_stem().unwrap().to_str().unwrap().to_owned()).collect()
}

#[test]
fn every_file_is_bundled_once() {
    let names: Vec<&str> = bundled().iter().map(Bundled::name).collect();
    let unique: BTreeSet<String> = names.iter().map(|&name| name.to_owned()).collect();
    assert_eq!(unique.len(), names.len());
    assert_eq!(unique, &files("datasheet") | &files("measured"));
}

#[test]
fn every_datasheet_is_as_rooflab_would_write_it() {
    for bundled in bundled() {
        let profile = bundled.profile().unwrap();
        assert_eq!(check(profile), [], "{}", bundled.name());
        let (_, notes) = from_json(bundled.text().as_bytes()).unwrap();
        assert!(notes.is_empty(), "{}: {notes:?}", bundled.name());
        if !profile.is_datasheet() {
            continue;
        }
        assert!(bundled.text() == profile.to_json(), "{} is not in rooflab's own form", bundled.name());
        assert_eq!(profile.name, bundled.name());
        assert!(profile.instrument.is_none() && profile.header.complete, "{}", profile.name);
        assert!(profile.datasheet.is_sorted_by_key(|claim| claim.resource), "{}: claims in order", profile.name);
        assert!(profile.datasheet.windows(2).all(|two| two[0].resource != two[1].resource), "{}", profile.name);
        assert!(files("datasheet").contains(&profile.name));
    }
}

#[test]
fn figures_are_for_dense_data_and_say_how_they_came_about() {
    for profile in sheets() {
        for claim in &profile.datasheet {
            let text = &claim.source;
            assert!(text.len() > 30, "{}: `{text}` names no document", profile.name);
            let with = text.contains("with sparsity");
            assert!(!with || text.contains("halved"), "{}: `{text}` counts zeros", profile.name);
            assert!(
                matches!(claim.resource, Resource::Compute { .. }) || claim.resource.to_string() == "memory.dram.read",
                "{}: no datasheet states {}",
                profile.name,
                claim.resource
            );
        }
    }
}

/// A device as a backend would describe it.
fn device(name: &str, kind: DeviceKind, memory: f64, cores: u32) -> Identity {
    Identity {
        id: "test:0".to_owned(),
        backend: "test".to_owned(),
        kind,
        name: name.to_owned(),
        vendor: None,
        architecture: None,
        isa: None,
        features: Vec::new(),
        cores,
        logical_processors: None,
        caches: Vec::new(),
        cache_line: 0,
        memory: (memory * 1024.0 * 1024.0) as u64,
        driver: None,
        bus: None,
    }
}

/// Names and memory (in MiB) as drivers report them, cores where they matter, and the datasheet they belong to.
const GPUS: &[(&str, f64, u32, Option<&str>)] = &[
    ("NVIDIA H100 80GB HBM3", 81_559.0, 132, Some("nvidia-h100-sxm")),
    ("NVIDIA H100 80GB HBM3 MIG 1g.10gb", 9_984.0, 16, None),
    ("NVIDIA H100 PCIe", 81_559.0, 114, Some("nvidia-h100-pcie")),
    ("NVIDIA H100 NVL", 95_830.0, 132, Some("nvidia-h100-nvl")),
    ("NVIDIA H100 64GB HBM2", 65_247.0, 0, None),
    ("NVIDIA H800", 81_559.0, 132, None),
    ("NVIDIA H20", 97_871.0, 78, None),
    ("NVIDIA H200", 143_771.0, 132, Some("nvidia-h200-sxm")),
    ("NVIDIA H200 NVL", 143_771.0, 132, Some("nvidia-h200-nvl")),
    ("NVIDIA GH200 480GB", 97_871.0, 132, None),
    ("NVIDIA GH200 144G HBM3e", 147_000.0, 132, None),
    ("NVIDIA A100-SXM4-40GB", 40_960.0, 108, Some("nvidia-a100-sxm-40gb")),
    ("NVIDIA A100-SXM4-40GB MIG 7g.40gb", 40_192.0, 98, None),
    ("NVIDIA A100-SXM4-80GB", 81_920.0, 108, Some("nvidia-a100-sxm-80gb")),
    ("NVIDIA A100-SXM-64GB", 65_536.0, 124, None),
    ("NVIDIA A100-PCIE-40GB", 40_960.0, 108, Some("nvidia-a100-pcie-40gb")),
    ("NVIDIA A100 80GB PCIe", 81_920.0, 108, Some("nvidia-a100-pcie-80gb")),
    ("GRID A100-10C", 10_240.0, 0, None),
    ("NVIDIA A800-SXM4-80GB", 81_920.0, 108, None),
    ("Tesla V100-SXM2-16GB", 16_160.0, 80, Some("nvidia-v100-sxm2-16gb")),
    ("Tesla V100-SXM2-32GB", 32_510.0, 80, Some("nvidia-v100-sxm2-32gb")),
    ("Tesla V100-PCIE-16GB", 16_160.0, 80, None),
    ("Tesla T4", 15_109.0, 40, Some("nvidia-t4")),
    ("NVIDIA T4G", 15_109.0, 40, None),
    ("NVIDIA L4", 22_491.0, 58, Some("nvidia-l4")),
    ("NVIDIA L40", 45_496.0, 142, Some("nvidia-l40")),
    ("NVIDIA L40S", 45_373.0, 142, Some("nvidia-l40s")),
    ("NVIDIA L40S-48Q", 49_152.0, 142, None),
    ("NVIDIA A10", 22_515.0, 72, Some("nvidia-a10")),
    ("NVIDIA A10G", 22_515.0, 80, None),
    ("NVIDIA A10-24Q", 24_576.0, 72, None),
    ("NVIDIA A30", 24_062.0, 56, Some("nvidia-a30")),
    ("NVIDIA A40", 45_403.0, 84, Some("nvidia-a40")),
    ("NVIDIA RTX A4000", 16_376.0, 48, None),
    ("NVIDIA GeForce RTX 4090", 24_217.0, 128, Some("nvidia-geforce-rtx-4090")),
    ("NVIDIA GeForce RTX 4090/PCIe/SSE2", 0.0, 0, Some("nvidia-geforce-rtx-4090")),
    ("NVIDIA GeForce RTX 4090 Laptop GPU", 16_376.0, 76, None),
    ("NVIDIA GeForce RTX 4090 D", 24_217.0, 114, None),
    ("NVIDIA GeForce RTX 4090", 49_140.0, 128, None),
    ("NVIDIA GeForce RTX 3090", 24_576.0, 82, Some("nvidia-geforce-rtx-3090")),
    ("NVIDIA GeForce RTX 3090 Ti", 24_564.0, 84, None),
    ("NVIDIA GeForce RTX 5090", 32_607.0, 170, Some("nvidia-geforce-rtx-5090")),
    ("NVIDIA GeForce RTX 5090 Laptop GPU", 24_463.0, 82, None),
    ("NVIDIA GeForce RTX 5090 D v2", 24_463.0, 170, None),
    ("NVIDIA RTX 6000 Ada Generation", 49_140.0, 142, Some("nvidia-rtx-6000-ada")),
    ("Quadro RTX 6000", 24_576.0, 72, None),
    ("NVIDIA B200", 183_359.0, 148, Some("nvidia-b200")),
    ("NVIDIA GB200", 189_471.0, 0, Some("nvidia-gb200")),
    ("AMD Instinct MI300X", 196_592.0, 304, Some("amd-instinct-mi300x")),
    ("AMD Instinct MI300X", 24_560.0, 38, None),
    ("AMD Instinct MI300A", 128_000.0, 228, None),
    ("AMD Instinct MI325X", 262_128.0, 304, Some("amd-instinct-mi325x")),
    ("AMD Instinct MI250X", 65_520.0, 110, None),
    ("Apple M1", 0.0, 0, None),
    ("Apple M1 Pro", 0.0, 0, Some("apple-m1-pro")),
    ("Apple M1 Max", 0.0, 0, Some("apple-m1-max")),
    ("Apple M1 Ultra", 65_536.0, 64, Some("apple-m1-ultra")),
    ("Apple M2", 8_192.0, 8, Some("apple-m2")),
    ("Apple M2 Pro", 0.0, 0, Some("apple-m2-pro")),
    ("Apple M3", 0.0, 0, Some("apple-m3")),
    ("Apple M3 Pro", 0.0, 0, Some("apple-m3-pro")),
    ("Apple M3 Max", 0.0, 0, None),
    ("Apple M3 Max", 0.0, 30, Some("apple-m3-max-30-core-gpu")),
    ("Apple M3 Max", 0.0, 40, Some("apple-m3-max-40-core-gpu")),
    ("Apple M4", 0.0, 0, Some("apple-m4")),
    ("Apple M4 Max", 0.0, 32, Some("apple-m4-max-32-core-gpu")),
    ("Apple M4 Ultra", 0.0, 0, None),
    ("Apple Paravirtual device", 0.0, 0, None),
    ("llvmpipe (LLVM 15.0.7, 256 bits)", 0.0, 0, None),
    ("", 0.0, 0, None),
];

const CPUS: &[(&str, f64, u32, Option<&str>)] = &[
    ("AMD Ryzen 9 7950X 16-Core Processor", 63_400.0, 16, Some("amd-ryzen-9-7950x")),
    ("AMD Ryzen 9 7950X 16-Core Processor", 16_000.0, 4, None),
    ("AMD Ryzen 9 7950X3D 16-Core Processor", 63_400.0, 16, None),
    ("Intel(R) Xeon(R) Processor", 25_000.0, 2, None),
    ("AMD EPYC", 25_000.0, 2, None),
    // Apple's figure is for the chip; its processor cores alone do not reach it.
    ("Apple M1 Max", 65_536.0, 10, None),
];

#[test]
fn devices_find_their_datasheet_and_no_other() {
    for (kind, table) in [(DeviceKind::Gpu, GPUS), (DeviceKind::Cpu, CPUS)] {
        for &(name, memory, cores, expected) in table {
            let device = device(name, kind, memory, cores);
            let found = datasheet_of(&device).map(|profile| profile.name.as_str());
            assert_eq!(found, expected, "{name} with {memory} MiB and {cores} cores");
            if cores > 0 {
                let fitting = sheets().filter(|profile| profile.describes(&device)).count();
                assert!(fitting <= 1, "{name} fits {fitting} datasheets");
            }
        }
    }
    let known: BTreeSet<&str> = GPUS.iter().chain(CPUS).filter_map(|row| row.3).collect();
    // A device that says its cores is told from its siblings; these have no siblings that differ in another fact.
    let untested: Vec<&str> =
        sheets().filter(|profile| !profile.matches.is_empty()).map(|profile| profile.name.as_str()).collect();
    let untested: Vec<&str> = untested.into_iter().filter(|name| !known.contains(name)).collect();
    assert_eq!(
        untested,
        [
            "amd-instinct-mi250x",
            "apple-m2-max",
            "apple-m2-ultra",
            "apple-m3-ultra",
            "apple-m4-max-40-core-gpu",
            "apple-m4-pro"
        ]
    );
}

#[test]
fn known_hardware_fits_its_own_datasheet() {
    for profile in sheets().filter(|profile| !profile.matches.is_empty()) {
        let words = &profile.matches[0].name_contains;
        let mut device = profile.device.clone();
        device.name = words.join(" ");
        let fits = profile.describes(&device);
        assert!(fits, "{}: `{}`, {} cores, {} B", profile.name, device.name, device.cores, device.memory);
        assert_eq!(datasheet_of(&device).map(|found| &found.name), Some(&profile.name));
    }
}

/// What follows from the makers' own figures: the memory's bits and its rate in Gbit/s per pin; multiprocessors, floating-point operations
/// of one in a cycle on f32 vectors and on f16 matrices with f32 sums (0 where that is not stated), and the boost clock in GHz.
type Derived = (&'static str, [f64; 2], f64, f64, f64, f64);

const DERIVED: &[Derived] = &[
    ("nvidia-geforce-rtx-3090", [384.0, 19.5], 82.0, 256.0, 512.0, 1.695),
    ("nvidia-geforce-rtx-4090", [384.0, 21.0], 128.0, 256.0, 512.0, 2.52),
    ("nvidia-geforce-rtx-5090", [512.0, 28.0], 170.0, 256.0, 512.0, 2.407),
    ("nvidia-rtx-6000-ada", [384.0, 20.0], 142.0, 256.0, 1024.0, 2.505),
    ("nvidia-l40", [384.0, 18.0], 142.0, 256.0, 512.0, 2.49),
    ("nvidia-l40s", [384.0, 18.0], 142.0, 256.0, 1024.0, 2.52),
    ("nvidia-l4", [192.0, 12.5], 58.0, 256.0, 1024.0, 2.04),
    ("nvidia-a10", [384.0, 12.5], 72.0, 256.0, 1024.0, 1.695),
    ("nvidia-a40", [384.0, 14.5], 84.0, 256.0, 0.0, 1.74),
    ("nvidia-a30", [3072.0, 2.43], 56.0, 128.0, 2048.0, 1.44),
    ("nvidia-a100-sxm-40gb", [5120.0, 2.43], 108.0, 128.0, 2048.0, 1.41),
    ("nvidia-a100-pcie-40gb", [5120.0, 2.43], 108.0, 128.0, 2048.0, 1.41),
    ("nvidia-a100-sxm-80gb", [5120.0, 3.186], 108.0, 128.0, 2048.0, 1.41),
    ("nvidia-a100-pcie-80gb", [5120.0, 3.024], 108.0, 128.0, 2048.0, 1.41),
    ("nvidia-v100-sxm2-16gb", [4096.0, 1.752], 80.0, 128.0, 1024.0, 1.53),
    ("nvidia-v100-sxm2-32gb", [4096.0, 1.752], 80.0, 128.0, 1024.0, 1.53),
    ("nvidia-t4", [256.0, 10.0], 40.0, 128.0, 1024.0, 1.59),
    ("nvidia-h100-pcie", [5120.0, 3.186], 114.0, 256.0, 0.0, 1.755),
    ("nvidia-h100-sxm", [5120.0, 5.23], 132.0, 256.0, 0.0, 1.98),
    ("amd-instinct-mi300x", [8192.0, 5.2], 304.0, 256.0, 2048.0, 2.1),
    // AMD states 6 TB/s, without the memory's rate.
    ("amd-instinct-mi325x", [0.0, 0.0], 304.0, 256.0, 2048.0, 2.1),
    ("amd-instinct-mi250x", [8192.0, 3.2], 220.0, 128.0, 1024.0, 1.7),
    ("amd-ryzen-9-7950x", [128.0, 5.2], 16.0, 32.0, 0.0, 5.7),
];

#[test]
fn figures_follow_from_the_hardware() {
    let stated = |name: &str, resource: &str| {
        let resource: Resource = resource.parse().unwrap();
        sheet(name).datasheet.iter().find(|claim| claim.resource == resource).map(|claim| claim.value)
    };
    for &(name, [bits, rate], cores, f32, f16, clock) in DERIVED {
        for (resource, derived) in [
            ("memory.dram.read", bits / 8.0 * rate * 1e9),
            ("compute.vector.f32", cores * f32 * clock * 1e9),
            ("compute.matrix.f16.f32", cores * f16 * clock * 1e9),
        ] {
            if derived == 0.0 {
                continue;
            }
            let stated = stated(name, resource).unwrap_or_else(|| panic!("{name} does not state {resource}"));
            assert!((stated / derived - 1.0).abs() < 0.02, "{name} {resource}: {stated:e}, but {derived:e} follows");
        }
        assert_eq!(f64::from(sheet(name).device.cores), cores, "{name}");
    }
}

#[test]
fn units_that_do_not_exist_are_not_claimed() {
    let claims = |name: &str, part: &str| {
        sheet(name)
            .datasheet
            .iter()
            .any(|claim| claim.resource.to_string().starts_with(&format!("compute.matrix.{part}")))
    };
    assert!(!claims("nvidia-v100-sxm2-16gb", "int") && !claims("nvidia-v100-sxm2-32gb", "int"));
    for hopper in ["nvidia-h100-sxm", "nvidia-h100-pcie", "nvidia-h100-nvl", "nvidia-h200-sxm", "nvidia-h200-nvl"] {
        assert!(claims(hopper, "fp8") && !claims(hopper, "int4") && !claims(hopper, "nvfp4"));
    }
    assert!(claims("nvidia-t4", "int4") && !claims("nvidia-t4", "bf16"));
    assert!(claims("nvidia-b200", "nvfp4") && !claims("nvidia-a100-sxm-80gb", "fp8"));
}

/// A measured profile that a datasheet can be compared with, made of the simulated device's.
fn measured(home: &Home) -> Profile {
    let patterns = ["-p", "memory.dram.*", "-p", "compute.*", "-p", "latency*"];
    let arguments = ["probe", "-d", "mock", "--effort", "quick", "--no-save", "--json"];
    let json = home.run(&[&arguments[..], &patterns].concat()).1;
    let (mut profile, _) = from_json(json.as_bytes()).unwrap();
    profile.name = "mine".to_owned();
    profile.device.kind = DeviceKind::Cpu;
    profile.device.name = "AMD Ryzen 9 7950X 16-Core Processor".to_owned();
    profile.device.cores = 16;
    for ceiling in &mut profile.ceilings {
        // What was slow on purpose is not the matter here.
        if let Outcome::Ok { points, .. } = &mut ceiling.outcome {
            points.iter_mut().for_each(|point| point.flags.clear());
        }
    }
    profile
}

#[test]
fn a_datasheet_on_either_side_gives_the_share_that_was_reached() {
    let home = Home::new();
    std::fs::write(home.path().join("mine.json"), measured(&home).to_json()).unwrap();
    let (code, first, _) = home.run(&["profile", "diff", "amd-ryzen-9-7950x", "mine.json"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("gap", first);
    let (code, second, _) = home.run(&["profile", "diff", "mine.json", "amd-ryzen-9-7950x"]);
    assert_eq!(code, 0);
    for text in [&first, &second] {
        assert!(text.contains("54 % of the datasheet") && text.contains("8.8 % of the datasheet"), "{text}");
        assert!(!text.contains("not in the") && !text.contains("latency"), "{text}");
    }
    let (_, json, _) = home.run(&["profile", "diff", "mine.json", "amd-ryzen-9-7950x", "--json"]);
    assert!(json.contains("\"is\": \"claimed\"") && json.contains("\"share\": 0.5"), "{json}");
    // Formats that were not measured are named.
    let (_, text, _) = home.run(&["profile", "diff", "nvidia-h200-sxm", "mine.json"]);
    assert!(text.contains("compute.matrix.fp8_e4m3.f32") && text.contains("not measured"), "{text}");
}

#[test]
fn the_best_matrix_product_is_compared_with_the_arithmetic_it_needs() {
    let home = Home::new();
    let mut mine = measured(&home);
    let compute = mine.ceilings.iter().find(|c| c.resource.to_string() == "compute.vector.f32").unwrap();
    let (mut product, mut points) = (compute.clone(), compute.points().to_vec());
    product.resource = "gemm.bf16.f32".parse().unwrap();
    product.axis = product.resource.axis();
    points[0].shape = Some("1x2x3".parse().unwrap());
    points.push(points[0].clone());
    points[0].value = 494.75e12;
    points[1].shape = Some("1x2x4".parse().unwrap());
    product.outcome = Outcome::Ok { points, limit: None, plateau: None, fit: None };
    product.scope = Scope::Device;
    mine.ceilings.push(product);
    let comparison = diff(sheet("nvidia-h200-sxm"), &mine, NEGLIGIBLE);
    let change = comparison.changes.iter().find(|c| c.key.to_string() == "gemm.bf16.f32").unwrap();
    assert_eq!((change.before, change.after), (Some(989.5e12), Some(494.75e12)));
    assert_eq!(change.shape.map(|shape| shape.to_string()).as_deref(), Some("1×2×3"));
    // The tree shows the share beside the claim.
    mine.datasheet.clone_from(&sheet("nvidia-h200-sxm").datasheet);
    std::fs::write(home.path().join("mine.json"), mine.to_json()).unwrap();
    let (_, text, _) = home.run(&["profile", "show", "mine.json"]);
    let row = text.lines().find(|line| line.contains("bf16.f32") && line.contains("495")).unwrap();
    assert!(text.contains("of peak") && text.contains("of datasheet") && row.contains("50 %"), "{text}");
}

#[test]
fn two_datasheets_can_be_compared() {
    let home = Home::new();
    let (code, text, _) = home.run(&["profile", "diff", "nvidia-h100-sxm", "nvidia-a100-sxm-80gb"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("two-datasheets", text);
}

#[test]
fn bundled_profiles_are_found_by_name_after_the_users_own() {
    let home = Home::new();
    let (code, text, _) = home.run(&["profile", "show", "nvidia-h200-sxm"]);
    assert_eq!(code, 0);
    insta::assert_snapshot!("datasheet", text);
    // An exact name stands above other names that it begins; a beginning must be unambiguous.
    assert!(home.run(&["profile", "show", "nvidia-l40"]).1.starts_with("NVIDIA L40 48 GB"));
    assert!(home.run(&["profile", "show", "nvidia-h200-s"]).1.starts_with("NVIDIA H200 SXM"));
    let (code, _, err) = home.run(&["profile", "show", "nvidia-h200"]);
    assert_eq!(code, 2);
    assert!(err.contains("it is part of: nvidia-h200-nvl, nvidia-h200-sxm"), "{err}");
    let (code, text, _) = home.run(&["profile", "show", "amd-epyc-zen4-2c-kvm.cpu"]);
    assert!(code == 0 && text.contains("dram.read"), "{text}");
    let (code, out, err) = home.run(&["profile", "path", "nvidia-h200-sxm"]);
    assert_eq!((code, out.as_str()), (2, ""));
    assert!(err.contains("has no file of its own") && err.contains("--json > nvidia-h200-sxm.json"), "{err}");
    // A bundled profile written out is the bundled file.
    let (_, json, _) = home.run(&["profile", "show", "nvidia-h200-sxm", "--json"]);
    assert_eq!(json, bundled_named("nvidia-h200-sxm").unwrap().text());
    // One's own of the same name comes first.
    assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick", "--name", "nvidia-l4"]).0, 0);
    assert!(home.run(&["profile", "show", "nvidia-l4"]).1.starts_with("Simulated device"));
    assert_eq!(home.run(&["profile", "path", "nvidia-l4"]).0, 0);
}

#[test]
fn bundled_profiles_are_listed_and_checked() {
    let home = Home::new();
    assert_eq!(home.run(&["probe", "-d", "mock", "--effort", "quick", "--name", "mine"]).0, 0);
    let (code, text, _) = home.run(&["profile", "list"]);
    assert_eq!(code, 0);
    let place = |part: &str| text.find(part).unwrap_or_else(|| panic!("{part} is not in {text}"));
    assert!(place("mine") < place("bundled") && place("bundled") < place("nvidia-h200-sxm"), "{text}");
    assert!(text.contains("datasheet") && text.contains("9 claims"), "{text}");
    let (code, text, _) = home.run(&["profile", "check"]);
    let count = bundled().len();
    assert_eq!(code, 0);
    assert!(
        text.contains("mine.json: ok") && text.contains(&format!("{count} of {count} bundled profiles: ok")),
        "{text}"
    );
    let (_, json, _) = home.run(&["profile", "list", "--json"]);
    let rows: serde_json::Value = serde_json::from_str(&json).unwrap();
    assert_eq!(rows.as_array().unwrap().len(), count + 1);
    assert_eq!((rows[0]["bundled"].as_bool(), rows[1]["bundled"].as_bool()), (Some(false), Some(true)));
}
