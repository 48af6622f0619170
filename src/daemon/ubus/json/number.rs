//! Numbers of JSON text, by whole-number arithmetic: routers have no floating point unit, and libc's strtod, which would
//! otherwise not be linked, takes 10 KB.

/// Significant digits that are read one by one. The midpoint between two doubles has at most 767 (IEEE 754); of the digits
/// beyond it matters only whether they are all zero.
const MAX_DIGITS: usize = 768;

/// Decimal exponents beyond which a number is infinite, or zero.
const MAX_EXPONENT: i32 = 310;
const MIN_EXPONENT: i32 = -326;

/// Bits of a double's significand, the leading one included, and the bias of its exponent.
const SIGNIFICAND: i32 = 53;
const BIAS: i32 = 1023;

/// A number without fraction and exponent; beyond 64 bits the nearest.
pub fn parse_whole(number: &[u8]) -> Option<i64> {
    let (negative, digits) = number.strip_prefix(b"-").map_or((false, number), |digits| (true, digits));
    digits.iter().try_fold(0_i64, |sum, digit| {
        let digit = digit.is_ascii_digit().then(|| i64::from(digit - b'0'))?;
        Some(sum.saturating_mul(10).saturating_add(if negative { -digit } else { digit }))
    })
}

/// The double nearest to a number in JSON's syntax, halfway cases to even; infinite beyond the range.
pub fn parse_double(number: &[u8]) -> f64 {
    let (sign, number) = number.strip_prefix(b"-").map_or((0, number), |number| (1 << 63, number));
    let (digits, exponent) = split_exponent(number);
    let mut value = Big(Vec::new());
    let (mut scale, mut count, mut rest, mut behind_point) = (exponent, 0, false, false);
    for &byte in digits {
        let digit = u32::from(byte.wrapping_sub(b'0'));
        match byte {
            b'.' => behind_point = true,
            // Leading zeros are not significant.
            b'0' if count == 0 => scale -= i32::from(behind_point),
            _ if count < MAX_DIGITS => {
                count += 1;
                value.multiply_add(10, digit);
                scale -= i32::from(behind_point);
            }
            _ => {
                rest |= digit != 0;
                scale += i32::from(!behind_point);
            }
        }
    }
    // The number is at least 0.1 * 10^magnitude, and less than 10^magnitude.
    let magnitude = scale.saturating_add(i32::try_from(count).unwrap_or(i32::MAX));
    let bits = match magnitude {
        _ if count == 0 => 0,
        ..MIN_EXPONENT => 0,
        MAX_EXPONENT.. => f64::INFINITY.to_bits(),
        _ => value.into_bits(scale, rest),
    };
    f64::from_bits(sign | bits)
}

/// What stands before the exponent, and the exponent; beyond any range the nearest.
fn split_exponent(number: &[u8]) -> (&[u8], i32) {
    let Some(at) = number.iter().position(|byte| matches!(byte, b'e' | b'E')) else { return (number, 0) };
    let (digits, exponent) = number.split_at(at);
    let exponent = exponent.get(1..).unwrap_or_default();
    let exponent = exponent.strip_prefix(b"+").unwrap_or(exponent);
    // Far from overflow, whatever digits there are.
    let exponent = parse_whole(exponent).unwrap_or(0).clamp(-1 << 24, 1 << 24);
    (digits, i32::try_from(exponent).unwrap_or(0))
}

/// A whole number of any length, its lowest 32 bits first.
struct Big(Vec<u32>);

impl Big {
    fn multiply_add(&mut self, factor: u32, mut carry: u32) {
        for limb in &mut self.0 {
            let product = u64::from(*limb) * u64::from(factor) + u64::from(carry);
            (*limb, carry) = (low(product), low(product >> 32));
        }
        if carry > 0 {
            self.0.push(carry);
        }
    }

    /// Divides; true if there is a remainder.
    fn divide(&mut self, divisor: u32) -> bool {
        let mut remainder = 0;
        for limb in self.0.iter_mut().rev() {
            let dividend = u64::from(remainder) << 32 | u64::from(*limb);
            (*limb, remainder) = (low(dividend / u64::from(divisor)), low(dividend % u64::from(divisor)));
        }
        while self.0.last() == Some(&0) {
            self.0.pop();
        }
        remainder > 0
    }

    /// The bits of the double nearest to this number, which is not zero, times ten to the power of `scale`. With `rest` it
    /// is a little more.
    fn into_bits(mut self, scale: i32, mut rest: bool) -> u64 {
        // Limbs of zeros below, so that division by a power of ten leaves 64 bits at least: ten is less than 2^4.
        let zeros = usize::try_from(-scale).map_or(0, |scale| scale / 8 + 3);
        self.0.splice(..0, std::iter::repeat_n(0, zeros));
        (0..scale).for_each(|_| self.multiply_add(10, 0));
        (scale..0).for_each(|_| rest |= self.divide(10));

        // The highest 64 bits, the first of them set.
        let mut limbs = self.0.iter().rev().copied();
        let mut next = || u64::from(limbs.next().unwrap_or(0));
        let (high, middle, low) = (next(), next(), next());
        let shift = high.leading_zeros() - 32;
        let below = low << shift;
        let significand = (high << 32 | middle) << shift | below >> 32;
        rest |= self::low(below) != 0 || limbs.any(|limb| limb != 0);
        let length = i32::try_from(self.0.len()).unwrap_or(i32::MAX) * 32 - shift as i32;
        round(significand, length - 1 - i32::try_from(zeros).unwrap_or(i32::MAX) * 32, rest)
    }
}

fn low(value: u64) -> u32 {
    let [.., a, b, c, d] = value.to_be_bytes();
    u32::from_be_bytes([a, b, c, d])
}

/// The bits of the double nearest to a number whose first 64 bits are `significand`, and the first of them stands for two
/// to the power of `exponent`. With `rest` it is a little more.
fn round(significand: u64, exponent: i32, rest: bool) -> u64 {
    // Numbers below the least exponent have fewer bits.
    let lacking = (1 - BIAS - exponent).max(0);
    let dropped = 64 - SIGNIFICAND + lacking;
    if dropped > 64 {
        return 0;
    }
    let kept = significand.checked_shr(dropped.cast_unsigned()).unwrap_or(0);
    let below = significand << (64 - dropped);
    const HALF: u64 = 1 << 63;
    let up = below > HALF || below == HALF && (rest || kept & 1 == 1);
    // A carry out of the significand goes to the exponent, which is right.
    let biased = u64::try_from(exponent + BIAS - 1).unwrap_or(0);
    let bits = if lacking > 0 { kept } else { (biased << (SIGNIFICAND - 1)) + kept } + u64::from(up);
    bits.min(f64::INFINITY.to_bits())
}

#[cfg(test)]
mod tests {
    use super::*;
    use proptest::prelude::*;

    #[track_caller]
    fn agrees(text: &str) {
        let expected: f64 = text.parse().unwrap();
        assert_eq!(parse_double(text.as_bytes()).to_bits(), expected.to_bits(), "{text}");
    }

    #[test]
    fn doubles_are_the_nearest() {
        #[rustfmt::skip]
        let rows = [
            "0", "-0", "0.0", "0e5", "1", "-1", "10", "0.1", "0.3", "1.5", "1e0", "1E+2", "1e-2", "123456789012345678", "9007199254740993", "9007199254740992.5",
            "9007199254740993.0000000000000000000000000001", "0.000001", "100000000000000000000000000", "1.7976931348623157e308", "1.7976931348623158e308",
            "1.7976931348623159e308", "1.8e308", "1e309", "1e310", "1e400", "1e99999999999999999999", "-1e999", "2.2250738585072014e-308", "2.2250738585072011e-308",
            "2.225073858507201e-308", "4.9e-324", "5e-324", "2.4703282292062327e-324", "2.4703282292062328e-324", "2e-324", "1e-325", "1e-400", "1e-99999999999999999999",
            "0.00000000000000000000000000001e29", "123456789e-9", "4503599627370496.5", "4503599627370497.5", "8.5e15", "0.500000000000000166533453693773481063544750213623046875",
            "3.14159265358979323846264338327950288", "1000000000000000000000e-21", "6.02214076e23",
        ];
        rows.into_iter().for_each(agrees);
        let zeros = "0".repeat(1000);
        for text in
            [format!("1{zeros}"), format!("0.{zeros}1e1000"), format!("1{zeros}e-1000"), format!("{zeros}.{zeros}")]
        {
            agrees(&text);
        }
        // Halfway between two doubles, except for the last of many digits.
        let half = "9007199254740993".to_owned();
        for tail in ["", ".", ".0", ".1"] {
            agrees(&format!(
                "{half}{}",
                if tail.is_empty() { String::new() } else { format!("{tail}{}1", "0".repeat(900)) }
            ));
        }
        agrees(&"9".repeat(2000));
        agrees(&format!("0.{}", "9".repeat(2000)));
    }

    proptest! {
        #[test]
        fn doubles_are_those_of_std(text in "-?(0|[1-9][0-9]{0,30})(\\.[0-9]{1,30})?([eE][+-]?[0-9]{1,3})?") {
            agrees(&text);
        }

        #[test]
        fn what_is_printed_is_read_again(bits: u64) {
            let value = f64::from_bits(bits);
            if value.is_finite() {
                agrees(&format!("{value:e}"));
                agrees(&format!("{value:.20e}"));
                agrees(&format!("{value}"));
            }
        }
    }
}
