//! Amounts of resources: exact decimal arithmetic and Kubernetes' canonical spelling
//! (`k8s.io/apimachinery/pkg/api/resource`).

use std::cmp::Ordering;
use std::fmt;
use std::ops::{Add, AddAssign, Sub, SubAssign};
use std::str::FromStr;

use k8s_openapi::apimachinery::pkg::api::resource::Quantity as Text;

/// Billionths in a unit.
const NANO: i128 = 1_000_000_000;
/// The largest magnitude, as in Kubernetes: larger amounts are capped.
const MAX: i128 = i64::MAX as i128 * NANO;

/// Why a text is no quantity, in Kubernetes' words.
#[derive(Clone, Copy, Debug, PartialEq, Eq, thiserror::Error)]
pub enum QuantityError {
    /// It is not a number with a suffix.
    #[error(
        "quantities must match the regular expression '^([+-]?[0-9.]+)([eEinumkKMGTP]*[-+]?[0-9]*)$'"
    )]
    Format,
    /// Its suffix is unknown.
    #[error("unable to parse quantity's suffix")]
    Suffix,
    /// Its number is malformed.
    #[error("unable to parse quantity's numeric part")]
    Numeric,
}

/// How an amount was spelt, and is spelt again.
#[derive(Clone, Copy, Debug, Default, PartialEq, Eq)]
enum Form {
    /// Powers of 1000: `m`, `k`, `M`.
    #[default]
    Decimal,
    /// Powers of 1024: `Ki`, `Mi`.
    Binary,
    /// `e3`.
    Exponent,
}

/// An amount, exact to a billionth (rounded away from zero below that). Equality and order are
/// those of the amounts, whatever their spelling.
#[derive(Clone, Copy, Debug, Default)]
pub struct Quantity {
    nano: i128,
    form: Form,
}

impl Quantity {
    /// Nothing.
    pub const ZERO: Self = Self { nano: 0, form: Form::Decimal };

    /// `units` whole units, spelt decimally.
    pub const fn units(units: i64) -> Self {
        Self { nano: units as i128 * NANO, form: Form::Decimal }
    }

    /// `thousandths` of a unit, as CPU is counted.
    pub const fn milli(thousandths: i64) -> Self {
        Self { nano: (thousandths as i128 * NANO) / 1000, form: Form::Decimal }
    }

    /// `bytes`, spelt in powers of 1024.
    pub const fn bytes(bytes: i64) -> Self {
        Self { nano: bytes as i128 * NANO, form: Form::Binary }
    }

    /// The amount in whole units, rounded up.
    pub fn value(self) -> i64 {
        self.scaled(NANO)
    }

    /// The amount in thousandths, rounded up.
    pub fn milli_value(self) -> i64 {
        self.scaled(NANO / 1000)
    }

    /// The amount in units as near as a floating-point number comes.
    #[expect(clippy::cast_precision_loss, reason = "an approximation is asked for")]
    pub fn approximate(self) -> f64 {
        self.nano as f64 / NANO as f64
    }

    fn scaled(self, unit: i128) -> i64 {
        let up = self.nano.div_euclid(unit) + i128::from(self.nano.rem_euclid(unit) != 0);
        i64::try_from(up).unwrap_or(if up < 0 { i64::MIN } else { i64::MAX })
    }

    /// The amount rounded up to thousandths, the finest that the API keeps.
    #[must_use]
    pub fn rounded_to_milli(self) -> Self {
        let milli = NANO / 1000;
        let up = self.nano.div_euclid(milli) + i128::from(self.nano.rem_euclid(milli) != 0);
        Self::capped(up * milli, self.form)
    }

    /// Whether the amount is a whole number of units.
    pub fn is_whole(self) -> bool {
        self.nano % NANO == 0
    }

    /// Whether the amount is nothing.
    pub fn is_zero(self) -> bool {
        self.nano == 0
    }

    /// Whether the amount is less than nothing.
    pub fn is_negative(self) -> bool {
        self.nano < 0
    }

    fn capped(nano: i128, form: Form) -> Self {
        Self { nano: nano.clamp(-MAX, MAX), form }
    }
}

/// `text` in canonical spelling and rounded up to thousandths, as resource lists are kept; as it
/// is if it is no quantity.
pub fn canonical(text: &Text) -> Text {
    match text.0.parse::<Quantity>() {
        Ok(amount) => amount.rounded_to_milli().into(),
        Err(_) => text.clone(),
    }
}

impl PartialEq for Quantity {
    fn eq(&self, other: &Self) -> bool {
        self.nano == other.nano
    }
}

impl Eq for Quantity {}

impl PartialOrd for Quantity {
    fn partial_cmp(&self, other: &Self) -> Option<Ordering> {
        Some(self.cmp(other))
    }
}

impl Ord for Quantity {
    fn cmp(&self, other: &Self) -> Ordering {
        self.nano.cmp(&other.nano)
    }
}

/// The spelling is that of the left side, unless that is zero.
impl Add for Quantity {
    type Output = Self;

    fn add(self, other: Self) -> Self {
        let form = if self.is_zero() { other.form } else { self.form };
        Self::capped(self.nano + other.nano, form)
    }
}

impl Sub for Quantity {
    type Output = Self;

    fn sub(self, other: Self) -> Self {
        let form = if self.is_zero() { other.form } else { self.form };
        Self::capped(self.nano - other.nano, form)
    }
}

impl AddAssign for Quantity {
    fn add_assign(&mut self, other: Self) {
        *self = *self + other;
    }
}

impl SubAssign for Quantity {
    fn sub_assign(&mut self, other: Self) {
        *self = *self - other;
    }
}

impl std::iter::Sum for Quantity {
    fn sum<I: Iterator<Item = Self>>(amounts: I) -> Self {
        amounts.fold(Self::ZERO, Add::add)
    }
}

impl From<Quantity> for Text {
    fn from(quantity: Quantity) -> Self {
        Self(quantity.to_string())
    }
}

impl TryFrom<&Text> for Quantity {
    type Error = QuantityError;

    fn try_from(text: &Text) -> Result<Self, QuantityError> {
        text.0.parse()
    }
}

impl FromStr for Quantity {
    type Err = QuantityError;

    fn from_str(text: &str) -> Result<Self, QuantityError> {
        let unsigned = text.strip_prefix(['+', '-']).unwrap_or(text);
        let is_number = |char: char| char.is_ascii_digit() || char == '.';
        let split = unsigned.find(|char| !is_number(char)).unwrap_or(unsigned.len());
        let (number, suffix) = unsigned.split_at(split);
        let (whole, fraction) = number.split_once('.').unwrap_or((number, ""));
        if fraction.contains('.') {
            return Err(QuantityError::Numeric);
        }
        if whole.is_empty() && fraction.is_empty() {
            return Err(QuantityError::Format);
        }
        let (form, base, power) = scale(suffix)?;
        let nano = magnitude(whole, fraction, base, power);
        let signed = if text.starts_with('-') { -nano } else { nano };
        Ok(Self::capped(signed, form))
    }
}

/// What a suffix multiplies with: its form, base and power.
fn scale(suffix: &str) -> Result<(Form, i128, i32), QuantityError> {
    let decimal = |power| Ok((Form::Decimal, 10, power));
    let binary = |power| Ok((Form::Binary, 1024, power));
    match suffix {
        "n" => decimal(-9),
        "u" => decimal(-6),
        "m" => decimal(-3),
        "" => decimal(0),
        "k" => decimal(3),
        "M" => decimal(6),
        "G" => decimal(9),
        "T" => decimal(12),
        "P" => decimal(15),
        "E" => decimal(18),
        "Ki" => binary(1),
        "Mi" => binary(2),
        "Gi" => binary(3),
        "Ti" => binary(4),
        "Pi" => binary(5),
        "Ei" => binary(6),
        _ => {
            let letters = suffix.trim_start_matches(|c| "eEinumkKMGTP".contains(c));
            let digits = letters.strip_prefix(['+', '-']).unwrap_or(letters);
            if !digits.bytes().all(|byte| byte.is_ascii_digit()) {
                return Err(QuantityError::Format);
            }
            let power = suffix.strip_prefix(['e', 'E']).and_then(|power| power.parse().ok());
            power.map(|power| (Form::Exponent, 10, power)).ok_or(QuantityError::Suffix)
        }
    }
}

/// `whole.fraction * base^power` in billionths, rounded up and capped.
fn magnitude(whole: &str, fraction: &str, base: i128, power: i32) -> i128 {
    // Digits behind the 30th place after the point can only round up.
    let (kept, dropped) = fraction.split_at(fraction.len().min(30));
    let mut inexact = dropped.bytes().any(|byte| byte != b'0');
    let digits = whole.trim_start_matches('0').bytes().chain(kept.bytes());
    let mut number: i128 = 0;
    let mut places = -i64::try_from(kept.len()).unwrap_or(0);
    let mut full = false;
    for digit in digits {
        match number.checked_mul(10).and_then(|n| n.checked_add(i128::from(digit - b'0'))) {
            Some(larger) if !full => number = larger,
            _ => {
                full = true;
                inexact |= digit != b'0';
                places += 1;
            }
        }
    }
    if number == 0 {
        return i128::from(inexact);
    }
    let mut tens = places + 9;
    if base == 10 {
        tens += i64::from(power);
    } else {
        for _ in 0..power {
            number = match number.checked_mul(base) {
                Some(larger) => larger,
                // 38 digits and a factor: drop digits that the billionth cannot hold.
                None if tens < 0 => {
                    tens += 4;
                    inexact |= number % 10_000 != 0;
                    number / 10_000 * base
                }
                None => return MAX,
            };
        }
    }
    while tens > 0 {
        number = match number.checked_mul(10) {
            Some(larger) if larger <= MAX => larger,
            _ => return MAX,
        };
        tens -= 1;
    }
    while tens < 0 && number > 0 {
        inexact |= number % 10 != 0;
        number /= 10;
        tens += 1;
    }
    (number + i128::from(inexact)).min(MAX)
}

impl fmt::Display for Quantity {
    fn fmt(&self, f: &mut fmt::Formatter<'_>) -> fmt::Result {
        if self.nano == 0 {
            return f.write_str("0");
        }
        let small = self.nano.abs() < 1024 * NANO;
        if self.form == Form::Binary && !small && self.is_whole() {
            let (mut number, mut power) = (self.nano / NANO, 0);
            while number % 1024 == 0 {
                number /= 1024;
                power += 1;
            }
            let suffix = ["", "Ki", "Mi", "Gi", "Ti", "Pi", "Ei"].get(power).unwrap_or(&"");
            return write!(f, "{number}{suffix}");
        }
        let (mut number, mut power) = (self.nano, -9);
        while number % 1000 == 0 && power < 18 {
            number /= 1000;
            power += 3;
        }
        match (self.form, power) {
            (_, 0) => write!(f, "{number}"),
            (Form::Exponent, _) => write!(f, "{number}e{power}"),
            _ => {
                let suffix = match power {
                    -9 => "n",
                    -6 => "u",
                    -3 => "m",
                    3 => "k",
                    6 => "M",
                    9 => "G",
                    12 => "T",
                    15 => "P",
                    _ => "E",
                };
                write!(f, "{number}{suffix}")
            }
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn canonical_spelling() {
        for (text, spelt) in [
            ("0", "0"),
            ("0.5", "500m"),
            ("1000m", "1"),
            ("1500m", "1500m"),
            ("1.5", "1500m"),
            ("1.5Gi", "1536Mi"),
            ("1024Mi", "1Gi"),
            ("512", "512"),
            ("1024", "1024"),
            ("1000", "1k"),
            ("0.5Ki", "512"),
            ("1Ki", "1Ki"),
            ("100M", "100M"),
            ("1e3", "1e3"),
            ("1E3", "1e3"),
            ("12e6", "12e6"),
            ("1.2e3", "1200"),
            ("1E", "1E"),
            ("1Ei", "1Ei"),
            ("-1.5", "-1500m"),
            ("+5", "5"),
            (".5", "500m"),
            ("5.", "5"),
            ("0.1n", "1n"),
            ("100u", "100u"),
            ("1.1Ki", "1126400m"),
            ("99999999999999999999", "9223372036854775807"),
            ("8Ei", "9223372036854775807"),
            ("1e-30", "1e-9"),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap().to_string(), spelt, "{text}");
        }
    }

    #[test]
    fn refuses() {
        for (text, error) in [
            ("", QuantityError::Format),
            ("abc", QuantityError::Format),
            ("1 Gi", QuantityError::Format),
            ("1gi", QuantityError::Format),
            ("1KI", QuantityError::Format),
            ("1ki", QuantityError::Suffix),
            ("1e", QuantityError::Suffix),
            ("1.1.1", QuantityError::Numeric),
            ("-", QuantityError::Format),
        ] {
            assert_eq!(text.parse::<Quantity>().unwrap_err(), error, "{text}");
        }
    }

    #[test]
    fn arithmetic_and_rounding() {
        let q = |text: &str| text.parse::<Quantity>().unwrap();
        assert_eq!((q("1Gi") + q("512Mi")).to_string(), "1536Mi");
        assert_eq!((q("0") + q("1Ki")).to_string(), "1Ki");
        assert_eq!((q("1") - q("300m")).to_string(), "700m");
        assert_eq!(q("1000m"), q("1"));
        assert!(q("1Gi") > q("1G"));
        assert_eq!(q("1500m").value(), 2);
        assert_eq!(q("-1500m").value(), -1);
        assert_eq!(q("1u").milli_value(), 1);
        assert_eq!(q("250m").milli_value(), 250);
        assert_eq!(Quantity::milli(1500).to_string(), "1500m");
        assert_eq!(Quantity::bytes(2048).to_string(), "2Ki");
        assert_eq!(Quantity::units(3).value(), 3);
        assert_eq!([q("1"), q("2")].into_iter().sum::<Quantity>().to_string(), "3");
    }
}
