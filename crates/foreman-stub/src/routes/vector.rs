//! Embeddings: a function of the text, and the ways in which they are written.

/// The embedding of a text.
pub(super) fn of(text: &str, dimensions: usize, normalised: bool) -> Vec<f32> {
    let mut state = seed(text);
    let mut vector: Vec<f32> = (0..dimensions).map(|_| component(&mut state)).collect();
    if normalised {
        let norm = vector.iter().map(|x| x * x).sum::<f32>().sqrt();
        for x in &mut vector {
            *x /= norm;
        }
    }
    vector
}

/// FNV-1a, never zero.
fn seed(text: &str) -> u64 {
    let hash = text.bytes().fold(0xcbf2_9ce4_8422_2325_u64, |hash, byte| {
        (hash ^ u64::from(byte)).wrapping_mul(0x0100_0000_01b3)
    });
    hash | 1
}

/// A number between -1 and 1 that is far enough from zero to be written without an exponent.
fn component(state: &mut u64) -> f32 {
    *state ^= *state << 13;
    *state ^= *state >> 7;
    *state ^= *state << 17;
    let size = u16::try_from(*state >> 8 & 0x3ff).unwrap_or_default() + 1;
    let size = f32::from(size) / 1024.0;
    if *state & 1 == 0 { size } else { -size }
}

/// As a JSON array.
pub(super) fn json(vector: &[f32]) -> String {
    joined(vector.iter().map(ToString::to_string))
}

/// As a JSON array of numbers widened to 64 bits.
pub(super) fn wide(vector: &[f32]) -> String {
    joined(vector.iter().map(|x| f64::from(*x).to_string()))
}

fn joined(numbers: impl Iterator<Item = String>) -> String {
    crate::gojson::array(numbers)
}

/// As a JSON string: little-endian bytes in base64.
pub(super) fn base64(vector: &[f32]) -> String {
    const LETTERS: &[u8; 64] = b"ABCDEFGHIJKLMNOPQRSTUVWXYZabcdefghijklmnopqrstuvwxyz0123456789+/";
    let bytes: Vec<u8> = vector.iter().flat_map(|x| x.to_le_bytes()).collect();
    let mut out = String::from("\"");
    for group in bytes.chunks(3) {
        let bits = (0..3).fold(0_usize, |bits, at| {
            bits << 8 | usize::from(group.get(at).copied().unwrap_or_default())
        });
        for at in 0..4 {
            let letter = LETTERS
                .get(bits >> (18 - 6 * at) & 63)
                .copied()
                .unwrap_or(b'A');
            out.push(if at <= group.len() {
                char::from(letter)
            } else {
                '='
            });
        }
    }
    out.push('"');
    out
}

#[cfg(test)]
mod tests {
    use super::*;

    #[test]
    fn embeddings_are_a_function_of_the_text() {
        let vector = of("a", 384, true);
        let norm: f32 = vector.iter().map(|x| x * x).sum();

        assert_eq!(vector, of("a", 384, true));
        assert_ne!(vector, of("b", 384, true));
        assert!((norm - 1.0).abs() < 1e-3);
        assert!(!json(&vector).contains('e'));
    }

    #[test]
    fn numbers_are_written_like_go_writes_them() {
        assert_eq!(
            wide(&[0.1, 0.2]),
            "[0.10000000149011612,0.20000000298023224]"
        );
        assert_eq!(
            json(&[0.182_574_18, 0.365_148_37]),
            "[0.18257418,0.36514837]"
        );
        let vector = [0.182_574_18, 0.365_148_37, 0.547_722_6, 0.730_296_73];
        assert_eq!(base64(&vector), "\"uvQ6Prr0uj6MNww/uvQ6Pw==\"");
    }
}
