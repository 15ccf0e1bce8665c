//! Products with shipped kernels.

use std::fmt;

use half::{bf16, f16};
use ptx_interpreter::{Argument, Counters, Kernel, Launch, Loaded, Memory, Module, Options};

/// A format, and how small integers are written in it.
pub(crate) struct Format {
    pub(crate) name: &'static str,
    file: &'static str,
    pub(crate) bytes: usize,
    encode: fn(i32) -> [u8; 2],
    is_integer: bool,
}

pub(crate) const FORMATS: [Format; 4] = [
    Format {
        name: "f16",
        file: "gemm.sm_80",
        bytes: 2,
        encode: |value| f16::from_f32(value as f32).to_le_bytes(),
        is_integer: false,
    },
    Format {
        name: "bf16",
        file: "gemm.sm_80",
        bytes: 2,
        encode: |value| bf16::from_f32(value as f32).to_le_bytes(),
        is_integer: false,
    },
    Format { name: "int8", file: "gemm.sm_80", bytes: 1, encode: |value| [value as u8, 0], is_integer: true },
    Format { name: "fp8", file: "gemm_fp8.sm_89", bytes: 1, encode: |value| [e4m3(value), 0], is_integer: false },
];

/// The bits of a small integer in fp8.
fn e4m3(value: i32) -> u8 {
    let magnitudes = [0x00, 0x38, 0x40, 0x44, 0x48];
    magnitudes[value.unsigned_abs() as usize] | if value < 0 { 0x80 } else { 0 }
}

/// A tile, and the threads that make it.
pub(crate) struct Tile {
    pub(crate) tall: usize,
    pub(crate) wide: usize,
    threads: u32,
}

pub(crate) const TILES: [Tile; 4] = [
    Tile { tall: 16, wide: 128, threads: 128 },
    Tile { tall: 64, wide: 64, threads: 128 },
    Tile { tall: 128, wide: 128, threads: 256 },
    Tile { tall: 128, wide: 256, threads: 256 },
];

const STRIP: usize = 64;
const STAGES: usize = 4;

/// A product of two matrices, whose rows have so many strips of 64 bytes.
pub(crate) struct Product<'a> {
    pub(crate) format: &'a Format,
    pub(crate) tile: &'a Tile,
    pub(crate) rows: usize,
    pub(crate) columns: usize,
    pub(crate) strips: usize,
    pub(crate) of_part: usize,
}

impl fmt::Display for Product<'_> {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        let Self { rows, columns, strips, .. } = self;
        write!(f, "{} of {rows}, {columns} and {strips} strips", self.entry())
    }
}

/// The text of a file as it ships.
pub(crate) fn shipped(file: &str) -> String {
    let folder = concat!(env!("CARGO_MANIFEST_DIR"), "/../../kernels/ptx");
    std::fs::read_to_string(format!("{folder}/{file}.ptx")).unwrap()
}

/// Small numbers that every format has.
fn element(matrix: usize, row: usize, index: usize) -> i32 {
    ((row * 31 + index * 17 + row * index % 13 + matrix * 5) % 9) as i32 - 4
}

impl Product<'_> {
    pub(crate) fn entry(&self) -> String {
        format!("gemm_{}_{}x{}", self.format.name, self.tile.tall, self.tile.wide)
    }

    /// Elements that are summed over.
    pub(crate) fn length(&self) -> usize {
        self.strips * STRIP / self.format.bytes
    }

    /// The file as it ships.
    pub(crate) fn text(&self) -> String {
        shipped(self.format.file)
    }

    /// Runs a text, and says what is wrong with what comes of it.
    pub(crate) fn run(&self, text: &str, options: Options) -> Result<Counters, String> {
        let memory = Memory::new(1 << 26);
        let send = |bytes: &[u8]| {
            let address = memory.allocate(bytes.len() as u64).unwrap();
            memory.write(address, bytes).unwrap();
            // Whoever reads on beyond the end comes to what nobody has written.
            memory.allocate(1 << 20).unwrap();
            address
        };
        let matrix = |matrix: usize, rows: usize| send(&self.format.matrix(matrix, rows, self.length()));
        let (a, b) = (matrix(0, self.rows), matrix(1, self.columns));
        let parts = self.strips.div_ceil(self.of_part);
        let bytes = 4 * (self.rows * self.columns) as u64;
        let c = memory.allocate(bytes * parts as u64).unwrap();
        let loaded = Loaded::new(Module::parse(text).map_err(|error| error.to_string())?, &memory).unwrap();
        let tiles = self.rows.div_ceil(self.tile.tall) * self.columns.div_ceil(self.tile.wide);
        let (grid, block) = ([(tiles * parts) as u32, 1, 1], [self.tile.threads, 1, 1]);
        let sizes = [self.rows, self.columns, self.strips, self.of_part].map(|size| Argument::U32(size as u32));
        let addresses = [a, b, c].map(Argument::U64);
        let dynamic_shared = ((self.tile.tall + self.tile.wide) * STRIP * STAGES) as u32;
        let kernel = loaded.kernel(&self.entry()).unwrap();
        let launch = |kernel: &Kernel, grid, block, dynamic_shared, arguments: &[Argument]| {
            let parameters = kernel.pack(arguments).unwrap();
            let launch = Launch { grid, block, dynamic_shared, parameters: &parameters, options };
            loaded.launch(kernel, &memory, &launch).map_err(|fault| fault.to_string())
        };
        let counters = launch(kernel, grid, block, dynamic_shared, &[&addresses[..], &sizes].concat())?;
        let mut found = vec![0; bytes as usize];
        if parts == 1 || self.format.name == "fp8" {
            memory.read(c, &mut found).map_err(|error| error.to_string())?;
        } else {
            let join = if self.format.is_integer { "gemm_join_integer" } else { "gemm_join_float" };
            let whole = memory.allocate(bytes).unwrap();
            let sizes = [Argument::U64(bytes / 16), Argument::U32(parts as u32)];
            let arguments = [&[Argument::U64(c), Argument::U64(whole)][..], &sizes].concat();
            launch(loaded.kernel(join).unwrap(), [2, 1, 1], [256, 1, 1], 0, &arguments)?;
            memory.read(whole, &mut found).map_err(|error| error.to_string())?;
        }
        if parts == 1 || self.format.name != "fp8" {
            self.format.compare(&found, self.columns, self.length()).map_err(|what| format!("{self}: {what}"))?;
        }
        Ok(counters)
    }
}

impl Format {
    /// Rows of a matrix, one after another.
    pub(crate) fn matrix(&self, matrix: usize, rows: usize, length: usize) -> Vec<u8> {
        let all = (0..rows).flat_map(|row| (0..length).map(move |index| element(matrix, row, index)));
        all.flat_map(|value| (self.encode)(value).into_iter().take(self.bytes)).collect()
    }

    /// Holds sums, row by row, against plain ones.
    pub(crate) fn compare(&self, found: &[u8], columns: usize, length: usize) -> Result<(), String> {
        for (index, word) in found.as_chunks::<4>().0.iter().enumerate() {
            let (row, column) = (index / columns, index % columns);
            let expected: i32 = (0..length).map(|index| element(0, row, index) * element(1, column, index)).sum();
            let bits = if self.is_integer { expected as u32 } else { (expected as f32).to_bits() };
            if *word != bits.to_le_bytes() {
                return Err(format!("row {row}, column {column} is not {expected}"));
            }
        }
        Ok(())
    }

    /// Adds parts of sums up.
    pub(crate) fn add(&self, parts: &[u8], whole: usize) -> Vec<u8> {
        let word = |at: usize| *parts[at..].first_chunk::<4>().unwrap();
        let places = (0..whole).step_by(4);
        let sum = |place: usize| match self.is_integer {
            true => {
                (place..parts.len()).step_by(whole).map(|at| i32::from_le_bytes(word(at))).sum::<i32>().to_le_bytes()
            }
            false => {
                (place..parts.len()).step_by(whole).map(|at| f32::from_le_bytes(word(at))).sum::<f32>().to_le_bytes()
            }
        };
        places.flat_map(sum).collect()
    }
}
