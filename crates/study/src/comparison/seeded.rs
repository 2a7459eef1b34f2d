//! Texts of which every run of a variant has its own: those that a sweep wrote the seed into.

use std::collections::HashMap;

use looped_config::sweep::SEED;

use crate::comparison::run::FinishedRun;

/// A run's name, a key of its config, and what stands there but for the numbers in it.
type Alike = (String, String, Vec<String>);

/// Writes `{seed}` again where runs of one name have their seeds in a text and all else of it in common: but for that they are one variant.
pub(super) fn put_back(runs: &mut [FinishedRun]) {
    let mut alike: HashMap<Alike, Vec<(usize, usize)>> = HashMap::new();
    for (i, run) in runs.iter().enumerate() {
        let texts = run.settings.iter().enumerate().filter(|(_, (_, value))| value.starts_with(['"', '\'']));
        for (k, (key, value)) in texts {
            let frame =
                parts(value).into_iter().map(|part| if is_number(part) { "0" } else { part }.to_owned());
            let place = (run.name.clone(), key.clone(), frame.collect());
            alike.entry(place).or_default().push((i, k));
        }
    }
    for places in alike.into_values() {
        let texts: Vec<(&str, u64)> =
            places.iter().map(|&(i, k)| (runs[i].settings[k].1.as_str(), runs[i].seed)).collect();
        for ((i, k), text) in places.iter().zip(with_seeds_open(&texts)) {
            runs[*i].settings[*k].1 = text;
        }
    }
}

/// Texts that are the same but for numbers, each of a run with this seed: where a number is the seed in all of them, `{seed}`.
fn with_seeds_open(texts: &[(&str, u64)]) -> Vec<String> {
    if texts.iter().all(|(text, _)| *text == texts[0].0) {
        return texts.iter().map(|(text, _)| (*text).to_owned()).collect();
    }
    let cut: Vec<Vec<&str>> = texts.iter().map(|(text, _)| parts(text)).collect();
    let seeds: Vec<String> = texts.iter().map(|(_, seed)| seed.to_string()).collect();
    let is_seed = |part: usize| cut.iter().zip(&seeds).all(|(parts, seed)| parts[part] == seed);
    let open: Vec<bool> = (0..cut[0].len()).map(is_seed).collect();
    let told = |parts: &Vec<&str>| {
        parts.iter().zip(&open).map(|(part, open)| if *open { SEED } else { part }).collect()
    };
    cut.iter().map(told).collect()
}

/// A text cut where its numbers begin and end.
fn parts(text: &str) -> Vec<&str> {
    let (mut parts, mut rest) = (Vec::new(), text);
    while !rest.is_empty() {
        let number = is_number(rest);
        let end = rest.find(|c: char| c.is_ascii_digit() != number).unwrap_or(rest.len());
        let (part, after) = rest.split_at(end);
        parts.push(part);
        rest = after;
    }
    parts
}

fn is_number(part: &str) -> bool {
    part.starts_with(|c: char| c.is_ascii_digit())
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn a_number_that_is_the_seed_in_every_text_is_open() {
        for (texts, told) in [
            ([("v1/m0.pt", 0), ("v1/m1.pt", 1)], ["v1/m{seed}.pt", "v1/m{seed}.pt"]),
            ([("3/m3", 3), ("12/m12", 12)], ["{seed}/m{seed}", "{seed}/m{seed}"]),
            // One model for all seeds, though its number is that of one.
            ([("m1.pt", 0), ("m1.pt", 1)], ["m1.pt", "m1.pt"]),
            // The other's.
            ([("m1.pt", 0), ("m0.pt", 1)], ["m1.pt", "m0.pt"]),
            ([("m01", 1), ("m02", 2)], ["m01", "m02"]),
        ] {
            assert_eq!(with_seeds_open(&texts), told);
        }
    }
}
