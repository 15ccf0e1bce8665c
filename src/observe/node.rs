//! JSON as importers need it: without what is nobody's business, long lists of numbers packed, and no more of it than fits into a budget.
//!
//! Result files can be large, because some tools write the time of every token. A tree of general values takes ten times the memory of such a file.

use std::cell::Cell;
use std::fmt;

use serde::de::{DeserializeSeed, Deserializer, Error, IgnoredAny, MapAccess, SeqAccess, Visitor};
use serde_json::{Number, Value};

/// Fields that are skipped while reading, so that they are never in memory: environments, prompts, answers, messages, names of hosts, command lines beyond
/// the program, and long lists that no importer needs.
const NEVER_READ: &[&str] = &[
    "env",
    "environment",
    "errors",
    "error_summary",
    "generated_texts",
    "hostname",
    "input_lens",
    "output_lens",
    "per_process_max_times_us",
    "prompts",
    "sessions",
    "start_times",
    "times_us",
];

/// Lists of numbers that are longer than this are packed.
const PACKED: usize = 16;
/// Bytes that are kept of a text: names are far shorter.
const LONGEST: usize = 4096;
/// Bytes of memory that the values of a file may take.
pub(super) const MOST: usize = 128 << 20;

/// The fields of an object, as they stand in the file. Objects have few, so that a list is searched as fast as a tree and takes a tenth of its memory.
#[derive(Clone, Debug, Default, PartialEq)]
pub(super) struct Fields(Vec<(String, Node)>);

impl Fields {
    /// A field; of several with one name, the last.
    pub(super) fn get(&self, name: &str) -> Option<&Node> {
        self.0.iter().rev().find(|(known, _)| known == name).map(|(_, node)| node)
    }

    /// The objects among them.
    pub(super) fn objects(&self) -> impl Iterator<Item = &Self> {
        self.0.iter().filter_map(|(_, node)| match node {
            Node::Object(fields) => Some(fields),
            _ => None,
        })
    }

    /// Whether there is such a field.
    pub(super) fn contains_key(&self, name: &str) -> bool {
        self.get(name).is_some()
    }
}

impl FromIterator<(String, Node)> for Fields {
    fn from_iter<I: IntoIterator<Item = (String, Node)>>(fields: I) -> Self {
        Self(fields.into_iter().collect())
    }
}

/// Memory that a text takes beside its bytes, and that of a list's or an object's room.
const ALLOCATION: usize = 32;

/// A value of a file.
#[derive(Clone, Debug, PartialEq)]
pub(super) enum Node {
    Null,
    Bool(bool),
    Number(Number),
    Text(String),
    List(Vec<Node>),
    /// A long list of numbers; where there was none, it is not a number.
    Numbers(Vec<f64>),
    Object(Fields),
}

impl Node {
    /// The text that it is.
    pub(super) fn as_str(&self) -> Option<&str> {
        match self {
            Self::Text(text) => Some(text),
            _ => None,
        }
    }

    /// A field of the object that it is.
    pub(super) fn get(&self, field: &str) -> Option<&Self> {
        match self {
            Self::Object(fields) => fields.get(field),
            _ => None,
        }
    }

    /// The same as a general value.
    pub(super) fn to_value(&self) -> Value {
        match self {
            Self::Null => Value::Null,
            Self::Bool(flag) => Value::Bool(*flag),
            Self::Number(number) => Value::Number(number.clone()),
            Self::Text(text) => Value::String(text.clone()),
            Self::List(list) => Value::Array(list.iter().map(Self::to_value).collect()),
            Self::Numbers(numbers) => Value::Array(numbers.iter().map(|&number| Value::from(number)).collect()),
            Self::Object(fields) => {
                Value::Object(fields.0.iter().map(|(name, node)| (name.clone(), node.to_value())).collect())
            }
        }
    }
}

impl From<&str> for Node {
    fn from(text: &str) -> Self {
        Self::Text(text.to_owned())
    }
}

/// Memory that the values of a file may still take.
#[derive(Debug)]
pub(super) struct Budget {
    left: Cell<usize>,
    is_spent: Cell<bool>,
}

impl Budget {
    pub(super) fn new(bytes: usize) -> Self {
        Self { left: Cell::new(bytes), is_spent: Cell::new(false) }
    }

    /// Whether reading ended because it was spent.
    pub(super) fn is_spent(&self) -> bool {
        self.is_spent.get()
    }

    fn take<E: Error>(&self, bytes: usize) -> Result<(), E> {
        match self.left.get().checked_sub(bytes) {
            Some(left) => {
                self.left.set(left);
                Ok(())
            }
            None => {
                self.is_spent.set(true);
                Err(E::custom("too much"))
            }
        }
    }
}

/// Reads a value within a budget.
#[derive(Clone, Copy)]
pub(super) struct Seed<'b>(pub(super) &'b Budget);

impl<'de> DeserializeSeed<'de> for Seed<'_> {
    type Value = Node;

    fn deserialize<D: Deserializer<'de>>(self, deserializer: D) -> Result<Node, D::Error> {
        deserializer.deserialize_any(self)
    }
}

impl<'de> Visitor<'de> for Seed<'_> {
    type Value = Node;

    fn expecting(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        f.write_str("a JSON value")
    }

    fn visit_bool<E: Error>(self, value: bool) -> Result<Node, E> {
        Ok(Node::Bool(value))
    }

    fn visit_i64<E: Error>(self, value: i64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_u64<E: Error>(self, value: u64) -> Result<Node, E> {
        Ok(Node::Number(value.into()))
    }

    fn visit_f64<E: Error>(self, value: f64) -> Result<Node, E> {
        Ok(Number::from_f64(value).map_or(Node::Null, Node::Number))
    }

    fn visit_str<E: Error>(self, value: &str) -> Result<Node, E> {
        let kept = value.get(..value.floor_char_boundary(LONGEST)).unwrap_or_default();
        self.0.take::<E>(kept.len() + ALLOCATION)?;
        Ok(kept.into())
    }

    fn visit_unit<E: Error>(self) -> Result<Node, E> {
        Ok(Node::Null)
    }

    fn visit_seq<A: SeqAccess<'de>>(self, mut elements: A) -> Result<Node, A::Error> {
        let mut list: Vec<Node> = Vec::new();
        self.0.take::<A::Error>(ALLOCATION)?;
        while let Some(element) = elements.next_element_seed(self)? {
            self.0.take::<A::Error>(size_of::<Node>())?;
            list.push(element);
            if list.len() == PACKED && list.iter().all(|element| matches!(element, Node::Number(_))) {
                return self.pack(&list, elements);
            }
        }
        list.shrink_to_fit();
        Ok(Node::List(list))
    }

    fn visit_map<A: MapAccess<'de>>(self, mut fields: A) -> Result<Node, A::Error> {
        let mut object = Vec::new();
        self.0.take::<A::Error>(ALLOCATION)?;
        while let Some(name) = fields.next_key::<String>()? {
            if NEVER_READ.contains(&name.as_str()) {
                fields.next_value::<IgnoredAny>()?;
            } else {
                self.0.take::<A::Error>(size_of::<(String, Node)>() + name.len() + ALLOCATION)?;
                object.push((name, fields.next_value_seed(self)?));
            }
        }
        object.shrink_to_fit();
        Ok(Node::Object(Fields(object)))
    }
}

impl Seed<'_> {
    /// Goes on with a list that begins with numbers, as long as there are no others.
    fn pack<'de, A: SeqAccess<'de>>(self, list: &[Node], mut elements: A) -> Result<Node, A::Error> {
        let number = |node: &Node| match node {
            Node::Number(number) => number.as_f64(),
            _ => None,
        };
        let mut numbers: Vec<f64> = list.iter().filter_map(number).collect();
        while let Some(element) = elements.next_element_seed(self)? {
            self.0.take::<A::Error>(size_of::<f64>())?;
            match number(&element) {
                Some(number) => numbers.push(number),
                // What was not measured keeps its place: in a matrix, what comes after it must not move.
                None if element == Node::Null => numbers.push(f64::NAN),
                None => return self.unpack(numbers, element, elements),
            }
        }
        numbers.shrink_to_fit();
        Ok(Node::Numbers(numbers))
    }

    /// Goes on with a list that holds more than numbers after all.
    fn unpack<'de, A: SeqAccess<'de>>(self, numbers: Vec<f64>, next: Node, mut elements: A) -> Result<Node, A::Error> {
        self.0.take::<A::Error>(numbers.len() * size_of::<Node>())?;
        let number = |number: f64| Number::from_f64(number).map_or(Node::Null, Node::Number);
        let mut list: Vec<Node> = numbers.into_iter().map(number).collect();
        list.push(next);
        while let Some(element) = elements.next_element_seed(self)? {
            self.0.take::<A::Error>(size_of::<Node>())?;
            list.push(element);
        }
        Ok(Node::List(list))
    }
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    fn read(text: &str, budget: &Budget) -> serde_json::Result<Node> {
        Seed(budget).deserialize(&mut serde_json::Deserializer::from_str(text))
    }

    fn numbers(count: usize) -> String {
        (0..count).map(|number| number.to_string()).collect::<Vec<_>>().join(",")
    }

    #[test]
    fn long_lists_of_numbers_are_packed_and_others_are_not() {
        let budget = Budget::new(1 << 20);
        let of = |text: String| read(&text, &budget).unwrap();
        assert!(matches!(of(format!("[{}]", numbers(15))), Node::List(list) if list.len() == 15));
        assert!(matches!(of(format!("[{}]", numbers(16))), Node::Numbers(list) if list.len() == 16));
        assert!(matches!(of(format!("[{}, null, 1.5]", numbers(40))), Node::Numbers(list) if list.len() == 42));
        let Node::List(mixed) = of(format!("[{}, null, \"x\", 3]", numbers(40))) else { panic!("it is a list") };
        assert_eq!((mixed.len(), &mixed[40], &mixed[41]), (43, &Node::Null, &Node::from("x")));
    }

    #[test]
    fn a_budget_ends_what_would_fill_the_memory() {
        for text in [format!("[{}]", numbers(2000)), "{\"a\": 1, \"b\": [[],[],[],[]]}".to_owned()] {
            let budget = Budget::new(200);
            assert!(read(&text, &budget).is_err() && budget.is_spent(), "{text}");
        }
        let budget = Budget::new(200);
        assert!(read("[1, 2", &budget).is_err() && !budget.is_spent());
        // What is skipped costs nothing.
        let text = format!("{{\"prompts\": [{}]}}", numbers(2000));
        assert_eq!(read(&text, &Budget::new(ALLOCATION)).unwrap(), Node::Object(Fields::default()));
    }

    #[test]
    fn long_texts_are_cut_between_characters() {
        let Node::Text(kept) = read(&format!("\"{}\"", "é".repeat(5000)), &Budget::new(1 << 20)).unwrap() else {
            panic!("it is text")
        };
        assert_eq!(kept.len(), LONGEST);
    }

    proptest! {
        #[test]
        fn what_is_read_is_what_general_values_are(list in prop::collection::vec(prop::option::weighted(0.97, -1e9..1e9_f64), 0..60)) {
            let text = serde_json::to_string(&list).unwrap();
            let node = read(&text, &Budget::new(1 << 20)).unwrap();
            let found: Vec<Option<f64>> = match node.to_value() {
                Value::Array(list) => list.iter().map(Value::as_f64).collect(),
                _ => Vec::new(),
            };
            prop_assert_eq!(found, list);
        }
    }
}
