/// `log` and `exp` with the same result on every machine.
///
/// A platform's own functions differ in the last bit from one C library, version or processor to the
/// next. A value that anyone must be able to recompute cannot depend on them. These two follow, operation
/// by operation, `e_log.c` and `e_exp.c` of FreeBSD's msun (descended from Sun's fdlibm), which is also
/// what the JavaScript engines compute. Both are within 1 ulp of the true value.
///
/// The method and the constants are those of the originals, which carry these notices:
///
///     Copyright (C) 1993 by Sun Microsystems, Inc. All rights reserved.
///     Copyright (C) 2004 by Sun Microsystems, Inc. All rights reserved.
///
///     Permission to use, copy, modify, and distribute this software is
///     freely granted, provided that this notice is preserved.
public enum FDLibM {
  // ln 2 = ln2High + ln2Low; n × ln2High is exact for |n| < 2000.
  private static let ln2High = Double(bitPattern: 0x3fe6_2e42_fee0_0000)
  private static let ln2Low = Double(bitPattern: 0x3dea_39ef_3579_3c76)

  /// The natural logarithm: −∞ for ±0, NaN for anything less, ∞ for ∞.
  ///
  /// x = 2^k · (1 + f) with √½ < 1 + f < √2; with s = f ÷ (2 + f), log(1 + f) = f − s·(f − R(s²)), R a
  /// polynomial; log x = k·ln 2 + log(1 + f).
  public static func log(_ x: Double) -> Double {
    if x == 0 { return -.infinity }
    if x < 0 || x.isNaN { return .nan }
    if x == .infinity { return x }

    // Subnormal numbers are scaled up first.
    let normal = x < .leastNormalMagnitude ? x * 0x1p54 : x
    var exponent = x < .leastNormalMagnitude ? -54 : 0
    let bits = normal.bitPattern
    exponent += Int(bits >> 52) - 1023

    // The high 20 bits of the significand decide whether 1 + f is the significand or half of it.
    let high = Int(bits >> 32) & 0xf_ffff
    let halved = (high + 0x9_5f64) & 0x10_0000 != 0
    let significand = bits & 0xf_ffff_ffff_ffff
    let f = Double(bitPattern: significand | (halved ? 0x3fe : 0x3ff) << 52) - 1
    if halved { exponent += 1 }
    let k = Double(exponent)

    if 0xf_ffff & (2 + high) < 3 {  // |f| < 2^−20
      if f == 0 { return exponent == 0 ? 0 : k * ln2High + k * ln2Low }
      let r = f * f * (0.5 - 0.33333333333333333 * f)
      return exponent == 0 ? f - r : k * ln2High - ((r - k * ln2Low) - f)
    }

    let s = f / (2 + f)
    let z = s * s
    let w = z * z
    let even = w * (lg2 + w * (lg4 + w * lg6))
    let odd = z * (lg1 + w * (lg3 + w * (lg5 + w * lg7)))
    let r = odd + even
    if 0x6_147a <= high && high <= 0x6_b851 {
      // Where f is large, f²÷2 is split off for the sake of accuracy.
      let half = 0.5 * f * f
      return exponent == 0
        ? f - (half - s * (half + r))
        : k * ln2High - ((half - (s * (half + r) + k * ln2Low)) - f)
    }
    return exponent == 0
      ? f - s * (f - r)
      : k * ln2High - ((s * (f - r) - k * ln2Low) - f)
  }

  private static let lg1 = Double(bitPattern: 0x3fe5_5555_5555_5593)
  private static let lg2 = Double(bitPattern: 0x3fd9_9999_9997_fa04)
  private static let lg3 = Double(bitPattern: 0x3fd2_4924_9422_9359)
  private static let lg4 = Double(bitPattern: 0x3fcc_71c5_1d8e_78af)
  private static let lg5 = Double(bitPattern: 0x3fc7_4664_96cb_03de)
  private static let lg6 = Double(bitPattern: 0x3fc3_9a09_d078_c69f)
  private static let lg7 = Double(bitPattern: 0x3fc2_f112_df3e_5244)

  /// e to the power of x: ∞ above 709.78, 0 below −745.13, subnormal below −708.39.
  ///
  /// x = k·ln 2 + r with |r| ≤ ½·ln 2, r kept as high − low; exp(r) = 1 + r + r·c ÷ (2 − c) with
  /// c = r − r²·P(r²), P a polynomial; exp x = 2^k · exp(r).
  public static func exp(_ x: Double) -> Double {
    if x.isNaN { return .nan }
    if x > overflow { return .infinity }
    if x < underflow { return 0 }

    // Ranges are told apart by |x|'s high word, as in the original, where they end between doubles
    // that a comparison of whole values would sort differently.
    let magnitude = UInt32(truncatingIfNeeded: x.bitPattern >> 32) & 0x7fff_ffff
    var k = 0
    var high = 0.0
    var low = 0.0
    var r = x
    if magnitude > 0x3fd6_2e42 {  // |x| > ½·ln 2
      if magnitude < 0x3ff0_a2b2 {  // |x| < 1½·ln 2
        k = x < 0 ? -1 : 1
      } else {
        k = Int(inverseLn2 * x + (x < 0 ? -0.5 : 0.5))
      }
      high = x - Double(k) * ln2High
      low = Double(k) * ln2Low
      r = high - low
    } else if magnitude < 0x3e30_0000 {  // |x| < 2^−28
      return 1 + x
    }

    let t = r * r
    let c = r - t * (p1 + t * (p2 + t * (p3 + t * (p4 + t * p5))))
    if k == 0 { return 1 - ((r * c) / (c - 2) - r) }
    let y = 1 - ((low - (r * c) / (2 - c)) - high)
    if k == 1024 { return y * 2 * 0x1p1023 }
    return k >= -1021 ? y * power(k) : y * power(k + 1000) * 0x1p-1000
  }

  /// 2^k for the exponents of normal numbers.
  private static func power(_ k: Int) -> Double {
    Double(bitPattern: UInt64(1023 + k) << 52)
  }

  private static let overflow = Double(bitPattern: 0x4086_2e42_fefa_39ef)
  private static let underflow = Double(bitPattern: 0xc087_4910_d52d_3051)
  private static let inverseLn2 = Double(bitPattern: 0x3ff7_1547_652b_82fe)
  private static let p1 = Double(bitPattern: 0x3fc5_5555_5555_553e)
  private static let p2 = Double(bitPattern: 0xbf66_c16c_16be_bd93)
  private static let p3 = Double(bitPattern: 0x3f11_566a_af25_de2c)
  private static let p4 = Double(bitPattern: 0xbebb_bd41_c5d2_6bf1)
  private static let p5 = Double(bitPattern: 0x3e66_3769_72be_a4d0)
}
