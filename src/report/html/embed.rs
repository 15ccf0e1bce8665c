//! Documents inside of a page, so that they can be read back from it.

use crate::profile::{SCRIPT_END, SCRIPT_START};

/// A document as a script that is data. What could end the script is written as JSON allows it to be.
pub(super) fn script(schema: &str, json: &str) -> String {
    // JSON has these characters in strings alone, where they may be escaped.
    let json = json.replace('<', "\\u003c").replace('>', "\\u003e");
    let schema = schema.replace('"', "");
    format!("{SCRIPT_START} data-schema=\"{schema}\">\n{}{SCRIPT_END}\n", json.trim_end())
}

#[cfg(test)]
mod tests {
    use super::*;
    use crate::profile::{bundled_named, from_json};

    #[test]
    fn a_profile_is_read_back_from_its_page() {
        let mut profile = bundled_named("nvidia-h200-sxm").and_then(|bundled| bundled.profile()).unwrap().clone();
        profile.device.name = "</script><script>alert(1)</script>".to_owned();
        let page = format!("<!doctype html>\n<html>{}</html>", script("rooflab.profile/1", &profile.to_json()));
        assert_eq!(page.matches("</script>").count(), 1);
        assert_eq!(from_json(page.as_bytes()).unwrap().0, profile);
    }
}
