//! Names of profiles: safe as file names everywhere.

/// Lower case, with a dash for everything that is neither a letter nor a digit of ASCII.
#[must_use]
pub fn slug(text: &str) -> String {
    let mut slug = String::new();
    for character in text.chars().take(120) {
        if character.is_ascii_alphanumeric() {
            slug.push(character.to_ascii_lowercase());
        } else if !slug.is_empty() && !slug.ends_with('-') {
            slug.push('-');
        }
    }
    let slug = slug.trim_end_matches('-');
    if slug.is_empty() { "device".to_owned() } else { slug.to_owned() }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[test]
    fn names_of_devices() {
        assert_eq!(slug("AMD EPYC 9654 96-Core Processor"), "amd-epyc-9654-96-core-processor");
        assert_eq!(slug("Intel(R) Core(TM) i7"), "intel-r-core-tm-i7");
        assert_eq!(slug("../../etc/passwd"), "etc-passwd");
        assert_eq!(slug("…"), "device");
    }

    proptest! {
        #[test]
        fn slugs_are_safe_file_names(text in "\\PC{0,200}") {
            let slug = slug(&text);
            prop_assert!(!slug.is_empty() && slug.len() <= 120);
            prop_assert!(slug.chars().all(|c| c.is_ascii_lowercase() || c.is_ascii_digit() || c == '-'));
            prop_assert!(!slug.starts_with('-') && !slug.ends_with('-'));
        }
    }
}
