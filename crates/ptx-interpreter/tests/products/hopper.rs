//! Products by `wgmma`, with the kernels that ship for Hopper.

use std::fmt;

use ptx_interpreter::{Argument, Counters, Launch, Loaded, Memory, Module, Options, TensorMap};

use crate::support::{Format, shipped};

/// A tile, how many strips lie in shared memory, and how many blocks go together.
pub(crate) struct Tile {
    pub(crate) tall: usize,
    pub(crate) wide: usize,
    stages: usize,
    pub(crate) together: usize,
}

pub(crate) const TILES: [Tile; 4] = [
    Tile { tall: 128, wide: 256, stages: 4, together: 1 },
    Tile { tall: 128, wide: 128, stages: 6, together: 1 },
    Tile { tall: 64, wide: 128, stages: 8, together: 1 },
    Tile { tall: 128, wide: 256, stages: 4, together: 2 },
];

/// Bytes of a strip's rows.
const STRIP: usize = 128;
/// Rows and columns of sums that a warp writes at a time, and bytes of them.
const PIECE: [u32; 2] = [32, 16];
const PIECE_BYTES: usize = 2048;

/// A product of two matrices, whose rows have so many elements, by so many blocks.
pub(crate) struct Product<'a> {
    pub(crate) format: &'a Format,
    pub(crate) tile: &'a Tile,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) length: usize,
    pub(crate) of_part: usize,
    /// Blocks, or pairs of them.
    pub(crate) blocks: u32,
}

impl fmt::Display for Product<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, columns, length, of_part, blocks, .. } = self;
        write!(f, "{} of {rows}, {columns} and {length}, {of_part} strips of a part, {blocks} blocks", self.entry())
    }
}

/// What the driver is asked for.
fn map(address: u64, element_bytes: usize, sizes: &[usize], tile: &[u32]) -> Argument {
    let bytes = |count: usize| (count * element_bytes) as u64;
    let strides = (1..sizes.len()).map(|dimension| bytes(sizes[..dimension].iter().product())).collect();
    let sizes = sizes.iter().map(|size| *size as u64).collect();
    let element_bytes = element_bytes as u32;
    let map = TensorMap { address, element_bytes, sizes, strides, tile: tile.to_vec(), exchanged: true };
    map.check().unwrap();
    Argument::Tensor(map.to_bytes())
}

impl Product<'_> {
    pub(crate) fn entry(&self) -> String {
        let Tile { tall, wide, together, .. } = self.tile;
        let name = if *together == 1 { "warpgroup" } else { "pair" };
        format!("gemm_{name}_{}_{tall}x{wide}", self.format.name)
    }

    pub(crate) fn strips(&self) -> usize {
        (self.length * self.format.bytes).div_ceil(STRIP)
    }

    /// The file as it ships.
    pub(crate) fn text() -> String {
        shipped("gemm_warpgroup.sm_90a")
    }

    /// Runs a text, and says what is wrong with what comes of it.
    pub(crate) fn run(&self, text: &str, options: Options) -> Result<Counters, String> {
        let &Self { format, tile, rows, columns, length, of_part, blocks } = self;
        let memory = Memory::new(1 << 26);
        let send = |bytes: &[u8]| {
            let address = memory.allocate(bytes.len() as u64).unwrap();
            memory.write(address, bytes).unwrap();
            address
        };
        // Behind another copy of B, as where several are multiplied in turn.
        let other = vec![0x55; columns * length * format.bytes];
        let b = [other, format.matrix(1, columns, length)].concat();
        let (a, b) = (send(&format.matrix(0, rows, length)), send(&b));
        let parts = self.strips().div_ceil(of_part);
        let whole = 4 * rows * columns;
        let c = memory.allocate((whole * parts) as u64).unwrap();
        let loaded = Loaded::new(Module::parse(text).map_err(|error| error.to_string())?, &memory).unwrap();
        let of_row = (STRIP / format.bytes) as u32;
        let maps = [
            map(a, format.bytes, &[length, rows], &[of_row, tile.tall as u32]),
            map(b, format.bytes, &[length, 2 * columns], &[of_row, (tile.wide / tile.together) as u32]),
            map(c, 4, &[columns, rows, parts], &[PIECE[0], PIECE[1], 1]),
        ];
        let sizes = [columns, rows, columns, self.strips(), of_part].map(|size| Argument::U32(size as u32));
        let kernel = loaded.kernel(&self.entry()).unwrap();
        let parameters = kernel.pack(&[&maps[..], &sizes].concat()).unwrap();
        let groups = tile.tall / 64;
        let dynamic_shared = ((tile.tall + tile.wide) * STRIP + 16) * tile.stages + groups * 4 * 2 * PIECE_BYTES;
        let launch = Launch {
            grid: [blocks * tile.together as u32, 1, 1],
            block: [128 * (groups as u32 + 1), 1, 1],
            dynamic_shared: dynamic_shared as u32,
            parameters: &parameters,
            options,
        };
        let counters = loaded.launch(kernel, &memory, &launch).map_err(|fault| fault.to_string())?;
        let mut found = vec![0; whole * parts];
        memory.read(c, &mut found).map_err(|error| error.to_string())?;
        let found = format.add(&found, whole);
        format.compare(&found, columns, length).map_err(|what| format!("{self}: {what}"))?;
        Ok(counters)
    }
}
