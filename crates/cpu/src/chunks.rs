//! How prompts are shared out to threads.

use std::ops::Range;

/// Rows that a chunk has in a loop, about: enough for products to run at full speed, so few that a loop's activations stay
/// in the second-level cache up to a width of 256.
const ROWS: usize = 80;
/// The same with the prefixes, whose memories every loop reads again: more take longer than larger products save.
const ROWS_WITH_PREFIX: usize = 324;

/// The prompts of each chunk, `least` or more where there are so many for each thread; thread i of n takes the chunks i,
/// i + n, i + 2n, ...
pub(crate) fn chunks(
    prompts: usize,
    [prefix, suffix]: [usize; 2],
    least: usize,
    threads: usize,
) -> Vec<Range<usize>> {
    let most = ROWS.div_ceil(suffix.max(1)).min(ROWS_WITH_PREFIX.div_ceil(prefix + suffix));
    let most = most.max(least).min(prompts.div_ceil(threads));
    // As many chunks for each thread, of sizes that differ by 1 at most.
    let count = prompts.div_ceil(most).next_multiple_of(threads).min(prompts);
    (0..count).map(|i| i * prompts / count..(i + 1) * prompts / count).collect()
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn chunks_cover_the_prompts_and_load_threads_evenly() {
        for prompts in [1, 2, 3, 7, 64, 100, 1280] {
            for (prefix, suffix) in [(0, 1), (0, 21), (0, 81), (0, 201), (0, 5000), (62, 19), (41, 0)] {
                for (threads, least) in [(1, 1), (1, 4), (2, 1), (2, 4), (3, 1), (16, 1), (16, 4)] {
                    let chunks = chunks(prompts, [prefix, suffix], least, threads);
                    assert_eq!(chunks[0].start, 0);
                    assert!(chunks.windows(2).all(|pair| pair[0].end == pair[1].start));
                    assert_eq!(chunks[chunks.len() - 1].end, prompts);
                    let sizes = chunks.iter().map(ExactSizeIterator::len);
                    let (least, most) = (sizes.clone().min().unwrap(), sizes.max().unwrap());
                    assert!(least >= 1 && most <= least + 1);
                    assert!(chunks.len().is_multiple_of(threads) || chunks.len() == prompts);
                }
            }
        }
    }

    #[test]
    fn a_chunk_has_as_many_rows_with_a_prefix_up_to_a_bound() {
        let largest = |prefix, suffix| {
            chunks(64, [prefix, suffix], 1, 2).iter().map(ExactSizeIterator::len).max().unwrap()
        };
        assert_eq!(largest(0, 81), 1);
        assert_eq!(largest(0, 21), 4);
        assert_eq!(largest(22, 59), 2);
        assert_eq!(largest(62, 19), 4);
        assert_eq!(largest(80, 1), 4);
    }

    #[test]
    fn a_chunk_has_the_least_number_of_sequences_if_there_are_so_many_for_each_thread() {
        let sizes = |prompts, least| {
            let chunks = chunks(prompts, [0, 81], least, 2);
            chunks.iter().map(ExactSizeIterator::len).collect::<Vec<_>>()
        };
        assert_eq!(sizes(16, 4), [4; 4]);
        assert_eq!(sizes(4, 4), [2; 2]);
        assert_eq!(sizes(1, 4), [1]);
    }
}
