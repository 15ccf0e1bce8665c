//! The scripts for fleets, as far as they can be checked without a cluster: bash reads them, the manifest has the fields that Kubernetes knows, and both call the command as it is.

#![allow(clippy::unwrap_used, reason = "a helper of tests fails the test")]

mod common;

use std::collections::BTreeSet;
use std::fs;
use std::path::{Path, PathBuf};
use std::process::Command;

use common::Home;
use serde_json::Value;

fn in_repository(path: &str) -> PathBuf {
    Path::new(env!("CARGO_MANIFEST_DIR")).join(path)
}

fn manifest() -> Value {
    let text = fs::read_to_string(in_repository("scripts/fleet/kubernetes.yaml")).unwrap();
    serde_yaml_ng::from_str(&text).unwrap()
}

/// Every script that bash runs.
fn bash_scripts() -> Vec<PathBuf> {
    let mut scripts = Vec::new();
    for folder in ["scripts", "scripts/fleet", ".ci"] {
        for entry in fs::read_dir(in_repository(folder)).into_iter().flatten() {
            let path = entry.unwrap().path();
            let begins = |path: &Path| fs::read(path).is_ok_and(|bytes| bytes.starts_with(b"#!/usr/bin/env bash"));
            if path.is_file() && begins(&path) {
                scripts.push(path);
            }
        }
    }
    scripts
}

#[test]
fn bash_reads_every_script() {
    let scripts = bash_scripts();
    assert!(scripts.iter().any(|path| path.ends_with("fleet/slurm.sh")) && scripts.len() > 3, "{scripts:?}");
    if Command::new("bash").arg("--version").output().is_err() {
        return;
    }
    for script in scripts {
        let output = Command::new("bash").arg("-n").arg(&script).output().unwrap();
        let said = String::from_utf8_lossy(&output.stderr).into_owned();
        assert!(output.status.success() && said.is_empty(), "{}: {said}", script.display());
    }
}

/// Fields of the objects that the manifest uses, by the reference of Kubernetes' API (apps/v1 DaemonSet, core/v1). Anything else would be ignored or refused by the server.
const FIELDS: &[(&str, &[&str])] = &[
    ("", &["apiVersion", "kind", "metadata", "spec"]),
    ("/metadata", &["name", "labels", "annotations", "namespace"]),
    ("/spec", &["selector", "template", "updateStrategy", "minReadySeconds", "revisionHistoryLimit"]),
    ("/spec/selector", &["matchLabels", "matchExpressions"]),
    ("/spec/template", &["metadata", "spec"]),
    ("/spec/template/metadata", &["labels", "annotations", "name"]),
    (
        "/spec/template/spec",
        &[
            "tolerations",
            "terminationGracePeriodSeconds",
            "containers",
            "volumes",
            "nodeSelector",
            "affinity",
            "hostPID",
            "hostNetwork",
            "priorityClassName",
            "serviceAccountName",
            "securityContext",
            "initContainers",
        ],
    ),
    ("/spec/template/spec/tolerations/0", &["key", "operator", "value", "effect", "tolerationSeconds"]),
    (
        "/spec/template/spec/containers/0",
        &[
            "name",
            "image",
            "imagePullPolicy",
            "command",
            "args",
            "env",
            "envFrom",
            "resources",
            "securityContext",
            "volumeMounts",
            "workingDir",
        ],
    ),
    ("/spec/template/spec/containers/0/env/0", &["name", "value", "valueFrom"]),
    ("/spec/template/spec/containers/0/env/0/valueFrom/fieldRef", &["apiVersion", "fieldPath"]),
    ("/spec/template/spec/containers/0/resources", &["requests", "limits", "claims"]),
    (
        "/spec/template/spec/containers/0/securityContext",
        &[
            "allowPrivilegeEscalation",
            "capabilities",
            "privileged",
            "readOnlyRootFilesystem",
            "runAsNonRoot",
            "runAsUser",
            "runAsGroup",
            "seccompProfile",
        ],
    ),
    ("/spec/template/spec/containers/0/volumeMounts/0", &["name", "mountPath", "readOnly", "subPath"]),
    (
        "/spec/template/spec/volumes/0",
        &["name", "emptyDir", "hostPath", "persistentVolumeClaim", "configMap", "secret", "nfs"],
    ),
    ("/spec/template/spec/volumes/0/emptyDir", &["medium", "sizeLimit"]),
];

#[test]
fn the_manifest_has_fields_that_kubernetes_knows() {
    let manifest = manifest();
    for (place, known) in FIELDS {
        let object = manifest.pointer(place).and_then(Value::as_object);
        let object = object.unwrap_or_else(|| panic!("there is no object at `{place}`"));
        for field in object.keys() {
            assert!(known.contains(&field.as_str()), "`{place}/{field}` is no field of Kubernetes'");
        }
    }
    assert_eq!((&manifest["apiVersion"], &manifest["kind"]), (&"apps/v1".into(), &"DaemonSet".into()));
    // The server refuses a selector that its own pods do not fit.
    let labels = &manifest["spec"]["template"]["metadata"]["labels"];
    let selected = manifest["spec"]["selector"]["matchLabels"].as_object().unwrap();
    assert!(!selected.is_empty() && selected.iter().all(|(key, value)| labels[key] == *value));
    let pod = &manifest["spec"]["template"]["spec"];
    let container = &pod["containers"][0];
    // Whole cores, requested as they are limited: only then the kubelet gives cores for oneself.
    assert_eq!(container["resources"]["requests"], container["resources"]["limits"]);
    assert!(container["resources"]["limits"]["cpu"].as_str().unwrap().parse::<u32>().is_ok());
    let volumes: BTreeSet<&str> =
        pod["volumes"].as_array().unwrap().iter().filter_map(|of| of["name"].as_str()).collect();
    for mount in container["volumeMounts"].as_array().unwrap() {
        assert!(volumes.contains(mount["name"].as_str().unwrap()), "{mount}");
    }
    assert_eq!(container["env"][0]["valueFrom"]["fieldRef"]["fieldPath"], "spec.nodeName");
}

#[test]
fn the_manifest_calls_the_command_as_it_is() {
    let manifest = manifest();
    let container = &manifest["spec"]["template"]["spec"]["containers"][0];
    let script = container["args"][0].as_str().unwrap();
    let mount = container["volumeMounts"][0]["mountPath"].as_str().unwrap();
    let call = script.split(" && ").next().unwrap();
    assert!(call.contains(&format!("--output \"{mount}/$NODE.json\"")), "{call}");
    // The same call on the test double: it is understood, and writes the file.
    let home = Home::new();
    let call = call.replace("--device cpu", "--device mock").replace(&format!("\"{mount}/$NODE.json\""), "node.json");
    let words: Vec<&str> = call.split_whitespace().skip(1).chain(["--probe", "overhead.launch"]).collect();
    let (code, _, err) = home.run(&words);
    assert_eq!(code, 0, "{words:?}: {err}");
    assert_eq!(home.run(&["profile", "check", "node.json"]).0, 0);
}

#[test]
fn the_job_script_uses_flags_that_exist() {
    let home = Home::new();
    let script = fs::read_to_string(in_repository("scripts/fleet/slurm.sh")).unwrap();
    let script: String = script.replace("\\\n", " ");
    let mut calls = 0;
    for line in script.lines().filter(|line| !line.trim_start().starts_with('#')) {
        for (call, command) in
            [("\"$ROOFLAB\" probe ", &["probe"][..]), ("\"$ROOFLAB\" profile merge ", &["profile", "merge"])]
        {
            let Some((_, arguments)) = line.split_once(call) else { continue };
            let (_, help, _) = home.run(&[command, &["--help"]].concat());
            let flags = arguments.split_whitespace().map(|word| word.rsplit("+").next().unwrap_or(word));
            for flag in flags.filter(|word| word.starts_with("--")) {
                assert!(help.contains(flag), "{flag} is none of {command:?}");
            }
            calls += 1;
        }
    }
    assert_eq!(calls, 2);
}
