//! The seeds of a sweep from the command line.

/// The seeds of a sweep.
#[derive(Clone, Debug, PartialEq)]
pub(crate) struct Seeds(pub(crate) Vec<u64>);

/// `0..9`, or `0,3,5`.
pub(super) fn seeds(text: &str) -> Result<Seeds, String> {
    const MOST: u64 = 10_000;
    let advice = "expected seeds as 0..9 or 0,3,5";
    let number = |text: &str| text.trim().parse::<u64>().map_err(|_| advice.to_owned());
    let all: Vec<u64> = match text.split_once("..") {
        Some((first, last)) => {
            let (first, last) = (number(first)?, number(last)?);
            if first > last || last - first >= MOST {
                return Err(format!("{advice}, at most {MOST} of them"));
            }
            (first..=last).collect()
        }
        None => text.split(',').map(number).collect::<Result<_, _>>()?,
    };
    match all.iter().enumerate().find(|(i, seed)| all[..*i].contains(seed)) {
        Some((_, twice)) => Err(format!("lists {twice} twice")),
        None => Ok(Seeds(all)),
    }
}
