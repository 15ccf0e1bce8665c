//! Faults that are put into the kernels that measure matrix units, each of which must give other results. That the kernels
//! themselves are right is held against a reference where rooflab runs them.

use ptx_interpreter::{Argument, Launch, Loaded, Memory, Module, Options};

use crate::seeded::{changed_in, line, without};
use crate::support::shipped;

/// A kernel as it ships.
#[derive(Clone, Copy)]
struct Issue {
    file: &'static str,
    entry: &'static str,
    threads: u32,
    shared: u32,
}

const HALVES: Issue = matrix("matrix_sparse_bf16_m16n8k32");
const SINGLES: Issue = matrix("matrix_sparse_tf32_m16n8k16");
const BYTES: Issue = matrix("matrix_sparse_int8_m16n8k64");
const NIBBLES: Issue = matrix("matrix_int4_m16n8k64");
const BY_WARPGROUPS: Issue = warpgroup("warpgroup_sparse_bf16");
const BYTES_BY_WARPGROUPS: Issue = warpgroup("warpgroup_sparse_int8");

const fn matrix(entry: &'static str) -> Issue {
    Issue { file: "matrix_multiply_add.sm_80", entry, threads: 128, shared: 0 }
}

const fn warpgroup(entry: &'static str) -> Issue {
    Issue { file: "warpgroup_sparse.sm_90a", entry, threads: 256, shared: 65_536 }
}

impl Issue {
    /// The results of a text: one turn more of some than of others, or steps; with the bits of factors that are kept.
    fn keeping(self, text: &str, keep: u32) -> Result<Vec<u8>, String> {
        let memory = Memory::new(1 << 20);
        let bytes = 4 * u64::from(self.threads);
        let results = memory.allocate(bytes).unwrap();
        memory.fill(results, 0xff, bytes).unwrap();
        let loaded = Loaded::new(Module::parse(text).map_err(|error| error.to_string())?, &memory).unwrap();
        let kernel = loaded.kernel(self.entry).unwrap();
        let [turns, longer] = [21, 1].map(Argument::U32);
        let parameters = kernel.pack(&[Argument::U64(results), turns, longer, Argument::U32(keep)]).unwrap();
        let (grid, block) = ([1; 3], [self.threads, 1, 1]);
        let options = Options::default();
        let launch = Launch { grid, block, dynamic_shared: self.shared, parameters: &parameters, options };
        loaded.launch(kernel, &memory, &launch).map_err(|fault| fault.to_string())?;
        let mut found = vec![0; bytes as usize];
        memory.read(results, &mut found).map_err(|error| error.to_string())?;
        Ok(found)
    }

    fn run(self, text: &str) -> Result<Vec<u8>, String> {
        self.keeping(text, u32::MAX)
    }

    /// Puts a fault in: the results must not be those of the kernel as it ships.
    fn finds(self, what: &str, change: impl Fn(&str) -> String) {
        let text = shipped(self.file);
        let right = self.run(&text).unwrap();
        let found = self.run(&changed_in(&text, self.entry, change));
        assert!(found.is_err() || found != Ok(right), "{}: {what} is not found", self.entry);
    }
}

/// An operand list of an instruction, of which two are exchanged.
fn swapped(line: &str, list: usize) -> String {
    let parts: Vec<&str> = line.split('{').collect();
    let (inside, _) = parts[list].split_once('}').unwrap();
    let mut names: Vec<&str> = inside.split(", ").collect();
    names.swap(0, 1);
    line.replacen(inside, &names.join(", "), 1)
}

#[test]
fn wrong_selectors_are_found() {
    for issue in [HALVES, SINGLES] {
        issue.finds("another selector", |body| line(body, ", 1;", 0, |line| line.replace(", 1;", ", 0;")));
        issue.finds("the other selector", |body| line(body, ", 0;", 0, |line| line.replace(", 0;", ", 1;")));
    }
    BY_WARPGROUPS.finds("another selector", |body| {
        line(body, "wgmma.mma_async.sp", 2, |line| line.replace(", 1, adds", ", 0, adds"))
    });
}

#[test]
fn wrong_indices_are_found() {
    let pairs = "15572100";
    for issue in [HALVES, BYTES, BY_WARPGROUPS, BYTES_BY_WARPGROUPS] {
        // Two pairs of places exchanged; a pair in the wrong order; twice the same place.
        for other in [0xed_9c48, 0xed_9c81, 0xed_9c80] {
            issue.finds("another table", |body| body.replacen(pairs, &format!("{other}"), 1));
        }
    }
    for issue in [HALVES, SINGLES, BYTES] {
        issue.finds("indices of another factor", |body| {
            let name = |body: &str, number: usize| {
                let lines: Vec<&str> = body.lines().filter(|line| line.contains("mma.sp")).collect();
                lines[number].rsplit(", ").nth(1).unwrap().to_owned()
            };
            // Any other register of the factors stands for indices that are not those of this one.
            let (own, first) = (name(body, 0), body.lines().find(|line| line.contains("mma.sp")).unwrap());
            let factor = first.split('{').nth(2).unwrap().split(['}', ',']).next().unwrap();
            line(body, "mma.sp", 0, |line| line.replace(&format!(", {own}, "), &format!(", {factor}, ")))
        });
    }
}

#[test]
fn wrong_fragments_are_found() {
    for issue in [HALVES, SINGLES, BYTES, NIBBLES] {
        for list in [2, 3] {
            issue.finds("registers of a factor exchanged", |body| line(body, "mma.s", 1, |line| swapped(line, list)));
        }
        issue.finds("a product left out", |body| without(body, "mma.s", 3));
    }
    for issue in [BY_WARPGROUPS, BYTES_BY_WARPGROUPS] {
        issue.finds("a product left out", |body| without(body, "wgmma.mma_async.sp", 9));
        issue.finds("rows of B at another place", |body| {
            let is_meant = |line: &&str| line.contains("add.s64") && line.ends_with(", 4;");
            let place = body.lines().find(is_meant).unwrap();
            body.replacen(place, &place.replace(", 4;", ", 2;"), 1)
        });
    }
}

/// Sums of zeros are zero, and so is what is made of their bits.
#[test]
fn without_any_bits_all_factors_are_zero() {
    for issue in [HALVES, SINGLES, BYTES, NIBBLES, BY_WARPGROUPS, BYTES_BY_WARPGROUPS] {
        let found = issue.keeping(&shipped(issue.file), 0).unwrap();
        assert!(found.iter().all(|byte| *byte == 0), "{}", issue.entry);
    }
}
