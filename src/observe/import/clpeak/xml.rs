//! clpeak's XML. Version 1 has an element for each test and each reading, version 2 names them in attributes.

use roxmltree::{Document, Error, Node, ParsingOptions};

use super::{Reading, Run};
use crate::observe::error::ReadError;
use crate::observe::import::number;
use crate::observe::input::Input;
use crate::observe::text;

/// The most elements and texts that a file may have, and the most attributes of an element; clpeak's have some hundreds, and some ten.
const MOST_NODES: u32 = 1 << 16;
const MOST_ATTRIBUTES: usize = 1 << 8;

pub(super) fn runs(input: &Input<'_>) -> Result<(Option<String>, Vec<Run>), ReadError> {
    let text = input.text();
    // Attributes are compared with one another while they are read, and namespaces are handed down from element to element.
    let is_crowded = |tag: &str| tag.bytes().filter(|byte| *byte == b'=').count() > MOST_ATTRIBUTES;
    if text.contains("xmlns") || text.split('<').any(is_crowded) {
        return Err(ReadError::at(&input.file, "expected elements with few attributes, and no namespaces"));
    }
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(text, options).map_err(|error| match error {
        Error::NodesLimitReached => {
            ReadError::at(&input.file, format!("expected {MOST_NODES} elements and texts at most"))
        }
        _ => ReadError::at(
            input.line(error.pos().row as usize),
            "expected XML; here it stops being that, or ends too early",
        ),
    })?;
    let root = document.root_element();
    let version = root.attribute("clpeak_version").map(text::clean);
    let line_ends = text.match_indices('\n').map(|(at, _)| at).collect();
    let reader = Reader { input, line_ends };
    // Where the last run ends. Each is walked through once, which holds as long as none lies within another.
    let mut end = 0;
    let mut nodes = Vec::new();
    for node in root.descendants().filter(|node| node.has_tag_name("run") || node.has_tag_name("device")) {
        if node.range().start < end {
            return Err(ReadError::at(reader.at(node), "expected runs one after the other, and none within another"));
        }
        end = node.range().end;
        nodes.push(node);
    }
    let run = |node: Node<'_, '_>| if node.has_tag_name("run") { reader.second(node) } else { reader.first(node) };
    Ok((version, nodes.into_iter().map(run).collect::<Result<_, _>>()?))
}

struct Reader<'a, 'input> {
    input: &'a Input<'input>,
    /// Where each line ends.
    line_ends: Vec<usize>,
}

impl Reader<'_, '_> {
    fn at(&self, node: Node<'_, '_>) -> String {
        let start = node.range().start;
        self.input.line(1 + self.line_ends.partition_point(|&end| end < start))
    }

    /// `<device name="…"><test unit="…"><float>1.0</float></test></device>`.
    fn first(&self, device: Node<'_, '_>) -> Result<Run, ReadError> {
        let mut readings = Vec::new();
        for test in device.children().filter(Node::is_element) {
            for metric in test.children().filter(Node::is_element) {
                readings.extend(self.reading(test, test.tag_name().name(), metric, metric.tag_name().name())?);
            }
        }
        Ok(Run { backend: None, device: device.attribute("name").map(text::clean), readings })
    }

    /// `<run device="…"><category><test name="…" unit="…"><metric name="float">1.0</metric></test></category></run>`.
    fn second(&self, run: Node<'_, '_>) -> Result<Run, ReadError> {
        let mut readings = Vec::new();
        for metric in run.descendants().filter(|node| node.has_tag_name("metric") && !node.has_attribute("status")) {
            let Some(test) = metric.parent() else { continue };
            let name = |of: Node<'_, '_>| {
                let at = self.at(of);
                of.attribute("name").map(text::clean).ok_or_else(|| ReadError::at(at, "expected an attribute `name`"))
            };
            readings.extend(self.reading(test, &name(test)?, metric, &name(metric)?)?);
        }
        let of = |name| run.attribute(name).map(text::clean);
        Ok(Run { backend: of("backend"), device: of("device"), readings })
    }

    fn reading(
        &self,
        test: Node<'_, '_>,
        name: &str,
        metric: Node<'_, '_>,
        variant: &str,
    ) -> Result<Option<Reading>, ReadError> {
        let at = self.at(metric);
        let value = number(metric.text().unwrap_or_default().trim(), &at)?;
        if value <= 0.0 {
            return Ok(None);
        }
        let unit = test.attribute("unit").map(text::clean);
        let unit = unit.ok_or_else(|| ReadError::at(self.at(test), "expected an attribute `unit`"))?;
        Ok(Some(Reading { test: text::clean(name), metric: text::clean(variant), unit, value, at }))
    }
}

#[cfg(test)]
mod tests {
    use crate::observe::{Observation, ReadError, from_bytes};

    fn read(text: &str) -> Result<Vec<Observation>, ReadError> {
        from_bytes(text.as_bytes(), "clpeak.xml")
    }

    fn device(readings: &str) -> String {
        format!(
            "<clpeak><platform><device name=\"x\">\n<single_precision_compute unit=\"gflops\">\n{readings}</single_precision_compute>\n</device></platform></clpeak>"
        )
    }

    /// Files that take hours where a line's number is counted from the beginning, or a run's inside is walked through again for each run within it.
    #[test]
    fn large_files_are_read_once() {
        let info = "a note ".repeat(80);
        let rows = |count: usize| (1..=count).map(|value| format!("<float info=\"{info}\">{value}</float>\n"));
        let found = read(&device(&rows(20_000).collect::<String>())).unwrap().remove(0);
        assert_eq!((found.rates[0].value, found.rates[0].at.as_str()), (20_000e9, "clpeak.xml:20002"));
        let error = read(&device(&"<float>1</float>\n".repeat(60_000))).unwrap_err().to_string();
        assert!(error.contains("65536 elements and texts at most"), "{error}");
    }

    #[test]
    fn a_run_within_a_run_is_an_error() {
        for tag in ["run", "device"] {
            let nested = format!(
                "<clpeak>\n{}{}</clpeak>",
                format!("<{tag}>\n").repeat(30_000),
                format!("</{tag}>").repeat(30_000)
            );
            let error = read(&nested).unwrap_err().to_string();
            assert!(error.contains("clpeak.xml:3") && error.contains("none within another"), "{error}");
        }
        let run = "<run device=\"a\"><test name=\"single_precision_compute\" unit=\"gflops\"><metric name=\"float\">1</metric></test></run>";
        assert_eq!(read(&format!("<clpeak>{run}{run}</clpeak>")).unwrap().len(), 2);
    }

    #[test]
    fn attributes_and_namespaces_are_few() {
        let attributes: String = (0..200_000).map(|index| format!(" a{index}=\"\"")).collect();
        for text in [format!("<clpeak{attributes}/>"), "<clpeak xmlns:a=\"b\"/>".to_owned()] {
            let error = read(&text).unwrap_err().to_string();
            assert!(error.contains("few attributes, and no namespaces"), "{error}");
        }
    }
}
