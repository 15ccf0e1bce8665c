//! `rooflab diagnose --product`: a matrix product that was timed.

use rooflab::diagnose::{Product, ProductDiagnosis, ProductError, ProductInputs, diagnose_product};
use rooflab::dtype::DType;
use rooflab::profile::datasheet_of;
use rooflab::units::Seconds;
use rooflab::workload::Shape;

use crate::cli::args::diagnose as args;
use crate::cli::context::Context;
use crate::cli::error::CliError;
use crate::cli::lookup::{load_and_note, or_this_machine};

/// The diagnosis of a product of some shape, on the profile that was named or that of this machine.
pub(super) fn of(
    context: &mut Context,
    arguments: &args::Diagnose,
    shape: Shape,
) -> Result<ProductDiagnosis, CliError> {
    let name = or_this_machine(arguments.profile.as_deref())?;
    let profile = load_and_note(context, &name)?;
    let datasheet = datasheet_of(&profile.device).filter(|sheet| sheet.name != profile.name);
    let product = Product {
        shape,
        // The command line holds that these are given.
        dtype: arguments.dtype.unwrap_or(DType::F32),
        time: arguments.time.unwrap_or(Seconds(0.0)),
        threads: arguments.threads,
    };
    let inputs = ProductInputs { product, profile: &profile, datasheet };
    diagnose_product(&inputs, context.source(), context.now()).map_err(|error| refused(&error))
}

/// Why there is no diagnosis, with what helps.
fn refused(error: &ProductError) -> CliError {
    let message = CliError::new(error.to_string());
    match error {
        ProductError::NoPeak { .. } => {
            message.with_hint("`rooflab probe` measures this machine; `rooflab profile show` says what a profile has")
        }
        ProductError::Threads(_) => {
            message.with_hint("leave `--threads` out, or name the profile of a processor with `-f`")
        }
        ProductError::TooLarge(_) | ProductError::Number { .. } => message,
    }
}
