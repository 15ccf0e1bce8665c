//! A JSON object and its address: fields are asked for by name, and a fault says where it is and what was expected.

use super::error::{MAX_NUMBER, ReadError};
use super::metric::{Distribution, Measured, Quantity, Stat};
use super::node::{Fields, Node};
use super::text;

/// Counts beyond this are exact in no double.
const MAX_COUNT: f64 = 9_007_199_254_740_992.0;

/// An object of a file.
#[derive(Clone, Debug)]
pub(super) struct Object<'a> {
    fields: &'a Fields,
    at: String,
}

impl<'a> Object<'a> {
    pub(super) const fn new(fields: &'a Fields, at: String) -> Self {
        Self { fields, at }
    }

    /// Its address.
    pub(super) fn at(&self) -> &str {
        &self.at
    }

    /// The address of a field.
    pub(super) fn place(&self, field: &str) -> String {
        format!("{}.{field}", self.at)
    }

    /// A field as it is; none when it is absent or null.
    fn value(&self, field: &str) -> Option<&'a Node> {
        self.fields.get(field).filter(|value| **value != Node::Null)
    }

    fn fault(&self, field: &str, expected: &str) -> ReadError {
        let found = self.fields.get(field).map_or("there is none", kind);
        ReadError::at(self.place(field), format!("expected {expected}; {found}"))
    }

    /// Whether there is such a field, and it says something.
    pub(super) fn has(&self, field: &str) -> bool {
        self.value(field).is_some()
    }

    /// A number. The words `inf` and `nan` are none.
    pub(super) fn number(&self, field: &str) -> Result<Option<f64>, ReadError> {
        let Some(value) = self.value(field) else { return Ok(None) };
        let number = number_of(value).ok_or_else(|| self.fault(field, "a number"))?;
        if number.is_nan() || number.is_infinite() {
            return Ok(None);
        }
        within(number, || self.place(field)).map(Some)
    }

    /// A time, rate or size. What is zero or less was not measured.
    pub(super) fn positive(&self, field: &str) -> Result<Option<f64>, ReadError> {
        Ok(self.number(field)?.filter(|&number| number > 0.0))
    }

    /// A time, rate or size that has to be there.
    pub(super) fn needed(&self, field: &str) -> Result<f64, ReadError> {
        match self.number(field)? {
            Some(number) if number > 0.0 => Ok(number),
            Some(number) => Err(ReadError::at(self.place(field), format!("expected a number above 0; it is {number}"))),
            None => Err(self.fault(field, "a number")),
        }
    }

    /// A whole number that is not negative.
    pub(super) fn count(&self, field: &str) -> Result<Option<u64>, ReadError> {
        let Some(number) = self.number(field)? else { return Ok(None) };
        if number.fract() == 0.0 && (0.0..=MAX_COUNT).contains(&number) {
            Ok(Some(number as u64))
        } else {
            Err(ReadError::at(self.place(field), format!("expected a whole number; it is {number}")))
        }
    }

    /// A whole number above 0.
    pub(super) fn some(&self, field: &str) -> Result<Option<u64>, ReadError> {
        Ok(self.count(field)?.filter(|&count| count > 0))
    }

    /// A flag, which some versions write as a number.
    pub(super) fn flag(&self, field: &str) -> bool {
        match self.value(field) {
            Some(Node::Bool(flag)) => *flag,
            Some(Node::Number(number)) => number.as_f64() != Some(0.0),
            Some(Node::Text(word)) => word == "1" || word.eq_ignore_ascii_case("true"),
            _ => false,
        }
    }

    /// A word, cleaned. What is no word says nothing: tools change their minds about the fields that describe.
    pub(super) fn word(&self, field: &str) -> Option<String> {
        self.raw(field).map(text::clean).filter(|word| !word.is_empty())
    }

    /// A name; of a path, its last part. `None` is what Python writes for no name.
    pub(super) fn name(&self, field: &str) -> Option<String> {
        self.raw(field).map(text::name).filter(|name| !name.is_empty() && name != "None")
    }

    /// A word as it is, to look at and not to keep.
    pub(super) fn raw(&self, field: &str) -> Option<&'a str> {
        self.value(field).and_then(Node::as_str)
    }

    /// An object within.
    pub(super) fn object(&self, field: &str) -> Result<Option<Object<'a>>, ReadError> {
        match self.value(field) {
            None => Ok(None),
            Some(Node::Object(fields)) => Ok(Some(Object::new(fields, self.place(field)))),
            Some(_) => Err(self.fault(field, "an object")),
        }
    }

    /// An object within that has to be there.
    pub(super) fn needed_object(&self, field: &str) -> Result<Object<'a>, ReadError> {
        self.object(field)?.ok_or_else(|| self.fault(field, "an object"))
    }

    /// The objects among its fields, whatever those are called. Their addresses are counted, because such names may be those of hosts.
    pub(super) fn entries(&self) -> impl Iterator<Item = Object<'a>> + use<'a> {
        let at = self.at.clone();
        let objects = self.fields.objects().enumerate();
        objects.map(move |(index, map)| Object::new(map, format!("{at}[{index}]")))
    }

    /// A list; empty when there is none.
    pub(super) fn list(&self, field: &str) -> Result<&'a [Node], ReadError> {
        match self.value(field) {
            None => Ok(&[]),
            Some(Node::List(list)) => Ok(list),
            Some(_) => Err(self.fault(field, "a list")),
        }
    }

    /// A list of objects; empty when there is none.
    pub(super) fn objects(&self, field: &str) -> Result<Vec<Object<'a>>, ReadError> {
        let element = |(index, value): (usize, &'a Node)| {
            let at = format!("{}[{index}]", self.place(field));
            match value {
                Node::Object(fields) => Ok(Object::new(fields, at)),
                other => Err(ReadError::at(at, format!("expected an object; {}", kind(other)))),
            }
        };
        self.list(field)?.iter().enumerate().map(element).collect()
    }

    /// The positive numbers of a list, also of lists within: requests that failed stand there with 0.
    pub(super) fn samples(&self, field: &str, factor: f64) -> Vec<f64> {
        fn gather(node: &Node, factor: f64, samples: &mut Vec<f64>) {
            let measured = |number: &f64| *number > 0.0 && *number <= MAX_NUMBER;
            match node {
                Node::Numbers(numbers) => {
                    samples.extend(numbers.iter().filter(|number| measured(number)).map(|number| number * factor));
                }
                Node::Number(number) => {
                    samples.extend(number.as_f64().filter(measured).map(|number| number * factor));
                }
                Node::List(list) => list.iter().for_each(|node| gather(node, factor, samples)),
                _ => {}
            }
        }
        let mut samples = Vec::new();
        if let Some(node) = self.value(field) {
            gather(node, factor, &mut samples);
        }
        samples
    }

    /// Numbers of a distribution, each from its field, times a factor.
    pub(super) fn distribution(&self, fields: &[(Stat, &str)], factor: f64) -> Result<Distribution, ReadError> {
        let mut values = Distribution::default();
        for &(stat, field) in fields {
            let number =
                if stat == Stat::Std { self.number(field)?.filter(|&std| std >= 0.0) } else { self.positive(field)? };
            let place = values.place(stat);
            *place = place.or(number.map(|number| number * factor));
        }
        Ok(values)
    }

    /// A distribution whose fields are called after its numbers: `mean_ttft_ms`, `p99_ttft_ms`.
    pub(super) fn distribution_of(&self, name: &str, factor: f64) -> Result<Distribution, ReadError> {
        const PREFIXES: [(Stat, &str); 6] = [
            (Stat::Mean, "mean"),
            (Stat::Median, "median"),
            (Stat::P90, "p90"),
            (Stat::P95, "p95"),
            (Stat::P99, "p99"),
            (Stat::Std, "std"),
        ];
        let names: Vec<(Stat, String)> =
            PREFIXES.iter().map(|(stat, prefix)| (*stat, format!("{prefix}_{name}"))).collect();
        let fields: Vec<(Stat, &str)> = names.iter().map(|(stat, name)| (*stat, name.as_str())).collect();
        self.distribution(&fields, factor)
    }

    /// A mean and a standard deviation, from their fields.
    pub(super) fn mean_and_std(&self, mean: &str, std: &str, factor: f64) -> Result<Distribution, ReadError> {
        self.distribution(&[(Stat::Mean, mean), (Stat::Std, std)], factor)
    }

    /// A quantity that stands in one field.
    pub(super) fn measured(
        &self,
        quantity: Quantity,
        field: &str,
        factor: f64,
    ) -> Result<Option<(Quantity, Measured)>, ReadError> {
        let value = self.positive(field)?.map(|number| Distribution::single(number * factor));
        Ok(value.map(|values| (quantity, Measured::stated(quantity, values, Some(self.place(field))))))
    }
}

/// What a value is, without saying what is in it.
fn kind(value: &Node) -> &'static str {
    match value {
        Node::Null => "it is null",
        Node::Bool(_) => "it is true or false",
        Node::Number(_) => "it is a number",
        Node::Text(_) => "it is text",
        Node::List(_) | Node::Numbers(_) => "it is a list",
        Node::Object(_) => "it is an object",
    }
}

/// A number, also when it is written as text, as in CSV. Text without any is not a number that could be used.
fn number_of(value: &Node) -> Option<f64> {
    match value {
        Node::Number(number) => number.as_f64(),
        Node::Text(word) if word.trim().is_empty() => Some(f64::NAN),
        Node::Text(word) => word.trim().parse().ok(),
        _ => None,
    }
}

/// Refuses numbers that are no measurement.
pub(super) fn within(number: f64, at: impl Fn() -> String) -> Result<f64, ReadError> {
    if number.abs() <= MAX_NUMBER {
        Ok(number)
    } else {
        Err(ReadError::at(at(), format!("it is {number:e}, which is beyond any measurement")))
    }
}
