//! Whether counts follow a law.

/// Pearson's statistic of counts against their expected shares (any unit). Categories without a
/// share must be empty.
pub fn chi_square(counts: &[u64], shares: &[f64]) -> f64 {
    let all: u64 = counts.iter().sum();
    let unit: f64 = all as f64 / shares.iter().sum::<f64>();
    counts
        .iter()
        .zip(shares)
        .map(|(&count, &share)| match (count, share * unit) {
            (0, 0.0) => 0.0,
            (count, expected) => (count as f64 - expected).powi(2) / expected,
        })
        .sum()
}

/// What the statistic exceeds once in about 10,000 runs for `freedom` degrees (Wilson and Hilferty's
/// approximation). Tests have fixed seeds: one that passes goes on passing.
pub fn chi_square_limit(freedom: usize) -> f64 {
    let freedom = freedom as f64;
    let spread = 2.0 / (9.0 * freedom);
    freedom * (1.0 - spread + 3.719 * spread.sqrt()).powi(3)
}

/// Checks that counts follow weights.
///
/// # Panics
///
/// When they do not, beyond [`chi_square_limit`].
#[track_caller]
pub fn assert_proportions(counts: &[u64], weights: &[u64]) {
    let shares: Vec<f64> = weights.iter().map(|&weight| weight as f64).collect();
    let freedom = shares.iter().filter(|&&share| share > 0.0).count() - 1;
    let statistic = chi_square(counts, &shares);
    let limit = chi_square_limit(freedom.max(1));
    assert!(statistic < limit, "{counts:?} do not follow {weights:?}: chi-square {statistic} exceeds {limit}");
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn the_limit_is_that_of_the_tables() {
        // Quantiles of 0.9999: 15.14 for 1 degree (the approximation's weakest), 35.56 for 10.
        assert!((chi_square_limit(1) - 15.14).abs() < 1.2);
        assert!((chi_square_limit(10) - 35.56).abs() < 0.5);
    }

    #[test]
    fn loaded_dice_are_found() {
        assert_proportions(&[1010, 990, 1005, 995], &[1, 1, 1, 1]);
        assert!(chi_square(&[1200, 900, 950, 950], &[1.0; 4]) > chi_square_limit(3));
    }
}
