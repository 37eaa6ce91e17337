import Foundation
import JSON
import Testing

@Suite struct OutputTests {
  // MARK: Doubles

  /// ECMAScript's `String(x)`, as V8 prints it.
  static let ecmaScript: [(source: String, String)] = [
    ("0", "0"), ("1", "1"), ("-1", "-1"), ("10", "10"), ("100", "100"), ("0.1", "0.1"), ("0.5", "0.5"),
    ("-2.25", "-2.25"), ("123.456", "123.456"), ("1e-5", "0.00001"), ("1e-6", "0.000001"), ("1.5e-6", "0.0000015"),
    ("1e-7", "1e-7"), ("-1e-7", "-1e-7"), ("1.234e-7", "1.234e-7"), ("0.000001234567890123", "0.000001234567890123"),
    ("2e-3", "0.002"), ("123e-20", "1.23e-18"), ("5e-324", "5e-324"), ("4.94e-323", "5e-323"),
    ("2.2250738585072014e-308", "2.2250738585072014e-308"), ("2.225073858507201e-308", "2.225073858507201e-308"),
    ("1.7976931348623157e308", "1.7976931348623157e+308"), ("4294967296", "4294967296"),
    ("0x1p-32", "2.3283064365386963e-10"), ("9007199254740991", "9007199254740991"),
    ("-9007199254740991", "-9007199254740991"), ("9007199254740992", "9007199254740992"),
    ("12345678901234567", "12345678901234568"), ("1e20", "100000000000000000000"),
    ("123456789012345680000", "123456789012345680000"), ("999999999999999900000", "999999999999999900000"),
    ("1e21", "1e+21"), ("1.5e21", "1.5e+21"), ("1.2345678901234567e21", "1.2345678901234568e+21"),
    ("33.5e20", "3.35e+21"), ("1e22", "1e+22"), ("1e23", "1e+23"), ("1e100", "1e+100"), ("-1e300", "-1e+300"),
    ("4.35", "4.35"), ("4.349999999999999", "4.349999999999999"), ("0.30000000000000004", "0.30000000000000004"),
    ("1.0000000000000002", "1.0000000000000002"), ("0.9999999999999999", "0.9999999999999999"),
    ("3.141592653589793", "3.141592653589793"),
  ]

  @Test(arguments: ecmaScript) func writesDoublesAsECMAScriptDoes(_ source: String, _ expected: String) throws {
    let double = try #require(Double(source))
    #expect(written { $0.append(double: double) } == expected)
  }

  @Test func negativeZeroKeepsItsSign() {
    #expect(written { $0.append(double: -0.0) } == "-0")
  }

  @Test func doublesReadBackToTheSameBits() {
    var random = SplitMix64(state: 1)
    var wrong: [UInt64] = []
    var output: [UInt8] = []
    for _ in 0..<1_000_000 {
      let bits = random.next()
      let double = Double(bitPattern: bits)
      guard double.isFinite else { continue }
      output.removeAll(keepingCapacity: true)
      output.append(double: double)
      output.append(0)
      let back = output.withUnsafeBytes { strtod($0.baseAddress!.assumingMemoryBound(to: CChar.self), nil) }
      if back.bitPattern != bits { wrong.append(bits) }
    }
    #expect(wrong == [])
  }

  /// The FNV-1a hash (Fowler, Noll, Vo) of 999 889 lines that V8 (Node.js 20) made of the same doubles with
  /// `JSON.stringify`: random bit patterns, and uniform ones scaled to where the layout changes.
  @Test func writesWhatV8Writes() {
    var random = SplitMix64(state: 2026)
    var hash: UInt64 = 0xcbf2_9ce4_8422_2325
    var lines = 0
    var line: [UInt8] = []
    func feed(_ double: Double) {
      line.removeAll(keepingCapacity: true)
      line.append(double: double)
      line.append(UInt8(ascii: "\n"))
      for byte in line { hash = (hash ^ UInt64(byte)) &* 0x100_0000_01b3 }
      lines += 1
    }
    for _ in 0..<200_000 {
      let bits = random.next()
      if Double(bitPattern: bits).isFinite { feed(Double(bitPattern: bits)) }
      feed(Double(bits >> 11) * 0x1p-53)
      feed(Double(bits >> 32) * 0x1p-32)
      feed(Double(bits >> 11) * 0x1p-70)
      feed(Double(bits >> 11) * 0x1p17)
    }
    #expect(lines == 999_889)
    #expect(hash == 0x1e21_d89b_a56d_fcfe)
  }

  // MARK: Integers

  @Test func integers() {
    for integer in [0, 7, -7, 10, 99, 100, -100, 9_007_199_254_740_991, Int64.max, .min] as [Int64] {
      #expect(written { $0.append(integer: integer) } == String(integer))
    }
    #expect(written { $0.append(integer: UInt64.max) } == "18446744073709551615")
    #expect(written { $0.append(integer: Int8.min) } == "-128")
  }

  // MARK: Strings

  @Test(arguments: [
    ("", #""""#), ("plain", #""plain""#), ("\"\\", #""\"\\""#), ("/", #""/""#), ("\n\r\t", #""\n\r\t""#),
    ("\u{0}\u{1}\u{1F}\u{7F}", "\"\\u0000\\u0001\\u001f\u{7F}\""), ("é😀\u{2028}", "\"é😀\u{2028}\""),
  ])
  func quotesStrings(_ string: String, _ expected: String) {
    #expect(written { $0.append(jsonString: string) } == expected)
    #expect(written { $0.append(jsonString: Array(string.utf8)) } == expected)
  }

  @Test func everyCharacterReadsBack() throws {
    var string = ""
    for code in UInt32(0)...0x10FFFF {
      guard let scalar = Unicode.Scalar(code), code < 0x3000 || code % 251 == 0 else { continue }
      string.unicodeScalars.append(scalar)
    }
    let quoted = written { $0.append(jsonString: string) }
    #expect(try parse(quoted).string == bytes(string))
    let decoded = try JSONSerialization.jsonObject(with: Data(quoted.utf8), options: .fragmentsAllowed) as? String
    #expect(decoded.map { Array($0.utf8) } == bytes(string))
  }

  // MARK: Bytes

  @Test func bytesAsFoundationWritesThem() {
    var random = SplitMix64(state: 4648)
    for count in Array(0...100) + [1023, 1024] {
      let bytes = (0..<count).map { _ in UInt8.random(in: 0...255, using: &random) }
      #expect(written { $0.append(base64: bytes) } == Data(bytes).base64EncodedString())
      let hex = bytes.map { String(format: "%02x", $0) }.joined()
      #expect(written { $0.append(hex: bytes) } == hex)
    }
    // RFC 4648 § 10.
    for (plain, encoded) in [
      ("f", "Zg=="), ("fo", "Zm8="), ("foo", "Zm9v"), ("foob", "Zm9vYg=="), ("fooba", "Zm9vYmE="),
    ] {
      #expect(written { $0.append(base64: Array(plain.utf8)) } == encoded)
    }
  }

  @Test func plainTextIsNotQuoted() {
    #expect(
      written {
        $0.append(text: "a\"b")
        $0.append(json: "{\"a\":")
      } == "a\"b{\"a\":")
  }
}
