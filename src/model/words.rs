//! A model's formats in words: those that hold most of its bytes.

use super::Model;
use super::format::Precision;
use super::matrix::Role;

/// Parts of a model that tend to have formats of their own.
#[derive(Clone, Copy, Debug, PartialEq, Eq)]
enum Part {
    Experts,
    Layers,
    Tables,
}

impl Part {
    /// Every part, with what it is called.
    const ALL: [(Self, &'static str); 3] =
        [(Self::Experts, "experts"), (Self::Layers, "layers"), (Self::Tables, "tables")];

    const fn of(role: Role) -> Self {
        match role {
            Role::ExpertGate | Role::ExpertUp | Role::ExpertDown => Self::Experts,
            Role::Embedding | Role::Head => Self::Tables,
            _ => Self::Layers,
        }
    }
}

/// Parts with less of the model's bytes than this are not mentioned.
const SMALL_PART: f64 = 0.02;
/// Formats with less of a part's bytes than this are not mentioned.
const SMALL_FORMAT: f64 = 0.1;

impl Model {
    /// Some formats of the model in words, by those that hold most bytes: `bf16`, `mxfp4 experts, bf16 else`, `q4_k + q6_k`.
    #[must_use]
    pub fn formats_in_words(&self, precision: &Precision) -> String {
        let mut sums: Vec<(Part, String, f64)> = Vec::new();
        for (role, format, bytes) in self.stored_matrices(precision) {
            let (part, name) = (Part::of(role), format.name());
            match sums.iter_mut().find(|(other, known, _)| *other == part && *known == name) {
                Some((_, _, sum)) => *sum += bytes.get(),
                None => sums.push((part, name, bytes.get())),
            }
        }
        sums.sort_by(|a, b| b.2.total_cmp(&a.2));
        let all: f64 = sums.iter().map(|(_, _, bytes)| bytes).sum();
        let mut parts: Vec<(&str, String)> = Vec::new();
        for (part, called) in Part::ALL {
            let of_part = || sums.iter().filter(|(other, _, _)| *other == part);
            let bytes: f64 = of_part().map(|(_, _, bytes)| bytes).sum();
            let large = of_part().filter(|(_, _, of_format)| *of_format >= SMALL_FORMAT * bytes);
            if bytes > SMALL_PART * all {
                parts.push((called, large.map(|(_, name, _)| name.as_str()).collect::<Vec<_>>().join(" + ")));
            }
        }
        // From where on all parts are in the same formats.
        let same = (0..parts.len()).find(|&from| parts[from..].iter().all(|(_, formats)| *formats == parts[from].1));
        let Some(same) = same else { return precision.activations.name().to_owned() };
        let mut words: Vec<String> =
            parts[..same].iter().map(|(called, formats)| format!("{formats} {called}")).collect();
        let (called, formats) = &parts[same];
        words.push(match (same, parts.len() - same) {
            (0, _) => formats.clone(),
            (_, 1) => format!("{formats} {called}"),
            _ => format!("{formats} else"),
        });
        words.join(", ")
    }
}

#[cfg(test)]
mod tests {
    use super::super::*;
    use super::*;

    fn words(model: &Model, precision: &Precision) -> String {
        model.formats_in_words(precision)
    }

    #[test]
    fn presets_are_called_by_what_they_are_stored_in() {
        let stored = |name: &str| {
            let model = find_preset(name).unwrap().model().unwrap();
            words(&model, model.stored.as_ref().unwrap())
        };
        assert_eq!(stored("qwen2.5-0.5b"), "bf16");
        assert_eq!(stored("gpt-oss-20b"), "mxfp4 experts, bf16 else");
        assert_eq!(stored("deepseek-v3"), "fp8-block128");
    }

    #[test]
    fn mixtures_are_named_by_part() {
        let model = find_preset("qwen2.5-0.5b").unwrap().model().unwrap();
        let of = |name: &str| Precision::uniform(&model, name.parse().unwrap());
        assert_eq!(words(&model, &of("w4a16")), "w4a16 layers, bf16 tables");
        let mut mixed = of("q4_k");
        assert_eq!(words(&model, &mixed), "q4_k layers, q6_k tables");
        let six = "q6_k".parse().unwrap();
        for block in &mut mixed.blocks {
            block.insert(Role::Down, six);
        }
        assert_eq!(words(&model, &mixed), "q4_k + q6_k layers, q6_k tables");
        assert_eq!(words(&Model::new("nothing", 0, 0, Vec::new()), &mixed), "bf16");
    }

    #[test]
    fn one_format_is_one_word() {
        let model = find_preset("qwen2.5-0.5b").unwrap().model().unwrap();
        for name in ["bf16", "f16", "f32"] {
            assert_eq!(words(&model, &Precision::uniform(&model, name.parse().unwrap())), name);
        }
    }
}
