//! What backends say of a kernel's implementations.

use super::BackendError;

/// The index of an implementation, if there is such a one.
pub(super) fn known(variants: &[String], variant: usize) -> Result<usize, BackendError> {
    let count = variants.len();
    if variant < count {
        return Ok(variant);
    }
    Err(BackendError::unsupported(format!("there is no variant {variant}; there are {count}")))
}

/// An error of an implementation: a wrong result says whose it is.
pub(super) fn naming(error: BackendError, variant: &str) -> BackendError {
    match error {
        BackendError::WrongResult(difference) => BackendError::WrongResult(format!("{variant}: {difference}")),
        other => other,
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn only_implementations_that_there_are_can_be_run() {
        let variants = ["plain".to_owned(), "wide".to_owned()];
        assert_eq!(known(&variants, 1), Ok(1));
        assert!(known(&variants, 2).unwrap_err().to_string().contains("there are 2"));
    }

    #[test]
    fn a_wrong_result_says_whose_it_is() {
        let wrong = naming(BackendError::WrongResult("word 3 is 1".to_owned()), "wide");
        assert_eq!(wrong, BackendError::WrongResult("wide: word 3 is 1".to_owned()));
        let lost = BackendError::Lost("gone".to_owned());
        assert_eq!(naming(lost.clone(), "wide"), lost);
    }
}
