//! The few figures that sum up a series of samples.

/// A sorted series.
pub struct Series(Vec<f64>);

impl Series {
    /// Sorts the samples; `None` if there are none.
    pub fn new(samples: impl IntoIterator<Item = f64>) -> Option<Self> {
        let mut sorted: Vec<f64> = samples.into_iter().collect();
        sorted.sort_by(f64::total_cmp);
        (!sorted.is_empty()).then_some(Self(sorted))
    }

    /// The smallest sample.
    pub fn min(&self) -> f64 {
        self.0[0]
    }

    /// The middle of the series.
    pub fn median(&self) -> f64 {
        self.quantile(0.5)
    }

    /// The value below which the fraction `q` (0 to 1) of the samples lies, interpolated between
    /// neighbours.
    pub fn quantile(&self, q: f64) -> f64 {
        let last = self.0.len() - 1;
        let at = q.clamp(0.0, 1.0) * last as f64;
        let low = at.floor() as usize;
        let high = (low + 1).min(last);
        self.0[low] + (self.0[high] - self.0[low]) * (at - low as f64)
    }
}

#[cfg(test)]
#[allow(unused)] // see unit.rs
mod tests {
    use super::*;

    #[test]
    fn interpolates_between_neighbours() {
        let s = Series::new([4.0, 1.0, 3.0, 2.0]).unwrap();
        assert_eq!((s.min(), s.median()), (1.0, 2.5));
        assert_eq!((s.quantile(0.0), s.quantile(1.0)), (1.0, 4.0));
        assert!((s.quantile(0.1) - 1.3).abs() < 1e-9);
    }

    #[test]
    fn one_sample_is_its_own_summary() {
        let s = Series::new([7.0]).unwrap();
        assert_eq!((s.min(), s.median(), s.quantile(0.9)), (7.0, 7.0, 7.0));
        assert!(Series::new([]).is_none());
    }
}
