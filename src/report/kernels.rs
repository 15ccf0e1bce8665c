//! Kernels on the roofline as people read them: the ones that lose the most time, and the rest in a line.

use super::block::{Block, Cell, Group, Row, Table, Tone};
use super::diagnosis::{digits, list};
use crate::diagnose::{KernelAccount, KernelsDiagnosis};
use crate::units::{Seconds, Unit, human, percent};

/// Kernels that have a line of their own.
const SHOWN: usize = 15;
/// Characters of a name.
const NAME: usize = 44;

/// Kernels on the roofline.
#[must_use]
pub fn kernels(document: &KernelsDiagnosis) -> Vec<Block> {
    let hardware = &document.hardware;
    let known = if hardware.measured { "measured" } else { "the maker's figures" };
    let sheet = document.datasheet.as_ref().map(|name| format!(" · datasheet {name}")).unwrap_or_default();
    let tool = document.sources.first().map_or("kernels", |source| source.tool.name());
    let mut blocks = vec![
        Block::line(
            format!("{tool} · {} launches of {} kernels", document.launches, document.kernels.len()),
            Tone::Strong,
        ),
        Block::line(format!("{} · profile {} ({known}){sheet}", hardware.device, hardware.profile), Tone::Plain),
        Block::blank(),
        summary(document),
        Block::Table(table(document)),
        Block::blank(),
    ];
    blocks.extend(list("the file does not say", &document.lacks));
    blocks.extend(list("the profile does not say", &document.unknown));
    blocks.extend(list("speaks against the numbers", &document.caveats));
    blocks.push(Block::line(
        "a kernel's ceiling is the longest of: bytes of main memory (read, written, or both as a copy) and of the second-level cache at their bandwidths, operations at the peak \
         of their format, and where operations were not counted `issue`, the share of its peak that the profiler gives the busiest unit of the multiprocessors. FLOP/B is of main memory. A kernel of a few \
         microseconds ends before it fills the device: fewer of them (fused, or in a graph) is what helps",
        Tone::Dim,
    ));
    blocks
}

fn summary(document: &KernelsDiagnosis) -> Block {
    let time = |time: Seconds| human(time.get(), Unit::Second).to_string();
    let mut cells = vec![Cell::new(format!("kernels  measured {}", time(document.time)), Tone::Strong)];
    if let Some(reached) = document.reached() {
        let lost = document.known - document.ceiling;
        cells.push(Cell::plain(format!("  at their ceilings {}, lost {}", time(document.ceiling), time(lost))));
        cells.push(Cell::new(format!("  {} reached", percent(reached)), Tone::Strong));
    }
    let unknown = document.time - document.known;
    if unknown.get() > 0.0 {
        cells.push(Cell::plain(format!("  {} without a ceiling", time(unknown))));
    }
    Block::Line(cells)
}

fn table(document: &KernelsDiagnosis) -> Table {
    let mut rows: Vec<Row> = document.kernels.iter().take(SHOWN).map(row).collect();
    let rest = document.kernels.get(SHOWN..).unwrap_or_default();
    if !rest.is_empty() {
        rows.push(the_rest(rest));
    }
    let columns = ["×", "each", "share", "FLOP/B", "bound by", "at", "ceiling", "reached", "lost"];
    Table {
        columns: columns.map(str::to_owned).to_vec(),
        right: vec![true, true, true, true, false, true, true, true, true],
        groups: vec![Group { title: "kernels, by the time they lose".to_owned(), rows }],
    }
}

fn row(kernel: &KernelAccount) -> Row {
    let time = |time: Seconds| human(time.get(), Unit::Second).to_string();
    let decisive = kernel.needs.iter().find(|need| Some(need.of) == kernel.bound && Some(need.time) == kernel.ceiling);
    let bound = decisive.map_or_else(
        || "–".to_owned(),
        |need| need.resource.map_or_else(|| need.of.word().to_owned(), |resource| resource.to_string()),
    );
    let rate = decisive.and_then(|need| Some(human(need.rate?, need.resource?.unit()).to_string()));
    let or_dash = |text: Option<String>| text.unwrap_or_else(|| "–".to_owned());
    let cells = vec![
        kernel.launches.to_string(),
        time(kernel.time),
        percent(kernel.share),
        or_dash(kernel.intensity.map(digits)),
        bound,
        or_dash(rate),
        or_dash(kernel.ceiling.map(time)),
        or_dash(kernel.reached.map(percent)),
        or_dash(kernel.lost.map(time)),
    ];
    let grid = kernel.grid.as_deref().map(|grid| format!(" {}", grid.replace(' ', ""))).unwrap_or_default();
    Row { label: short(&kernel.name) + &grid, cells: cells.into_iter().map(Cell::plain).collect() }
}

/// What has no line of its own.
fn the_rest(kernels: &[KernelAccount]) -> Row {
    let launches: u64 = kernels.iter().map(|kernel| kernel.launches).sum();
    let share: f64 = kernels.iter().map(|kernel| kernel.share).sum();
    let lost: Seconds = kernels.iter().filter_map(|kernel| kernel.lost).sum();
    let mut cells = vec![Cell::plain(launches.to_string()), Cell::plain(""), Cell::plain(percent(share))];
    cells.extend((0..5).map(|_| Cell::plain("")));
    cells.push(Cell::plain(human(lost.get(), Unit::Second).to_string()));
    Row { label: format!("the rest, {} kernels", kernels.len()), cells }
}

/// A kernel's name without its template's arguments and its parameters, which can fill a page. The document has all of it.
fn short(name: &str) -> String {
    let bare = name.strip_prefix("void ").unwrap_or(name);
    let end = bare.char_indices().skip(1).find(|(_, c)| matches!(c, '<' | '(')).map_or(bare.len(), |(at, _)| at);
    let bare = bare[..end].trim_end();
    if bare.chars().count() <= NAME {
        return bare.to_owned();
    }
    bare.chars().take(NAME - 1).chain(std::iter::once('…')).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn names_lose_what_fills_a_page() {
        assert_eq!(short("void rms_norm<float, 4>(float*)"), "rms_norm");
        assert_eq!(short("gemv_bf16"), "gemv_bf16");
        assert_eq!(short("(anonymous namespace)::f<3>"), "(anonymous namespace)::f");
        assert_eq!(short(&"x".repeat(100)).chars().count(), NAME);
    }
}
