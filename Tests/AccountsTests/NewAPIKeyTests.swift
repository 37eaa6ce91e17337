import Accounts
import Ledger
import Testing

@Suite struct NewAPIKeyTests {
  @Test(arguments: Mode.allCases) func shape(mode: Mode) throws {
    let key = try NewAPIKey(mode: mode, allowedNetworks: ["10.0.0.0/8"], allowedReferers: ["https://example.com"])
    #expect(key.secret.wholeMatch(of: /pk_(live|test)_[A-Za-z0-9_\-]{43}/)?.1 == Substring(mode.name))
    #expect(key.prefix.count == 16 && key.secret.hasPrefix(key.prefix))
    #expect(key.hash == NewAPIKey.hash(of: key.secret))
    #expect(key.mode == mode)
    #expect(key.allowedNetworks == ["10.0.0.0/8"])
    #expect(key.allowedReferers == ["https://example.com"])
  }

  @Test func noTwoAreAlike() throws {
    let keys = try (0..<1000).map { _ in try NewAPIKey(mode: .live) }
    #expect(Set(keys.map(\.secret)).count == keys.count)
    #expect(Set(keys.map(\.prefix)).count == keys.count)
    // Every place varies.
    for place in 8..<51 { #expect(Set(keys.map { Array($0.secret.utf8)[place] }).count > 1) }
  }

  /// FIPS 180-4's example.
  @Test func hashIsSHA256() {
    let hex = NewAPIKey.hash(of: "abc").map { ($0 < 16 ? "0" : "") + String($0, radix: 16) }.joined()
    #expect(hex == "ba7816bf8f01cfea414140de5dae2223b00361a396177a9cb410ff61f20015ad")
  }

  @Test func modesByName() {
    #expect(Mode(name: "live") == .live && Mode(name: "test") == .test)
    #expect(Mode(name: "Live") == nil && Mode(name: "") == nil)
  }
}
