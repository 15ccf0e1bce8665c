//! Names and what they stand for, in nested blocks.

use std::collections::HashMap;

use super::operand::{Register, Source};

/// What a name stands for.
#[derive(Clone, Debug)]
pub(super) enum Symbol {
    Register(Register),
    /// A parameter, or a variable that has its place: what an instruction reads when the name is an operand.
    Place(Source),
    /// Shared memory declared outside of kernels, which has a place only in kernels that use it.
    Shared {
        bytes: u32,
        align: u32,
    },
    /// Shared memory whose size the launch says.
    Dynamic {
        align: u32,
    },
}

/// The blocks that enclose what is being read, the innermost last.
#[derive(Default)]
pub(super) struct Scopes {
    blocks: Vec<HashMap<String, Symbol>>,
    /// Families of registers declared as `%r<10>`: prefix, first register, count.
    families: Vec<Vec<(String, Register, u32)>>,
}

impl Scopes {
    pub(super) fn open(&mut self) {
        self.blocks.push(HashMap::new());
        self.families.push(Vec::new());
    }

    /// Closes a block. Returns whether another one is still open.
    pub(super) fn close(&mut self) -> bool {
        self.blocks.pop();
        self.families.pop();
        !self.blocks.is_empty()
    }

    pub(super) fn insert(&mut self, name: &str, symbol: Symbol) {
        if let Some(block) = self.blocks.last_mut() {
            block.insert(name.to_owned(), symbol);
        }
    }

    /// Names something for the whole kernel, from within any of its blocks.
    pub(super) fn insert_in_kernel(&mut self, name: &str, symbol: Symbol) {
        if let Some(block) = self.blocks.get_mut(1) {
            block.insert(name.to_owned(), symbol);
        }
    }

    /// Names `count` registers after `prefix`, from zero.
    pub(super) fn insert_family(&mut self, prefix: &str, first: Register, count: u32) {
        if let Some(families) = self.families.last_mut() {
            families.push((prefix.to_owned(), first, count));
        }
    }

    pub(super) fn find(&self, name: &str) -> Option<Symbol> {
        let digits = name.len() - name.trim_end_matches(|c: char| c.is_ascii_digit()).len();
        let (prefix, number) = name.split_at(name.len() - digits);
        for (block, families) in self.blocks.iter().zip(&self.families).rev() {
            if let Some(symbol) = block.get(name) {
                return Some(symbol.clone());
            }
            let family = families.iter().find(|family| family.0 == prefix);
            if let (Some((_, first, count)), Ok(number)) = (family, number.parse::<u32>())
                && number < *count
            {
                return Some(Symbol::Register(first + number));
            }
        }
        None
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn inner_names_hide_outer_ones() {
        let mut scopes = Scopes::default();
        scopes.open();
        scopes.insert_family("%r", 5, 10);
        scopes.open();
        scopes.insert("%r1", Symbol::Register(99));
        assert!(matches!(scopes.find("%r1"), Some(Symbol::Register(99))));
        assert!(matches!(scopes.find("%r9"), Some(Symbol::Register(14))));
        assert!(scopes.find("%r10").is_none());
        assert!(scopes.close());
        assert!(matches!(scopes.find("%r1"), Some(Symbol::Register(6))));
        assert!(!scopes.close());
    }
}
