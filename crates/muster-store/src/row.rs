//! One row of a result, read by position.

use crate::value::misfit;
use crate::{FromValue, StoreError, Value};

/// Columns of a driver's row as [`Value`]s.
pub(crate) trait Columns {
    /// Returns the column at `index`, counted from 0.
    fn value(&self, index: usize) -> Result<Value, StoreError>;
}

/// One row of a result.
pub struct Row<'a>(&'a dyn Columns);

impl<'a> Row<'a> {
    pub(crate) fn new(columns: &'a dyn Columns) -> Self {
        Self(columns)
    }

    /// Returns the column at `index` as it is.
    pub(crate) fn get_value(&self, index: usize) -> Result<Value, StoreError> {
        self.0.value(index)
    }

    /// Returns the column at `index`, counted from 0. What does not fit `T` is [`StoreError::Corrupt`].
    pub fn get<T: FromValue>(&self, index: usize) -> Result<T, StoreError> {
        T::from_value(self.0.value(index)?).map_err(|found| misfit(index, std::any::type_name::<T>(), &found))
    }
}
