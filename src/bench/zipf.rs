//! Keys of which few are asked for often and many seldom.

/// Zipf's law with exponent 1: the key of rank k is drawn with a probability in proportion to 1/k.
#[derive(Debug)]
pub struct Zipf(Vec<f64>);

impl Zipf {
    /// Draws from so many keys, at least one.
    #[must_use]
    pub fn new(population: u64) -> Self {
        let mut sum = 0.0;
        #[expect(clippy::cast_precision_loss, reason = "ranks are small")]
        let sums = (1..=population.max(1)).map(|rank| {
            sum += 1.0 / rank as f64;
            sum
        });
        Self(sums.collect())
    }

    /// A rank, from 0 on, that is always the same for the same number.
    #[must_use]
    pub fn rank(&self, number: u64) -> u64 {
        let point = share(number) * self.0.last().copied().unwrap_or_default();
        self.0.partition_point(|sum| *sum < point) as u64
    }
}

/// A share from 0 to below 1, always the same for the same number, and unrelated to those of other numbers.
#[must_use]
pub fn share(number: u64) -> f64 {
    #[expect(clippy::cast_precision_loss, reason = "53 bits of chance are enough")]
    let share = (scramble(number) >> 11) as f64 / (1_u64 << 53) as f64;
    share
}

/// The finalizer of `SplitMix64`: numbers that follow each other become such that seem to be chosen by chance.
#[must_use]
pub fn scramble(number: u64) -> u64 {
    let number = number.wrapping_add(1).wrapping_mul(0x9e37_79b9_7f4a_7c15);
    let number = (number ^ (number >> 30)).wrapping_mul(0xbf58_476d_1ce4_e5b9);
    let number = (number ^ (number >> 27)).wrapping_mul(0x94d0_49bb_1331_11eb);
    number ^ (number >> 31)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_rank_is_drawn_as_often_as_its_inverse() {
        const DRAWN: u32 = 100_000;
        let zipf = Zipf::new(100);
        let mut counts = [0_u32; 100];
        (0..u64::from(DRAWN)).for_each(|number| counts[usize::try_from(zipf.rank(number)).unwrap()] += 1);
        let sum: f64 = (1..=100).map(|rank| 1.0 / f64::from(rank)).sum();
        for (rank, count) in (1..).zip(counts) {
            let expected = f64::from(DRAWN) / f64::from(rank) / sum;
            assert!(
                (f64::from(count) - expected).abs() < 5.0 * expected.sqrt(),
                "rank {rank}: {count}, not {expected}"
            );
        }
        assert_eq!((zipf.rank(7), Zipf::new(0).rank(7)), (zipf.rank(7), 0));
    }
}
