//! clpeak's XML. Version 1 has an element for each test and each reading, version 2 names them in attributes.

use roxmltree::{Document, Node, ParsingOptions};

use super::{Reading, Run};
use crate::observe::error::ReadError;
use crate::observe::import::number;
use crate::observe::input::Input;
use crate::observe::text;

/// The most elements, attributes and texts that a file may have; clpeak's have some hundreds.
const MOST_NODES: u32 = 1 << 20;

pub(super) fn runs(input: &Input<'_>) -> Result<(Option<String>, Vec<Run>), ReadError> {
    let options = ParsingOptions { nodes_limit: MOST_NODES, ..ParsingOptions::default() };
    let document = Document::parse_with_options(input.text(), options).map_err(|error| {
        ReadError::at(input.line(error.pos().row as usize), "expected XML; here it stops being that, or ends too early")
    })?;
    let root = document.root_element();
    let version = root.attribute("clpeak_version").map(text::clean);
    let reader = Reader { input, document: &document };
    let runs = root
        .descendants()
        .filter_map(|node| match node.tag_name().name() {
            "run" => Some(reader.second(node)),
            "device" => Some(reader.first(node)),
            _ => None,
        })
        .collect::<Result<_, _>>()?;
    Ok((version, runs))
}

struct Reader<'a, 'input> {
    input: &'a Input<'input>,
    document: &'a Document<'a>,
}

impl Reader<'_, '_> {
    fn at(&self, node: Node<'_, '_>) -> String {
        self.input.line(self.document.text_pos_at(node.range().start).row as usize)
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
