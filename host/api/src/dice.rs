//! The one source of randomness, so that a seed makes a whole run repeatable.

use std::sync::{LazyLock, Mutex, MutexGuard, PoisonError};
use std::time::Duration;

use rand::rngs::StdRng;
use rand::{RngExt, SeedableRng};

static DICE: LazyLock<Mutex<StdRng>> = LazyLock::new(|| Mutex::new(rand::make_rng()));

/// Letters and digits that cannot spell a word, as Kubernetes uses them for generated names
/// (`k8s.io/apimachinery/pkg/util/rand`).
const ALPHABET: &[u8] = b"bcdfghjklmnpqrstvwxz2456789";

fn dice() -> MutexGuard<'static, StdRng> {
    DICE.lock().unwrap_or_else(PoisonError::into_inner)
}

/// Makes every later throw of this process follow from `seed`.
pub fn seed(seed: u64) {
    *dice() = StdRng::seed_from_u64(seed);
}

/// A uniform 64-bit number.
pub fn number() -> u64 {
    dice().random()
}

/// 32 random bytes, for keys and tokens.
pub fn secret() -> [u8; 32] {
    dice().random()
}

/// A uniform index below `bound`; 0 if `bound` is 0.
pub fn below(bound: usize) -> usize {
    if bound == 0 { 0 } else { dice().random_range(0..bound) }
}

/// `length` characters for the end of a generated name.
pub fn suffix(length: usize) -> String {
    let mut dice = dice();
    (0..length).map(|_| char::from(ALPHABET[dice.random_range(0..ALPHABET.len())])).collect()
}

/// A random (version 4) UUID in its usual spelling.
pub fn uuid() -> String {
    uuid::Builder::from_random_bytes(dice().random()).into_uuid().to_string()
}

/// `base` lengthened by a random part of up to `factor` times itself.
pub fn jitter(base: Duration, factor: f64) -> Duration {
    base.mul_f64(1.0 + factor * dice().random::<f64>())
}
