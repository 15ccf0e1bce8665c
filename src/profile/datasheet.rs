//! Profiles that ship with rooflab: makers' figures of known products, and measurements from other machines.

use std::sync::{LazyLock, OnceLock};

use super::document::{Match, Profile};
use super::read;
use crate::facts::Identity;

/// A profile that ships with rooflab. It is read when it is first asked for.
#[derive(Debug)]
pub struct Bundled {
    name: &'static str,
    text: &'static str,
    profile: OnceLock<Option<Profile>>,
}

macro_rules! files {
    ($($folder:literal: [$($name:literal,)*],)*) => {
        /// Names and texts of the files.
        const FILES: &[(&str, &str)] =
            &[$($(($name, include_str!(concat!("../../profiles/", $folder, "/", $name, ".json"))),)*)*];
    };
}

// A file that is missing here is found by a test.
files! {
    "datasheet": [
        "amd-instinct-mi250x",
        "amd-instinct-mi300x",
        "amd-instinct-mi325x",
        "amd-ryzen-9-7950x",
        "apple-m1-max",
        "apple-m1-pro",
        "apple-m1-ultra",
        "apple-m2",
        "apple-m2-max",
        "apple-m2-pro",
        "apple-m2-ultra",
        "apple-m3",
        "apple-m3-max-30-core-gpu",
        "apple-m3-max-40-core-gpu",
        "apple-m3-pro",
        "apple-m3-ultra",
        "apple-m4",
        "apple-m4-max-32-core-gpu",
        "apple-m4-max-40-core-gpu",
        "apple-m4-pro",
        "npu-64gb-300tflops",
        "nvidia-a10",
        "nvidia-a100-pcie-40gb",
        "nvidia-a100-pcie-80gb",
        "nvidia-a100-sxm-40gb",
        "nvidia-a100-sxm-80gb",
        "nvidia-a30",
        "nvidia-a40",
        "nvidia-b200",
        "nvidia-gb200",
        "nvidia-geforce-rtx-3090",
        "nvidia-geforce-rtx-4090",
        "nvidia-geforce-rtx-5090",
        "nvidia-h100-nvl",
        "nvidia-h100-pcie",
        "nvidia-h100-sxm",
        "nvidia-h200-nvl",
        "nvidia-h200-sxm",
        "nvidia-l4",
        "nvidia-l40",
        "nvidia-l40s",
        "nvidia-rtx-6000-ada",
        "nvidia-t4",
        "nvidia-v100-sxm2-16gb",
        "nvidia-v100-sxm2-32gb",
    ],
    "measured": [
        "amd-epyc-zen4-2c-kvm.cpu",
    ],
}

static BUNDLED: LazyLock<Vec<Bundled>> =
    LazyLock::new(|| FILES.iter().map(|&(name, text)| Bundled { name, text, profile: OnceLock::new() }).collect());

impl Bundled {
    /// The name it is looked up by.
    #[must_use]
    pub const fn name(&self) -> &'static str {
        self.name
    }

    /// The file it was made from.
    #[must_use]
    pub const fn text(&self) -> &'static str {
        self.text
    }

    /// The profile; none if the file is unreadable, which a test rules out.
    #[must_use]
    pub fn profile(&self) -> Option<&Profile> {
        let read = || read::from_json(self.text.as_bytes()).ok().map(|(profile, _)| profile);
        self.profile.get_or_init(read).as_ref()
    }
}

/// Every profile that ships with rooflab, datasheets first, each kind by name.
#[must_use]
pub fn bundled() -> &'static [Bundled] {
    &BUNDLED
}

/// The bundled profile of this name.
#[must_use]
pub fn bundled_named(name: &str) -> Option<&'static Bundled> {
    BUNDLED.iter().find(|bundled| bundled.name == name)
}

/// The datasheet of a device: the only one whose facts fit it. None when several do, because one of them would be wrong.
#[must_use]
pub fn datasheet_of(device: &Identity) -> Option<&'static Profile> {
    let mut fitting = BUNDLED.iter().filter_map(Bundled::profile).filter(|profile| profile.describes(device));
    match (fitting.next(), fitting.next()) {
        (Some(only), None) => Some(only),
        _ => None,
    }
}

impl Profile {
    /// Whether it holds nothing but makers' figures.
    #[must_use]
    pub fn is_datasheet(&self) -> bool {
        self.ceilings.is_empty() && self.imported.is_empty() && !self.datasheet.is_empty()
    }

    /// Whether it is the datasheet of a device: it is of the same kind, and one of the entries in `matches` fits.
    #[must_use]
    pub fn describes(&self, device: &Identity) -> bool {
        self.device.kind == device.kind && self.matches.iter().any(|entry| entry.fits(device))
    }
}

impl Match {
    /// Whether all its facts hold for a device. What a device does not tell (memory or cores of 0) speaks neither for nor against it.
    #[must_use]
    pub fn fits(&self, device: &Identity) -> bool {
        let memory = device.memory as f64;
        self.name_contains.iter().all(|words| has_words(&device.name, words))
            && !self.name_lacks.iter().any(|words| has_words(&device.name, words))
            && self.memory.is_none_or(|range| device.memory == 0 || (range.from <= memory && memory <= range.to))
            && self.cores.is_none_or(|cores| device.cores == 0 || device.cores == cores)
    }
}

/// Whether a name contains words in this order, each as a whole: `A10` is no word of `A10G`, nor of `A10-24Q`, a share of one.
fn has_words(name: &str, words: &str) -> bool {
    let (name, words) = (name.to_lowercase(), words.to_lowercase());
    let inside_word = |character: char| character.is_alphanumeric() || matches!(character, '-' | '_' | '.');
    !words.is_empty()
        && name.match_indices(&words).any(|(start, found)| {
            let before = name[..start].chars().next_back();
            let after = name[start + found.len()..].chars().next();
            !before.is_some_and(inside_word) && !after.is_some_and(inside_word)
        })
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn words_are_whole() {
        for (name, words, found) in [
            ("NVIDIA A10", "a10", true),
            ("NVIDIA A10G", "A10", false),
            ("NVIDIA A10-24Q", "A10", false),
            ("NVIDIA GeForce RTX 4090/PCIe/SSE2", "RTX 4090", true),
            ("NVIDIA GeForce RTX 4090 D", "D", true),
            ("NVIDIA GeForce RTX 4090", "D", false),
            ("NVIDIA GH200 480GB", "H200", false),
            ("AMD Instinct MI300X (RADV GFX942)", "mi300x", true),
            ("A100 and A100-SXM4-40GB", "A100", true),
            ("", "A100", false),
            ("Gerät ß", "ß", true),
            ("anything", "", false),
        ] {
            assert_eq!(has_words(name, words), found, "`{words}` in `{name}`");
        }
    }
}
