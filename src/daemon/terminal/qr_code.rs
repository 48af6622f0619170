//! A QR code in a terminal.

use qrcodegen::{QrCode, QrCodeEcc};

/// Light modules around the code. The standard asks for four; readers of phones are content with two.
const MARGIN: i32 = 2;

/// White on black, in the shades that every terminal of 256 colours has, whatever its theme.
const COLOURS: &str = "\x1b[38;5;231;48;5;16m";
const PLAIN: &str = "\x1b[0m";

/// Draws the code of a text, two modules to a character; `None` if it is too long.
///
/// What is light is drawn, so without colours it is right in a dark terminal.
pub fn draw(text: &str, coloured: bool) -> Option<String> {
    let code = QrCode::encode_text(text, QrCodeEcc::Low).ok()?;
    let places = -MARGIN..code.size() + MARGIN;
    let (before, after) = if coloured { (COLOURS, PLAIN) } else { ("", "") };
    let mut out = String::new();
    for y in places.clone().step_by(2) {
        out.push_str(before);
        out.extend(places.clone().map(|x| match (code.get_module(x, y), code.get_module(x, y + 1)) {
            (false, false) => '█',
            (false, true) => '▀',
            (true, false) => '▄',
            (true, true) => ' ',
        }));
        out.push_str(after);
        out.push('\n');
    }
    Some(out)
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn it_is_square_and_light_around() {
        let plain = draw("http://192.168.100.200:8080/", false).unwrap();
        let rows: Vec<Vec<char>> = plain.lines().map(|line| line.chars().collect()).collect();
        // 25 modules and twice the margin.
        assert_eq!((rows.len(), rows[0].len()), (15, 29));
        assert!(rows[0].iter().chain(&rows[14]).all(|&c| c == '█'), "{plain}");
        assert!(rows.iter().all(|row| row[..2] == ['█', '█'] && row[27..] == ['█', '█']), "{plain}");
        // The corner of a finder pattern.
        assert_eq!(rows[1][2..10].iter().collect::<String>(), " ▄▄▄▄▄ █");
        let coloured = draw("http://192.168.100.200:8080/", true).unwrap();
        assert_eq!(coloured.replace(COLOURS, "").replace(PLAIN, ""), plain);
        assert_eq!(draw(&"x".repeat(3000), false), None);
    }
}
