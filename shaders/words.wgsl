// Numbers as they lie in 32-bit words, widened to f32, and back. Included by what computes with them; f16 takes no feature this way, and bf16 has none.

fn bf16_4(words: vec2u) -> vec4f {
    return bitcast<vec4f>(vec4u(words.x << 16u, words.x & 0xffff0000u, words.y << 16u, words.y & 0xffff0000u));
}

fn f16_4(words: vec2u) -> vec4f {
    return vec4f(unpack2x16float(words.x), unpack2x16float(words.y));
}

fn int8_4(word: u32) -> vec4f {
    return vec4f(unpack4xI8(word));
}

// Four 4-bit integers of a word's lower half, which are stored 8 too large.
fn int4_4(word: u32) -> vec4f {
    return vec4f((vec4u(word) >> vec4u(0u, 4u, 8u, 12u)) & vec4u(15u)) - 8.0;
}

// Rounded to the nearest, ties to even.
fn bf16_bits(numbers: vec4f) -> vec4u {
    let bits = bitcast<vec4u>(numbers);
    return (bits + 0x7fffu + ((bits >> vec4u(16u)) & vec4u(1u))) >> vec4u(16u);
}

fn words_of_bf16(numbers: vec4f) -> vec2u {
    let bits = bf16_bits(numbers);
    return vec2u(bits.x | (bits.y << 16u), bits.z | (bits.w << 16u));
}

fn bf16_2(word: u32) -> vec2f {
    return bitcast<vec2f>(vec2u(word << 16u, word & 0xffff0000u));
}

fn f16_2(word: u32) -> vec2f {
    return unpack2x16float(word);
}

fn int8_2(word: u32) -> vec2f {
    return vec2f(unpack4xI8(word).xy);
}
