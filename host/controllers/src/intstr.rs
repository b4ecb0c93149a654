//! What is given as a number or as a percentage (`k8s.io/apimachinery/pkg/util/intstr`): pure.

use k8s_openapi::apimachinery::pkg::util::intstr::IntOrString;

/// A number, or a percentage of `total`.
pub(crate) fn scaled(value: &IntOrString, total: i32, up: bool) -> i32 {
    match value {
        IntOrString::Int(number) => *number,
        IntOrString::String(text) => {
            // Validation lets only percentages through.
            let percent = text.strip_suffix('%').and_then(|digits| digits.parse::<i64>().ok());
            let product = percent.unwrap_or(0) * i64::from(total);
            let scaled = if up { (product + 99).div_euclid(100) } else { product.div_euclid(100) };
            i32::try_from(scaled).unwrap_or(i32::MAX)
        }
    }
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn percentages_are_rounded_as_asked() {
        let percent = |text: &str| IntOrString::String(text.to_owned());
        for (value, total, up, expected) in [
            (IntOrString::Int(3), 10, true, 3),
            (percent("25%"), 10, true, 3),
            (percent("25%"), 10, false, 2),
            (percent("100%"), 7, true, 7),
            (percent("0%"), 7, true, 0),
            (percent("1%"), 0, true, 0),
        ] {
            assert_eq!(scaled(&value, total, up), expected, "{value:?} of {total}");
        }
    }
}
