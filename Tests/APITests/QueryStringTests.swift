import API
import Ledger
import Testing

@Suite struct QueryStringTests {
  private func pairs(_ query: String) throws -> [[String]] {
    try QueryString.pairs(in: Array(query.utf8)[...]).map {
      [String(decoding: $0.name, as: UTF8.self), String(decoding: $0.value, as: UTF8.self)]
    }
  }

  private func refusal(_ query: [UInt8]) -> Refusal? {
    do throws(Refusal) {
      _ = try QueryString.pairs(in: query[...])
      return nil
    } catch {
      return error
    }
  }

  @Test func pairsKeepTheirOrderAndTheirRepetitions() throws {
    #expect(try pairs("") == [])
    #expect(try pairs("a=1&b=2&a=3") == [["a", "1"], ["b", "2"], ["a", "3"]])
  }

  @Test func aPairMayLackAnyOfItsParts() throws {
    #expect(try pairs("a") == [["a", ""]])
    #expect(try pairs("a=") == [["a", ""]])
    #expect(try pairs("=1") == [["", "1"]])
    #expect(try pairs("=") == [["", ""]])
    #expect(try pairs("a=b=c") == [["a", "b=c"]])
    #expect(try pairs("&&a=1&&") == [["a", "1"]])
  }

  @Test func plusIsASpaceAndPercentAByte() throws {
    #expect(try pairs("a+b=c+d") == [["a b", "c d"]])
    #expect(try pairs("%61=%2B%26%3d") == [["a", "+&="]])
    #expect(try pairs("s=Zo%C3%AB&t=Zoë") == [["s", "Zoë"], ["t", "Zoë"]])
    #expect(try pairs("items%5B%5D=%5B%22a%22%5D") == [["items[]", "[\"a\"]"]])
  }

  @Test(arguments: ["%", "%4", "%zz", "%G0", "a%", "%%41", "%+1"])
  func aPercentNeedsTwoHexadecimalDigits(_ bad: String) {
    #expect(refusal(Array("name=\(bad)".utf8))?.error.hasPrefix("name has a %") == true)
    #expect(refusal(Array("\(bad)=1".utf8))?.error.hasPrefix("the query has a %") == true)
  }

  @Test(
    arguments: [[0xFF], [0xC3], [0xC3, 0x28], [0xED, 0xA0, 0x80], [0xF4, 0x90, 0x80, 0x80], [0xC0, 0x80]] as [[UInt8]])
  func whatIsNotUTF8IsRefused(_ bytes: [UInt8]) {
    let digits = Array("0123456789ABCDEF".utf8)
    let encoded = bytes.flatMap { [UInt8(ascii: "%"), digits[Int($0 >> 4)], digits[Int($0 & 15)]] }
    #expect(refusal(Array("name=".utf8) + encoded)?.error == "name is not valid UTF-8")
    #expect(refusal(encoded + Array("=1".utf8))?.error == "the query is not valid UTF-8")
  }

  @Test func nulIsRefused() {
    #expect(refusal(Array("name=a%00b".utf8))?.error == "name must not contain NUL")
    #expect(refusal(Array("name=a\0b".utf8))?.error == "name must not contain NUL")
  }

  /// Whatever the bytes, they are pairs or a 400; and names and values are UTF-8.
  @Test func anyBytesAreReadOrRefused() throws {
    var random = SplitMix(state: 7)
    let alphabet = Array("ab=&%+0F[]\u{C3}\u{A9}".utf8) + [0xFF, 0x00]
    for _ in 0..<5_000 {
      let query = (0..<Int.random(in: 0...24, using: &random)).map { _ in alphabet.randomElement(using: &random) ?? 0 }
      do throws(Refusal) {
        for pair in try QueryString.pairs(in: query[...]) where !query.contains(where: { $0 >= 0x80 }) {
          #expect(String(validating: pair.name, as: UTF8.self) != nil)
          #expect(String(validating: pair.value, as: UTF8.self) != nil)
        }
      } catch {
        #expect(error.status == 400)
      }
    }
  }
}

/// A generator whose numbers are the same in every run.
private struct SplitMix: RandomNumberGenerator {
  var state: UInt64

  mutating func next() -> UInt64 {
    state &+= 0x9E37_79B9_7F4A_7C15
    var z = state
    z = (z ^ (z >> 30)) &* 0xBF58_476D_1CE4_E5B9
    z = (z ^ (z >> 27)) &* 0x94D0_49BB_1331_11EB
    return z ^ (z >> 31)
  }
}
