//! RL002: the run was on another device than the profile is of.

use super::Rule;
use crate::diagnose::case::Case;
use crate::diagnose::finding::{EvidenceUnit, Found, Severity};
use crate::facts::Identity;

pub(super) const RULE: Rule = Rule {
    id: "RL002",
    name: "other device than the profile",
    explain: "Every share of a ceiling is one of the profile's device. Where the run names another device, or one with another amount of memory, the whole account compares two machines: a \
part with less power, a share of a device, the PCIe card in place of the module with the same name.

Names are compared by their words, so that `NVIDIA H100 80GB HBM3` is the H100 of a profile; where the profile or its datasheet lists what it describes, that decides. Memory counts where it \
differs by more than a tenth, since drivers keep some of it. Result files do not say the driver or the clock: what those change shows as time that nothing explains.",
    check,
};

/// By how much memory may differ, of which drivers keep some.
const SAME_MEMORY: f64 = 0.1;

fn check(case: &Case<'_>) -> Option<Found> {
    let device = &case.inputs.profile.device;
    let subject = &case.inputs.run.subject;
    let profile = format!("profile `{}`", case.inputs.profile.name);
    let from = case
        .inputs
        .run
        .sources
        .first()
        .and_then(|source| source.file.clone())
        .unwrap_or_else(|| "`--device`".to_owned());
    let named = subject.device.as_deref().filter(|name| !is_it(case, name));
    let memory = subject.device_memory.map(crate::units::Bytes::get);
    let memory = memory.filter(|memory| device.memory > 0 && (memory / device.memory as f64 - 1.0).abs() > SAME_MEMORY);
    if named.is_none() && memory.is_none() {
        return None;
    }
    let mut found = Found::new(Severity::Warning, "the run was on another device than the profile is of");
    if let Some(name) = named {
        found = found.text("device of the run", name, from.clone()).text(
            "device of the profile",
            &*device.name,
            profile.clone(),
        );
    }
    if let Some(memory) = memory {
        found = found.number("memory in the run", memory, EvidenceUnit::Bytes, from);
        found = found.number("memory in the profile", device.memory as f64, EvidenceUnit::Bytes, profile);
    }
    Some(found.attempt("name the profile of that device with `-f`, or measure it there: `rooflab probe`"))
}

/// Whether a name is that of the profile's device: by what the profile or its datasheet describes, or because all words of one are in the other.
fn is_it(case: &Case<'_>, name: &str) -> bool {
    let profile = case.inputs.profile;
    let observed = Identity::named(name, profile.device.kind);
    let sheets = || [Some(profile), case.inputs.datasheet].into_iter().flatten();
    if sheets().any(|sheet| sheet.describes(&observed)) {
        return true;
    }
    let words = |name: &str| -> Vec<String> {
        let words = name.split(|c: char| !c.is_alphanumeric()).filter(|word| !word.is_empty());
        words.map(str::to_lowercase).collect()
    };
    let (one, other) = (words(name), words(&profile.device.name));
    let within = |few: &[String], many: &[String]| !few.is_empty() && few.iter().all(|word| many.contains(word));
    within(&one, &other) || within(&other, &one)
}

#[cfg(test)]
mod tests {
    use super::super::super::testing::Run;
    use crate::diagnose::Severity;
    use crate::units::Bytes;

    fn on(device: &str, memory: Option<f64>) -> Option<Severity> {
        let mut run = Run::measured().with(|typed| typed.device = Some(device.to_owned()));
        run.observed.subject.device_memory = memory.map(Bytes);
        run.finds("RL002").map(|found| found.severity)
    }

    #[test]
    fn another_name_or_another_memory_is_another_device() {
        assert_eq!(on("NVIDIA A100-SXM4-80GB", None), Some(Severity::Warning));
        assert_eq!(on("NVIDIA H100 80GB HBM3", Some(47e9)), Some(Severity::Warning));
        assert_eq!(
            Run::qwen().with(|typed| typed.device = Some("NVIDIA H200".to_owned())).finds("RL002").map(|_| ()),
            Some(())
        );
    }

    #[test]
    fn the_same_device_by_another_name_is_the_same() {
        assert_eq!(on("NVIDIA H100 80GB HBM3", None), None);
        assert_eq!(on("NVIDIA H100 80GB HBM3", Some(84.9e9)), None);
        assert_eq!(Run::qwen().finds("RL002"), None);
    }
}
