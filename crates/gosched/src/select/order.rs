//! In which order the cases of a select are tried.

use super::random::{Dice, random};

/// Selects with up to this many cases keep their bookkeeping on the stack.
pub(super) const INLINE: usize = 8;

/// The order in which cases are tried: drawn by Fisher and Yates, as far as needed, so that each of those that
/// are ready comes first with the same probability.
pub(super) struct Order<'s> {
    cases: &'s mut [u32],
    drawn: usize,
    biased: bool,
    /// Whether the first one is given and not drawn.
    first_is_set: bool,
    /// Made at the first throw.
    dice: Option<Dice>,
}

impl<'s> Order<'s> {
    pub(super) fn new(cases: &'s mut [u32], biased: bool, first: Option<u32>) -> Self {
        // Where the order is given, nothing was drawn.
        let first = first.filter(|_| !biased).and_then(|first| cases.iter().position(|case| *case == first));
        if let Some(at) = first {
            cases.swap(0, at);
        }
        Self { cases, drawn: 0, biased, first_is_set: first.is_some(), dice: None }
    }

    #[inline]
    pub(super) fn next(&mut self) -> Option<u32> {
        let left = self.cases.len() - self.drawn;
        if left == 0 {
            return None;
        }
        if !self.biased && left > 1 && !self.first_is_set {
            let dice = self.dice.get_or_insert_with(|| Dice::new(random()));
            self.cases.swap(self.drawn, self.drawn + dice.below(left as u32) as usize);
        }
        self.first_is_set = false;
        self.drawn += 1;
        Some(self.cases[self.drawn - 1])
    }
}

/// Room for `count` things, on the stack if they are few.
pub(super) fn scratch<'s, X: Copy>(
    inline: &'s mut [X; INLINE],
    heap: &'s mut Vec<X>,
    count: usize,
) -> &'s mut [X] {
    if count <= INLINE {
        &mut inline[..count]
    } else {
        heap.resize(count, inline[0]);
        heap
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn one_that_is_given_comes_first_and_changes_no_given_order() {
        let order = |biased, first| {
            let mut cases = [0, 1, 2];
            let mut order = Order::new(&mut cases, biased, first);
            std::array::from_fn::<_, 4, _>(|_| order.next())
        };
        assert_eq!(order(true, Some(2)), [Some(0), Some(1), Some(2), None]);
        for _ in 0..20 {
            assert_eq!(order(false, Some(2))[0], Some(2));
        }
    }
}
