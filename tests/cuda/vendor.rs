//! With stand-ins for NVIDIA's libraries beside the stand-in driver: products and exchanges by them, what they do wrong, and the days on which there are none.

use super::*;

/// A folder with the stand-ins for libraries, under the names that NVIDIA's have.
pub(super) fn libraries() -> &'static PathBuf {
    static FOLDER: OnceLock<PathBuf> = OnceLock::new();
    FOLDER.get_or_init(|| {
        let folder = PathBuf::from(env!("CARGO_TARGET_TMPDIR")).join("libraries");
        std::fs::create_dir_all(&folder).unwrap();
        for name in ["libcublasLt.so.12", "libnccl.so.2"] {
            std::fs::copy(stand_in().join("libcuda_libraries.so"), folder.join(name)).unwrap();
        }
        folder
    })
}

/// A probe of products of a small shape, with libraries from some folder, as a profile.
fn probed(patterns: &[&str], folder: &std::path::Path, knobs: &[(&str, &str)]) -> Value {
    let mut arguments =
        vec!["probe", "-d", "cuda:0", "--effort", "quick", "--json", "--no-save", "--shape", "64x64x64"];
    arguments.extend(patterns.iter().flat_map(|pattern| ["-p", pattern]));
    // Of one generation with one kind of kernels.
    let mut all = vec![
        ("ROOFLAB_CUDA_LIBS", folder.to_str().unwrap()),
        ("STAND_IN_CAPABILITY", "8.9"),
        ("STAND_IN_MULTIPROCESSORS", "1"),
    ];
    all.extend_from_slice(knobs);
    let (code, out, err) = run(&Home::new(), &arguments, &all);
    assert_eq!(code, 0, "{out}{err}");
    assert!(!err.contains("stand-in"), "the interpreter found a fault: {err}");
    serde_json::from_str(&out).unwrap()
}

/// The point of a ceiling that has one, or else its reason.
fn point(profile: &Value, name: &str) -> Result<Value, String> {
    let ceilings = profile["ceilings"].as_array().unwrap();
    let ceiling = ceilings.iter().find(|ceiling| ceiling["resource"] == name).unwrap();
    match &ceiling["points"] {
        Value::Null => Err(ceiling["reason"].as_str().unwrap().to_owned()),
        points => Ok(points[0].clone()),
    }
}

#[test]
fn products_by_the_library_are_right() {
    let libraries = [("ROOFLAB_CUDA_LIBS", libraries().to_str().unwrap()), ("STAND_IN_CAPABILITY", "8.9")];
    // Sizes that differ, so that none can stand for another.
    let arguments = ["probe", "-d", "cuda:0", "--check", "--json", "-p", "gemm.*", "--shape", "48x80x128"];
    let (code, out, err) = run(&Home::new(), &arguments, &libraries);
    assert_eq!(code, 0, "{out}{err}");
    let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
    for format in ["f32", "f64", "bf16.f32", "f16.f32", "fp8_e4m3.f32", "int8.int32"] {
        let of_library = rows.iter().filter(|row| {
            let variant = row["variant"].as_str().unwrap();
            row["ceiling"] == format!("gemm.{format}") && row["ok"] == true && variant.starts_with("cuBLASLt 12.9.3")
        });
        assert_eq!(of_library.count(), 3, "{format}: {rows:?}");
    }
}

#[test]
fn the_faster_of_both_stands_and_the_other_is_on_record() {
    let products = ["gemm.bf16.f32", "gemm.f32"];
    let vendors = probed(&products, libraries(), &[]);
    let library = &vendors["instrument"]["libraries"][0];
    assert_eq!((&library["name"], &library["status"]), (&Value::from("cuBLASLt"), &Value::from("used")), "{library}");
    assert_eq!((&library["version"], &library["place"]), (&Value::from("12.9.3"), &Value::from("chosen")));
    let bf16 = point(&vendors, "gemm.bf16.f32").unwrap();
    assert_eq!((&bf16["by"], &bf16["beside"]["by"]), (&Value::from("vendor"), &Value::from("open")), "{bf16}");
    // The second proposal is the fastest, and is found.
    assert!(bf16["variant"].as_str().unwrap().contains("proposal 2: algorithm 22"), "{bf16}");
    assert!(bf16["beside"]["variant"].as_str().unwrap().starts_with("mma.sync"), "{bf16}");
    assert!(bf16["value"].as_f64() > bf16["beside"]["value"].as_f64(), "{bf16}");
    let f32 = point(&vendors, "gemm.f32").unwrap();
    assert_eq!((&f32["by"], &f32["beside"]["status"]), (&Value::from("vendor"), &Value::from("absent")), "{f32}");
    assert!(f32["beside"]["reason"].as_str().unwrap().contains("no products of f32"), "{f32}");
    let own = probed(&products[..1], libraries(), &[("STAND_IN_CUBLASLT_SLOW", "50")]);
    let bf16 = point(&own, "gemm.bf16.f32").unwrap();
    assert_eq!((&bf16["by"], &bf16["beside"]["by"]), (&Value::Null, &Value::from("vendor")), "{bf16}");
    assert!(bf16["value"].as_f64() > bf16["beside"]["value"].as_f64(), "{bf16}");
    assert!(bf16["variant"].as_str().unwrap().starts_with("mma.sync"), "{bf16}");
}

#[test]
fn what_a_library_does_wrong_is_told_beside_rooflabs_own() {
    for (knob, value, said) in [
        ("WRONG", "1", "wrong result: cuBLASLt 12.9.3, proposal 1"),
        ("MULTIPLY", "13", "CUBLAS_STATUS_EXECUTION_FAILED"),
        ("PROPOSE", "15", "has no algorithm: `CUBLAS_STATUS_NOT_SUPPORTED`"),
    ] {
        let knob = format!("STAND_IN_CUBLASLT_{knob}");
        let profile = probed(&["gemm.bf16.f32", "gemm.f32"], libraries(), &[(&knob, value)]);
        let bf16 = point(&profile, "gemm.bf16.f32").unwrap();
        assert_eq!((&bf16["by"], &bf16["beside"]["status"]), (&Value::Null, &Value::from("absent")), "{bf16}");
        assert!(bf16["beside"]["reason"].as_str().unwrap().contains(said), "{knob}: {bf16}");
        // Where there is nothing of rooflab's own, nothing is left.
        let reason = point(&profile, "gemm.f32").unwrap_err();
        assert!(reason.contains(said), "{knob}: {reason}");
    }
}

/// A folder, what is set, and what is said then.
type Case<'a> = (&'a std::path::Path, Option<(&'a str, &'a str)>, &'a str);

#[test]
fn a_library_that_cannot_be_used_is_none() {
    let home = Home::new();
    let folder = |name: &str, fill: &dyn Fn(&std::path::Path)| {
        let folder = home.path().join(name);
        std::fs::create_dir(&folder).unwrap();
        fill(&folder);
        folder
    };
    let broken = folder("broken", &|folder| std::fs::write(folder.join("libcublasLt.so.12"), "no library").unwrap());
    // Some other library by its name.
    let other = folder("other", &|folder| {
        std::fs::copy(stand_in().join("libcuda.so"), folder.join("libcublasLt.so")).unwrap();
    });
    let empty = folder("empty", &|_| ());
    let version = |number| Some(("STAND_IN_CUBLASLT_VERSION", number));
    let cases: [Case<'_>; 6] = [
        (&broken, None, "`libcublasLt.so.12` cannot be loaded: libcublasLt.so.12: "),
        (&other, None, "`libcublasLt.so` lacks `cublasLtGetVersion`"),
        (&empty, None, "the folders that were named have none of `libcublasLt.so.13`"),
        (libraries(), version("10203"), "is version 10.2.3, which this rooflab does not know"),
        (libraries(), version("140000"), "is version 14.0.0, which this rooflab does not know"),
        (libraries(), version("130100"), "is for CUDA 13, and the driver for CUDA 12.9"),
    ];
    for (folder, knobs, said) in cases {
        let mut command = home.rooflab(&["devices"]);
        command.env("LD_LIBRARY_PATH", stand_in()).env("ROOFLAB_CUDA_LIBS", folder).envs(knobs);
        let (code, out, err) = finish(&mut command);
        assert_eq!(code, 0, "{err}");
        let line = out.lines().find(|line| line.starts_with("cuda: no cuBLASLt: ")).unwrap();
        assert!(line.contains(said) && !line.contains(home.path().to_str().unwrap()), "{line}");
    }
    let (_, out, _) = run(&home, &["devices"], &[("ROOFLAB_CUDA_LIBS", libraries().to_str().unwrap())]);
    assert!(out.contains("cuda: cuBLASLt 12.9.3, `libcublasLt.so.12` from the folder that was named"), "{out}");
    // What only a device can tell, its profile tells.
    let profile = probed(&["gemm.bf16.f32", "gemm.f32"], libraries(), &[("STAND_IN_CUBLASLT_CREATE", "1")]);
    let library = &profile["instrument"]["libraries"][0];
    assert_eq!(library["status"], "absent", "{library}");
    let reason = library["reason"].as_str().unwrap();
    assert_eq!(reason, "it cannot be made ready for the device: `CUBLAS_STATUS_NOT_INITIALIZED`");
    let bf16 = point(&profile, "gemm.bf16.f32").unwrap();
    assert_eq!((&bf16["by"], &bf16["beside"]), (&Value::Null, &Value::Null), "{bf16}");
    let reason = point(&profile, "gemm.f32").unwrap_err();
    assert!(reason.contains("yet") && reason.contains("no cuBLASLt"), "{reason}");
}

#[test]
fn both_implementers_are_shown() {
    let knobs = [("ROOFLAB_CUDA_LIBS", libraries().to_str().unwrap()), ("STAND_IN_MULTIPROCESSORS", "1")];
    let arguments =
        ["probe", "-d", "cuda:0", "--effort", "quick", "-p", "gemm.bf16.f32", "--shape", "64x64x64", "--name", "mine"];
    let home = Home::new();
    let (code, out, err) = run(&home, &arguments, &knobs);
    assert!(code == 0 && out.contains("the vendor's; rooflab's own "), "{out}{err}");
    assert!(out.contains("cuBLASLt 12.9.3, `libcublasLt.so.12`"), "{out}");
    let (code, _, err) = home.run(&["profile", "check", "mine"]);
    assert_eq!(code, 0, "{err}");
}

#[test]
fn exchanges_of_all_devices_are_right() {
    // Three devices divide none of the sizes.
    for devices in ["2", "3"] {
        let knobs = [("ROOFLAB_CUDA_LIBS", libraries().to_str().unwrap()), ("STAND_IN_DEVICES", devices)];
        let arguments =
            ["probe", "-d", "cuda:1", "--check", "--json", "-p", "link.peer.all_*", "-p", "link.peer.reduce_scatter"];
        let (code, out, err) = run(&Home::new(), &arguments, &knobs);
        assert_eq!(code, 0, "{out}{err}");
        let rows: Vec<Value> = serde_json::from_str(&out).unwrap();
        for exchange in ["all_reduce", "all_gather", "reduce_scatter", "all_to_all"] {
            let of_exchange = rows.iter().filter(|row| row["ceiling"] == format!("link.peer.{exchange}"));
            let sizes: Vec<u64> = of_exchange
                .filter(|row| row["ok"] == true && row["variant"].as_str().unwrap().starts_with("NCCL 2.27.3, "))
                .map(|row| row["bytes"].as_u64().unwrap())
                .collect();
            assert_eq!(sizes[..3], [1 << 10, 16 << 10, 256 << 10], "{exchange}: {rows:?}");
        }
    }
}

/// What becomes of sums over devices.
fn sums(knobs: &[(&str, &str)]) -> Value {
    let all =
        [&[("ROOFLAB_CUDA_LIBS", libraries().to_str().unwrap()), ("STAND_IN_MULTIPROCESSORS", "1")], knobs].concat();
    let arguments = ["probe", "-d", "cuda:0", "--effort", "quick", "--json", "--no-save", "-p", "link.peer.all_reduce"];
    // Where nothing could be measured, the profile says why, and the command that it is so.
    let (_, out, _) = run(&Home::new(), &arguments, &all);
    let profile: Value = serde_json::from_str(&out).unwrap();
    let library = &profile["instrument"]["libraries"][0];
    assert_eq!((&library["name"], &library["version"]), (&Value::from("NCCL"), &Value::from("2.27.3")), "{library}");
    let ceilings = profile["ceilings"].as_array().unwrap();
    ceilings.iter().find(|ceiling| ceiling["resource"] == "link.peer.all_reduce").unwrap().clone()
}

#[test]
fn a_sum_over_devices_is_a_curve_that_says_how_many_took_part() {
    let ceiling = sums(&[("STAND_IN_DEVICES", "2")]);
    let points = ceiling["points"].as_array().unwrap();
    assert!(points.len() >= 4, "{ceiling}");
    for point in points {
        assert_eq!((&point["devices"], &point["by"]), (&Value::from(2), &Value::from("vendor")), "{point}");
        // Bytes of a device's buffer over the time.
        let (at, time, value) = (&point["at"], &point["time"], &point["value"]);
        let rate = at.as_f64().unwrap() / time.as_f64().unwrap();
        assert!((rate / value.as_f64().unwrap() - 1.0).abs() < 1e-9, "{point}");
    }
}

#[test]
fn exchanges_that_go_wrong_are_told() {
    for (knob, value, status, said) in [
        ("STAND_IN_NCCL_INIT", "1", "failed", "NCCL cannot bring the devices together: unhandled cuda error (1)"),
        ("STAND_IN_NCCL_RUN", "3", "failed", "NCCL fails at the operation: internal error (3)"),
        ("STAND_IN_NCCL_WRONG", "1", "failed", "wrong result: NCCL 2.27.3, 2 devices"),
        ("STAND_IN_DEVICES", "1", "unsupported", "takes two devices of a kind, and the driver shows one"),
    ] {
        let ceiling = sums(&[("STAND_IN_DEVICES", "2"), (knob, value)]);
        assert_eq!(ceiling["status"], status, "{ceiling}");
        assert!(ceiling["reason"].as_str().unwrap().contains(said), "{ceiling}");
    }
}
